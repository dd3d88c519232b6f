// The connection: whether the server answers, asking until it does again, and catching up then.

import { OFFLINE } from "./api.js";

const ASK = 2000; // ms between questions while the server is away
const BEAT = 15000; // ms of silence after which a visible page asks whether it is still there

export function createConnection(app) {
  const { store, state } = app;
  let timer = 0;
  let heard = performance.now();
  let since = -Infinity; // when it last came back

  const ask = () => app.api.health().catch(() => undefined); // what it says goes through told()

  function lost() {
    store.set({ connection: "lost" });
    clearInterval(timer);
    timer = setInterval(ask, ASK);
    // A socket may be lost alone; but what fails again and again is not asked for without a pause.
    if (performance.now() - since > BEAT) ask();
  }

  /** What was missed meanwhile is fetched: the state, the masks of the frame, pictures, thumbnails. */
  async function back() {
    clearInterval(timer);
    since = performance.now();
    store.set({ connection: "ok" });
    app.say("Connected again.");
    app.toast.drop(OFFLINE);
    if (!state.config) return app.begin();
    if (state.trouble?.code === "offline") return app.trouble.retry();
    if (!state.sid) return undefined;
    app.frames.retry();
    app.timeline.retry?.();
    app.results.invalidate();
    await app.session.refresh();
    app.results.need(state.frame);
    return undefined;
  }

  /** Each reply, or the lack of one, says how it stands: "ok" or "lost". */
  function told(connection) {
    heard = performance.now();
    if (connection === "lost" && state.connection !== "lost") lost();
    if (connection === "ok" && state.connection === "lost") back();
  }

  addEventListener("offline", () => told("lost"));
  addEventListener("online", ask);
  const beat = () => {
    if (!document.hidden && state.connection === "ok" && performance.now() - heard > BEAT) ask();
  };
  setInterval(beat, BEAT / 3);
  document.addEventListener("visibilitychange", beat);
  return { told };
}
