// The looks beside fill and outline, drawn live: cut-out, spotlight, and objects or background
// blurred or pixelated. The same shapes as the service's (backend/masks/looks.py), by the canvas alone:
// nothing is read back from it. The context is transformed to video pixels.

import { shapeOf } from "./results.js";

const OBJECT_CELLS = 6; // along the longer side of a hidden object's box
const OBJECT_CELL_SHARE = 1 / 160; // its smallest cell, of the picture's longer side
const BACKGROUND_CELLS = 32; // along the longer side of a hidden background
const FINER = 4; // pixels a cell, each way, in which the mask is cut before the mean is taken

const canvases = new Map(); // name → a canvas that is used again
let squares = null; // the pattern behind a cut-out

function scratch(name, width, height) {
  const canvas = canvases.get(name) ?? new OffscreenCanvas(1, 1);
  canvases.set(name, canvas);
  const ctx = canvas.getContext("2d");
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.globalCompositeOperation = "source-over";
  ctx.imageSmoothingQuality = "high";
  ctx.clearRect(0, 0, width, height);
  return ctx;
}

/** The outlines of the entries as one path in video pixels; overlaps are filled, holes are not. */
function unionOf(entries, size) {
  const union = new Path2D();
  for (const entry of entries) {
    const { path, mask } = shapeOf(entry);
    union.addPath(path, new DOMMatrix([size.width / mask.width, 0, 0, size.height / mask.height, 0, 0]));
  }
  return union;
}

/** Draw the picture where the path is. */
function sharp(ctx, bitmap, size, path) {
  ctx.save();
  ctx.clip(path);
  ctx.drawImage(bitmap, 0, 0, size.width, size.height);
  ctx.restore();
}

/**
 * A tiny canvas of the means of cells in a box [x, y, w, h] of the picture (video pixels). Only what
 * lies in the path counts, or outside of it (`keep` is "destination-in" or "destination-out"); cells
 * with little of it take on their neighbours' colours.
 */
function cells(bitmap, size, [x, y, w, h], cell, path, keep) {
  const [cols, rows] = [Math.max(1, Math.floor(w / cell)), Math.max(1, Math.floor(h / cell))];
  const fine = scratch("fine", cols * FINER, rows * FINER);
  const [kx, ky] = [bitmap.width / size.width, bitmap.height / size.height];
  fine.drawImage(bitmap, x * kx, y * ky, w * kx, h * ky, 0, 0, cols * FINER, rows * FINER);
  fine.globalCompositeOperation = keep;
  fine.setTransform((cols * FINER) / w, 0, 0, (rows * FINER) / h, (-x * cols * FINER) / w, (-y * rows * FINER) / h);
  fine.fill(path);
  const means = scratch("means", cols, rows);
  means.drawImage(fine.canvas, 0, 0, cols, rows);
  // Colours are kept by their share of the cell: laid under itself, a share grows to the whole.
  means.globalCompositeOperation = "destination-over";
  for (let i = 0; i < 4; i++) means.drawImage(means.canvas, 0, 0);
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) means.drawImage(means.canvas, dx, dy);
  for (let i = 0; i < 3; i++) means.drawImage(means.canvas, 0, 0);
  return means.canvas;
}

function stretched(ctx, means, [x, y, w, h], smooth) {
  let canvas = means;
  if (smooth) {
    // Curves for the first bit, straight lines from there: curves all the way are slow without a GPU.
    const steps = scratch("steps", means.width * FINER, means.height * FINER);
    steps.drawImage(means, 0, 0, means.width * FINER, means.height * FINER);
    canvas = steps.canvas;
  }
  ctx.save();
  ctx.imageSmoothingEnabled = smooth;
  ctx.imageSmoothingQuality = "low";
  ctx.drawImage(canvas, x, y, w, h);
  ctx.restore();
}

function hideObjects(ctx, entries, bitmap, size, smooth) {
  for (const entry of entries) {
    const { mask } = shapeOf(entry);
    const [kx, ky] = [size.width / mask.width, size.height / mask.height];
    const box = [mask.x0 * kx, mask.y0 * ky, (mask.x1 - mask.x0) * kx, (mask.y1 - mask.y0) * ky];
    const cell = Math.max(Math.max(box[2], box[3]) / OBJECT_CELLS, Math.max(size.width, size.height) * OBJECT_CELL_SHARE);
    const path = unionOf([entry], size);
    const means = cells(bitmap, size, box, cell, path, "destination-in");
    ctx.save();
    ctx.clip(path);
    stretched(ctx, means, box, smooth);
    ctx.restore();
  }
}

function hideBackground(ctx, entries, bitmap, size, smooth) {
  const all = [0, 0, size.width, size.height];
  const path = unionOf(entries, size);
  stretched(ctx, cells(bitmap, size, all, Math.max(size.width, size.height) / BACKGROUND_CELLS, path, "destination-out"), all, smooth);
  sharp(ctx, bitmap, size, path);
}

function cutOut(ctx, entries, bitmap, size) {
  if (!squares) {
    const two = scratch("squares", 2, 2);
    for (const [colour, x, y] of [["#1c1e21", 0, 0], ["#1c1e21", 1, 1], ["#26292d", 1, 0], ["#26292d", 0, 1]]) {
      two.fillStyle = colour;
      two.fillRect(x, y, 1, 1);
    }
    squares = ctx.createPattern(two.canvas, "repeat");
  }
  const step = Math.max(4, Math.round(size.width / 64));
  ctx.save();
  ctx.imageSmoothingEnabled = false;
  ctx.scale(step, step);
  ctx.fillStyle = squares;
  ctx.fillRect(0, 0, size.width / step, size.height / step);
  ctx.restore();
  sharp(ctx, bitmap, size, unionOf(entries, size));
}

function spotlight(ctx, entries, bitmap, size, opacity) {
  ctx.fillStyle = `rgba(0, 0, 0, ${opacity})`;
  ctx.fillRect(0, 0, size.width, size.height);
  sharp(ctx, bitmap, size, unionOf(entries, size));
}

const EFFECTS = {
  cutout: cutOut,
  spotlight,
  blur_object: (ctx, entries, bitmap, size) => hideObjects(ctx, entries, bitmap, size, true),
  blur_background: (ctx, entries, bitmap, size) => hideBackground(ctx, entries, bitmap, size, true),
  pixelate_object: (ctx, entries, bitmap, size) => hideObjects(ctx, entries, bitmap, size, false),
  pixelate_background: (ctx, entries, bitmap, size) => hideBackground(ctx, entries, bitmap, size, false),
};

/** Draw a look over the picture, whose bitmap is drawn already. Returns whether there is such a look. */
export function drawEffect(ctx, look, entries, bitmap, size, opacity) {
  EFFECTS[look]?.(ctx, entries, bitmap, size, opacity);
  return look in EFFECTS;
}
