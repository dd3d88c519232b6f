// Masks over the picture: fill and outline over a dark halo, or another look. Widths are in screen pixels.

import { drawEffect } from "./effects.js";
import { finePath, holdsPoint, shapeOf } from "./results.js";
import { isVisible, objectOf } from "./store.js";

const LARGE = 1.5; // screen pixels by video pixel from which on the pixels' corners can be seen
const SELECTED_MORE = 0.1; // of the fill's opacity

/** The visible entries of a frame that have a mask, the selected one last. */
export function visible(app, frame) {
  const objects = app.results.get(frame);
  if (!objects) return [];
  return [...objects.values()]
    .filter((entry) => isVisible(app.state, entry.id) && shapeOf(entry).path)
    .sort((a, b) => (a.id === app.state.selected) - (b.id === app.state.selected) || a.id - b.id);
}

/** Draw the masks of a frame. The context is transformed to video pixels; `scale` is screen pixels by video pixel. */
export function drawMasks(ctx, app, frame, scale, bitmap) {
  const { state } = app;
  const entries = visible(app, frame);
  // Where nothing was computed there is nothing to show it by: the picture stays, to work on.
  const computed = [...(app.results.get(frame)?.values() ?? [])].some((entry) => isVisible(state, entry.id));
  if (!computed) return;
  if (drawEffect(ctx, state.maskView, entries, bitmap, state.info.resolution, state.opacity[state.maskView])) return;
  const fill = state.maskView === "fill" ? state.opacity.fill : 0;
  ctx.lineJoin = "round";
  for (const entry of entries) {
    const { path: plain, mask } = shapeOf(entry);
    const path = scale > LARGE ? finePath(entry) : plain;
    const selected = entry.id === state.selected;
    const color = objectOf(state, entry.id).color;
    ctx.save();
    // A mask may have been made at another size than the picture's.
    ctx.scale(state.info.resolution.width / mask.width, state.info.resolution.height / mask.height);
    ctx.lineWidth = (selected ? 5 : 3.6) / scale;
    ctx.strokeStyle = selected ? "rgba(0,0,0,.7)" : "rgba(0,0,0,.6)";
    ctx.stroke(path);
    if (fill) {
      ctx.globalAlpha = Math.min(1, fill + (selected ? SELECTED_MORE : 0));
      ctx.fillStyle = color;
      ctx.fill(path, "evenodd");
      ctx.globalAlpha = 1;
    }
    ctx.lineWidth = (selected ? 2.6 : 1.8) / scale;
    ctx.strokeStyle = color;
    ctx.stroke(path);
    ctx.restore();
  }
}

/** The id of the topmost visible object at a point of the frame (normalised), or null. */
export function objectAt(app, frame, point) {
  return visible(app, frame).findLast((entry) => holdsPoint(entry, point))?.id ?? null;
}
