// Runs: start, follow live, stop, resume. A run belongs to its session, so a reload joins it again.

import { plan } from "./plan.js";
import { isRunning, objectOf } from "./store.js";
import { followRun } from "./stream.js";

export function createRuns(app) {
  const { store, state } = app;
  let stream = null;
  let ticker = 0;
  let queue = [];
  let seen = 0; // frames of this run so far
  let last = null; // the newest frame_index
  let began = 0;
  let stopped = false;

  function watch(request) {
    [seen, last, began, stopped] = [0, null, performance.now(), false];
    const sid = state.sid;
    stream = followRun(app, sid, request, {
      frame: (message) => sid === state.sid && arrived(message),
      end: (message) => sid === state.sid && ended(message),
      connection: (c) => app.connection.told(c),
    });
    clearInterval(ticker);
    ticker = setInterval(() => app.session.refresh(), 1000);
  }

  function arrived(message) {
    if (!seen) app.session.refresh();
    seen += 1;
    last = message.frame_index;
    app.results.merge(message.frame_index, message.objects, message.size);
    if (message.objects.some((o) => !state.objects.some((known) => known.id === o.id))) app.session.refresh();
    const seconds = (performance.now() - began) / 1000;
    const run = state.run ?? {};
    store.set({ run: { ...run, state: "running", done: Math.max(seen, run.done ?? 0), frame_index: last, frames_per_second: run.frames_per_second || seen / Math.max(seconds, 0.05) } });
    if (state.following) app.player.show(message.frame_index);
    else if (message.frame_index === state.shown) app.stage.draw();
  }

  async function ended(message) {
    stream = null;
    clearInterval(ticker);
    const run = state.run;
    const seconds = (performance.now() - began) / 1000;
    if (seen > 1) {
      const rate = run?.frames_per_second || seen / seconds;
      store.set({ rate });
      localStorage.setItem(`sam3.rate.${state.model?.name}`, String(rate));
    }
    store.set({ following: false, run: run ? { ...run, state: message.type } : null });
    app.results.invalidate();
    await app.session.refresh();
    app.results.need(state.frame);
    if (message.type === "error") {
      queue = [];
      failed(message);
    } else if (message.type === "cancelled" || stopped) {
      queue = [];
      app.say(`Stopped. ${seen} frames are kept.`);
    } else if (queue.length) begin(queue.shift());
    else {
      store.set({ range: null, target: null, direction: null });
      app.say(`Propagation finished: ${seen} frames.`);
    }
  }

  function failed(message) {
    const refused = seen === 0 && last === null;
    const kept = seen ? ` Everything up to frame ${last} is kept.` : "";
    const resume = !refused && plan(state).possible;
    app.toast.error(refused ? "Propagation did not start" : `Propagation stopped at frame ${last}`, `${message.error ?? "The run ended with an error."}${kept}`, resume
      ? [{ label: `Resume from ${last}`, primary: true, run: () => (state.run?.resumable ? resumeRun() : start()) }]
      : []);
  }

  function begin(request) {
    store.set({
      run: { state: "queued", direction: request.direction, obj_ids: request.obj_ids ?? null, start_frame_index: request.start_frame_index, end_frame_index: request.end_frame_index, done: 0, total: 0 },
      following: true,
      answer: null, // what was not found on one frame is looked for on all now
    });
    watch(request);
  }

  function start() {
    const work = plan(state);
    if (!work.possible || isRunning(state)) return;
    app.player.pause();
    app.toast.clear();
    queue = work.requests.slice(1);
    begin(work.requests[0]);
    const who = work.ids ? work.ids.map((id) => objectOf(state, id).name).join(", ") : "all objects";
    app.say(`Propagating ${who}, ${work.frames} frames.`);
  }

  /** Go on with the last run, which did not come to its end. */
  function resumeRun() {
    if (!state.run?.resumable || isRunning(state)) return;
    app.player.pause();
    app.toast.clear();
    queue = [];
    store.set({ run: { ...state.run, state: "queued", resumable: false }, following: true });
    app.say(`Going on from frame ${state.run.frame_index ?? state.run.start_frame_index}.`);
    watch({ resume: true });
  }

  return {
    start,
    resume: resumeRun,
    async stop() {
      if (!isRunning(state)) return;
      stopped = true;
      queue = [];
      try {
        await (stream ? stream.cancel() : app.api.cancel(state.sid));
      } catch (error) {
        app.toast.error("The run was not stopped", error.message);
      }
    },
    /** Join the session's run again after a reload. */
    rejoin() {
      store.set({ following: true });
      watch(null);
    },
    follow() {
      store.set({ following: true });
      if (last !== null) app.player.show(last);
    },
    /** Stop following without stopping the run: the session is left. */
    leave() {
      clearInterval(ticker);
      stream?.leave();
      stream = null;
      queue = [];
    },
    /** The run as status tells it; it is not over here until its last frame has come. */
    streaming: (run) => (stream && run && seen && run.state !== "queued" ? { ...run, state: "running" } : run),
    live: () => ({ seen, last, rate: seen > 2 ? seen / ((performance.now() - began) / 1000) : 0 }),
  };
}
