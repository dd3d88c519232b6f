// A read-only window into the page for tests and for people who debug: `window.__sam3`.

import { holdsPoint, shapeOf } from "./results.js";

export function mountInspection(app) {
  const { state, parts } = app;
  const scratch = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const plain = (value) => (value instanceof Set ? [...value] : value instanceof Promise ? true : value);

  window.__sam3 = Object.freeze({
    /** A copy of the page's state. */
    state: () => structuredClone(Object.fromEntries(Object.entries(state).map(([k, v]) => [k, plain(v)]))),
    /** The frame on the canvas and the one under the playhead, at no cost. */
    shown: () => state.shown,
    frame: () => state.frame,
    /** A point of the frame (normalised) in the window's pixels. */
    toClient(x, y, source = false) {
      const [px, py] = app.stage.project(x, y, source ? 0 : undefined);
      const rect = parts.canvas.getBoundingClientRect();
      return [rect.left + px, rect.top + py];
    },
    /** The canvas's [r, g, b, a] at a point of the frame; of the source's pane, where there are two, if asked. */
    pixel(x, y, source = false) {
      const [px, py] = app.stage.project(x, y, source ? 0 : undefined);
      // By way of a canvas made for reading: reading the stage itself would make it slow.
      const ratio = parts.canvas.width / parts.canvas.clientWidth;
      scratch.drawImage(parts.canvas, Math.round(px * ratio), Math.round(py * ratio), 1, 1, 0, 0, 1, 1);
      return [...scratch.getImageData(0, 0, 1, 1).data];
    },
    /** What is stored for a frame: [{ id, area, box, score }], or null while it is not known. */
    masks(frame) {
      const objects = app.results.get(frame);
      return objects ? [...objects.values()].map((e) => ({ id: e.id, area: shapeOf(e).mask.area, box: e.box, score: e.score })) : null;
    },
    /** Whether a point of a frame lies in an object's mask. */
    inMask(frame, id, x, y) {
      const entry = app.results.get(frame)?.get(id);
      return entry !== undefined && holdsPoint(entry, [x, y]);
    },
    fresh: (frame) => app.results.fresh(frame),
  });
}
