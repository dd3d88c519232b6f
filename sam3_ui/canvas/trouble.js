// The stage when something could not be opened: what, why, and the way on.

import { esc } from "./dom.js";
import { icon } from "./icons.js";

/** The card of `state.trouble`: { title, text, code, retry }. */
export const troubleCard = ({ title, text, code }) => `<div class="empty"><div class="drop still" role="alert">${icon("warn", "big")}<h1>${esc(title)}</h1><p class="muted">${esc(text)}</p>
  <div class="line"><button class="btn pri" data-do="retry" data-key="retry">Try again</button><button class="btn" data-do="dropTrouble" data-key="dropTrouble">Open something else</button></div>${code === "offline" ? '<p class="muted sm">It is tried again as soon as the server answers.</p>' : ""}</div></div>`;

export function mountTrouble(app) {
  const { store, state, actions } = app;
  store.after(["view"], () => state.view === "loading" && store.set({ trouble: null }));
  actions.retry = () => state.trouble?.retry();
  actions.dropTrouble = () => app.session.leave();
}
