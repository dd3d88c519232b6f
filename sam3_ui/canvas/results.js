// Stored masks around the playhead, by frame. An edit makes them old; old ones stay on the screen
// until the new ones are there, so that nothing flickers.

import { toFinePath, toPath } from "./contour.js";
import { decode, holdsPixel } from "./rle.js";

const BEFORE = 16;
const AFTER = 48;
const KEPT = 600; // frames

export function createResults(app) {
  const { api, state } = app;
  let frames = new Map(); // frame_index → { version, objects: Map(id → entry) }
  let version = 0;
  let inFlight = new Set(); // "version:start"
  let generation = 0;

  const entry = (o, size) => ({ id: o.id, counts: o.mask, size, box: o.box, score: o.score, shape: undefined });

  function put(n, objects, merge) {
    const before = frames.get(n);
    const map = merge && before ? before.objects : new Map();
    for (const o of objects) {
      // An unchanged mask keeps its outline.
      const old = before?.objects.get(o.id);
      map.set(o.id, old && old.counts === o.counts ? Object.assign(old, { score: o.score }) : o);
    }
    frames.delete(n);
    frames.set(n, { version, objects: map });
    for (const key of frames.keys()) {
      if (frames.size <= KEPT) break;
      frames.delete(key);
    }
  }

  async function fetchWindow(start, stop) {
    const [mine, born, tag] = [version, generation, `${version}:${start}`];
    if (inFlight.has(tag)) return;
    inFlight.add(tag);
    try {
      const reply = await api.results(state.sid, start, stop);
      if (born !== generation || mine !== version) return;
      for (let n = start; n <= stop; n++) {
        const result = reply.results[n];
        put(n, (result?.objects ?? []).map((o) => entry(o, result.size ?? reply.size)), false);
      }
      app.stage.draw();
    } catch (error) {
      if (born === generation && error.code !== "offline") app.toast.error("The masks could not be fetched", error.message);
    } finally {
      inFlight.delete(tag);
    }
  }

  return {
    /** The objects of a frame by id; undefined while they are not known. */
    get: (n) => frames.get(n)?.objects,
    /** Whether what is known of the frame is up to date. */
    fresh: (n) => frames.get(n)?.version === version,
    /** Fetch the window around a frame where it is missing or old. */
    need(n) {
      if (state.sid === null || !state.info) return;
      const last = state.info.total_frames - 1;
      const ahead = Math.min(last, n + AFTER / 2);
      const gap = [n, ahead].find((f) => frames.get(f)?.version !== version);
      if (gap === undefined) return;
      const start = gap === n ? Math.max(0, n - BEFORE) : gap;
      fetchWindow(start, Math.min(last, start + BEFORE + AFTER));
    },
    /** Objects that just came for a frame (a prompt's reply, a run's frame): the others stay. */
    merge(n, objects, size) {
      put(n, objects.map((o) => entry(o, size)), true);
    },
    /** Everything known may be old now. */
    invalidate() {
      version += 1;
    },
    /** Forget a removed object at once. */
    drop(id) {
      version += 1; // what is on its way still holds it
      for (const frame of frames.values()) frame.objects.delete(id);
    },
    clear() {
      generation += 1;
      version += 1;
      frames = new Map();
      inFlight = new Set();
    },
  };
}

/** The column in the middle of a mask's upper part: where its tag stands. */
function topOf({ data, x0, y0, x1, y1 }) {
  const stride = x1 - x0;
  const rows = Math.min(y1 - y0, Math.max(2, Math.round((y1 - y0) * 0.08)));
  let [sum, n] = [0, 0];
  for (let k = 0; k < rows * stride; k++) if (data[k]) [sum, n] = [sum + x0 + (k % stride), n + 1];
  return n ? sum / n : (x0 + x1) / 2;
}

/** An entry's mask { width, height, area, x0, y0, x1, y1, top } and its outline, made once: { mask, path }. */
export function shapeOf(entry) {
  if (entry.shape === undefined) {
    const mask = decode(entry.counts, entry.size);
    const path = mask.area ? toPath(mask) : null;
    // The pixels are let go of: hundreds of frames are kept.
    entry.shape = { mask: { ...mask, top: topOf(mask), data: undefined }, path };
  }
  return entry.shape;
}

/** An entry's outline by every pixel's corner, for a picture that is shown large; made when it is asked for. */
export function finePath(entry) {
  const shape = shapeOf(entry);
  if (shape.path && !shape.fine) shape.fine = toFinePath(decode(entry.counts, entry.size));
  return shape.fine ?? null;
}

/** Whether a point of the frame (normalised) lies in an entry's mask. */
export function holdsPoint({ counts, size: [height, width] }, [x, y]) {
  return holdsPixel(counts, height, Math.min(width - 1, Math.floor(x * width)), Math.min(height - 1, Math.floor(y * height)));
}
