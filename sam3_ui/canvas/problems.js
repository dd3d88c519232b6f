// Frames to look at, as the service finds them in the stored masks: where a score drops, an area jumps, a mask
// vanishes, or two objects swap. Asked for anew after every step, but not while a run writes.

import { isRunning } from "./store.js";

/** The problem of an object at a frame, within its stretch; undefined where there is none. */
export const problemAt = (state, id, frame) =>
  state.problems.find((p) => p.obj_id === id && p.frame_index <= frame && frame <= (p.last_frame_index ?? p.frame_index));

export function mountProblems(app) {
  const { store, state, actions } = app;
  let known = ""; // the state of the log that they were asked for

  async function load() {
    if (isRunning(state)) return;
    const { sid, edits, info } = state;
    if (sid === null || !info || info.total_frames < 2) return;
    const key = `${sid}:${edits.map((e) => `${e.seq}${e.undone ? "u" : ""}`).join()}:${edits.findLast((e) => e.kind === "propagate")?.frames_written}`;
    if (key === known) return;
    known = key;
    if (!edits.some((e) => e.kind === "propagate" && !e.undone)) {
      // Without a run every mask is a person's own.
      store.set({ problems: [] });
      return;
    }
    try {
      const { problems } = await app.api.problems(sid);
      if (key === known) store.set({ problems });
    } catch {
      // They are a help, not a part of the work: the next step asks again.
      if (key === known) known = "";
    }
  }

  /** Select the object of a problem and go there. */
  function visit(problem) {
    if (!problem) return;
    app.session.select(problem.obj_id);
    app.player.pause();
    app.player.seek(problem.frame_index);
    app.say(`Frame ${problem.frame_index}: ${problem.detail}`);
  }

  /** The next or previous one from the playhead, of one object or of all, round the end. */
  function step(way, id = null) {
    const list = state.problems.filter((p) => id === null || p.obj_id === id);
    if (!list.length) {
      app.say("There is nothing to check.");
      return;
    }
    // Several of one frame are gone through in turn: the selected object says which one it is now.
    const here = list.findIndex((p) => p.frame_index === state.frame && p.obj_id === state.selected);
    if (here >= 0) visit(list.at((here + way) % list.length));
    else if (way > 0) visit(list.find((p) => p.frame_index >= state.frame) ?? list[0]);
    else visit(list.findLast((p) => p.frame_index <= state.frame) ?? list.at(-1));
  }

  store.after(["edits", "run", "sid"], load);

  Object.assign(actions, {
    nextProblem: () => step(1),
    prevProblem: () => step(-1),
    gotoProblem: (button) => step(1, Number(button.dataset.id)),
  });
}
