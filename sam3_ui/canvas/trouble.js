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
  // Tried by itself, the card stays until there is something else to show.
  const retry = (byItself) => state.trouble && again(byItself);
  actions.retry = () => retry(false);
  actions.dropTrouble = () => app.session.leave();
  return {
    /** Say what went wrong, in the place of what was to be shown; `way(byItself)` tries it again. */
    show(title, error, way) {
      again = way;
      store.set({ view: "empty", trouble: { title, text: error.message, code: error.code } });
    },
    retry: () => retry(true),
  };
}
