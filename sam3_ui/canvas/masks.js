// Masks over the picture: fill, outline over a dark halo, or a cut-out. Widths are in screen pixels.

import { shapeOf } from "./results.js";
import { isVisible, objectOf } from "./store.js";

const FILL = 0.34;
const FILL_SELECTED = 0.44;

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
  if (state.maskView === "cutout") return drawCutout(ctx, entries, state, bitmap);
  ctx.lineJoin = "round";
  for (const entry of entries) {
    const { path, mask } = shapeOf(entry);
    const selected = entry.id === state.selected;
    const color = objectOf(state, entry.id).color;
    ctx.save();
    // A mask may have been made at another size than the picture's.
    ctx.scale(state.info.resolution.width / mask.width, state.info.resolution.height / mask.height);
    ctx.lineWidth = (selected ? 5 : 3.6) / scale;
    ctx.strokeStyle = selected ? "rgba(0,0,0,.7)" : "rgba(0,0,0,.6)";
    ctx.stroke(path);
    if (state.maskView === "fill") {
      ctx.globalAlpha = selected ? FILL_SELECTED : FILL;
      ctx.fillStyle = color;
      ctx.fill(path, "evenodd");
      ctx.globalAlpha = 1;
    }
    ctx.lineWidth = (selected ? 2.6 : 1.8) / scale;
    ctx.strokeStyle = color;
    ctx.stroke(path);
    ctx.restore();
  }
  return undefined;
}

function drawCutout(ctx, entries, state, bitmap) {
  const { width, height } = state.info.resolution;
  ctx.fillStyle = "#1c1e21";
  ctx.fillRect(0, 0, width, height);
  const step = Math.max(4, Math.round(width / 64));
  ctx.fillStyle = "#26292d";
  for (let y = 0, row = 0; y < height; y += step, row++) for (let x = (row % 2) * step; x < width; x += 2 * step) ctx.fillRect(x, y, step, step);
  for (const entry of entries) {
    const { path, mask } = shapeOf(entry);
    ctx.save();
    ctx.scale(width / mask.width, height / mask.height);
    ctx.clip(path, "evenodd");
    ctx.drawImage(bitmap, 0, 0, mask.width, mask.height);
    ctx.restore();
  }
}

/** The id of the topmost visible object at a point of the frame (normalised), or null. */
export function objectAt(app, frame, [x, y]) {
  for (const entry of visible(app, frame).reverse()) {
    const { mask } = shapeOf(entry);
    const px = Math.min(mask.width - 1, Math.floor(x * mask.width));
    const py = Math.min(mask.height - 1, Math.floor(y * mask.height));
    if (mask.data[py * mask.width + px]) return entry.id;
  }
  return null;
}
