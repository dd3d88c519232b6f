// The playhead: seek, step, and play at the video's own speed by its timestamps.

import { clamp, lastAtMost } from "./dom.js";

const AHEAD = 12; // frames fetched beyond the playhead
const STALL = 0.35; // seconds that pictures may lag before the clock waits for them

export function createPlayer(app) {
  const { store, state } = app;
  let tick = 0;
  let clock = null; // { wall, media }: this media time was due at that wall time

  const last = () => (state.info?.total_frames ?? 1) - 1;
  const ends = () => (state.loop && state.range ? state.range : [0, last()]);

  function upcoming(n) {
    // A run that is followed makes its frames as they come: what lies ahead has nothing to show yet.
    if (state.following) return [];
    const list = [];
    const far = state.playing ? AHEAD * 2 : AHEAD;
    for (let i = 1; i <= far; i++) if (n + i <= last()) list.push(n + i);
    if (!state.playing) for (let i = 1; i <= 3; i++) if (n - i >= 0) list.push(n - i);
    return list;
  }

  /** Move the playhead; the picture follows as soon as it is there. */
  function show(n) {
    const frame = clamp(Math.round(n), 0, last());
    store.set({ frame });
    app.stage.show(frame);
    app.frames.want(frame, upcoming(frame));
    app.results.need(frame);
  }

  function seek(n) {
    if (!state.info || !Number.isFinite(n)) return;
    store.set({ following: false });
    show(n);
    if (state.playing) sync();
  }

  function sync() {
    clock = { wall: performance.now(), media: state.timestamps[state.frame] ?? 0 };
  }

  function frameStep() {
    tick = 0;
    if (!state.playing) return;
    const now = performance.now();
    const due = clock.media + ((now - clock.wall) / 1000) * state.speed;
    const [first, end] = ends();
    const finish = (state.timestamps[end] ?? 0) + frameLength(end);
    const target = Math.min(end, lastAtMost(state.timestamps, due + 1e-4));
    if (target !== state.frame) show(target);
    const lag = (state.timestamps[target] ?? 0) - (state.timestamps[Math.max(0, state.shown)] ?? 0);
    if (state.shown >= 0 && lag > STALL && !app.frames.has(target)) {
      // The network is behind: wait rather than skip ever further ahead.
      clock.wall = now - ((state.timestamps[state.shown] - clock.media) / state.speed) * 1000;
    }
    if (due >= finish) {
      if (!state.loop) {
        show(end);
        store.set({ playing: false });
        return;
      }
      show(first);
      sync();
    }
    tick = requestAnimationFrame(frameStep);
  }

  /** Seconds that a frame stays on the screen. */
  function frameLength(n) {
    const t = state.timestamps;
    return n + 1 < t.length ? t[n + 1] - t[n] : 1 / (state.info?.fps || 25);
  }

  function play() {
    if (!state.info || state.playing || last() === 0) return;
    const [first, end] = ends();
    store.set({ playing: true, following: false });
    if (state.frame >= end || state.frame < first) show(first);
    sync();
    if (!tick) tick = requestAnimationFrame(frameStep);
  }

  function pause() {
    if (!state.playing) return;
    store.set({ playing: false });
    show(state.shown >= 0 ? state.shown : state.frame);
  }

  /** Frames that the marker keys stop at: prompts, and where the masks go out of date. */
  function stops() {
    const frames = new Set(state.edits.filter((e) => e.kind === "prompt" && !e.undone).map((e) => e.frame_index));
    for (const o of state.objects) for (const [a] of o.stale) frames.add(a);
    return [...frames].sort((a, b) => a - b);
  }

  store.after(["speed"], () => state.playing && sync());

  return {
    show,
    seek,
    play,
    pause,
    toggle: () => (state.playing ? pause() : play()),
    step: (n) => {
      pause();
      seek(state.frame + n);
    },
    mark(way) {
      const list = stops();
      const to = way > 0 ? list.find((f) => f > state.frame) : list.findLast((f) => f < state.frame);
      if (to !== undefined) seek(to);
      else seek(way > 0 ? last() : 0);
    },
  };
}
