// The stage when something could not be opened: what, why, and the way on.

import { esc } from "./dom.js";
import { icon } from "./icons.js";

/** The card of `state.trouble`: { title, text, code }. */
export const troubleCard = ({ title, text, code }) => `<div class="empty"><div class="drop still" role="alert">${icon("warn", "big")}<h1>${esc(title)}</h1><p class="muted">${esc(text)}</p>
  <div class="line"><button class="btn pri" data-do="retry" data-key="retry">Try again</button><button class="btn" data-do="dropTrouble" data-key="dropTrouble">Open something else</button></div>${code === "offline" ? '<p class="muted sm">It is tried again as soon as the server answers.</p>' : ""}</div></div>`;

export function createTrouble(app) {
  const { store, state, actions } = app;
  let again = null;
  store.after(["view"], () => state.view === "loading" && store.set({ trouble: null }));
  const retry = () => state.trouble && again();
  actions.retry = retry;
  actions.dropTrouble = () => app.session.leave();
  return {
    /** Say what went wrong, in the place of what was to be shown; `way` tries it again. */
    show(title, error, way) {
      again = way;
      store.set({ view: "empty", trouble: { title, text: error.message, code: error.code } });
    },
    retry,
  };
}
