// The canvas: the picture, the masks over it, zoom and pan. What is drawn is always one frame: the
// masks of a frame are never shown over the picture of another. Side by side there are two panes of
// equal size and one view of both: the source at the left, the look at the right.

import { clamp } from "./dom.js";
import { pictureWidth } from "./frames.js";
import { drawMasks } from "./masks.js";
import { isRunning } from "./store.js";

const MARGIN = 12;
const SEAM = 2; // between the source and the look beside it
const ZOOM_MAX = 16;
// While the playhead is dragged and the screen does not keep up: this share of its pixels, and what keeping up is.
const COARSE = 0.7;
const LATE = 18.5; // ms from a painting to the next animation frame

export function createStage(app) {
  const { store, state, parts } = app;
  const canvas = parts.canvas;
  const ctx = canvas.getContext("2d");
  let whole = 0; // width of the canvas, in CSS pixels
  let box = { width: 0, height: 0 }; // of a pane
  let held = null; // the pane that a gesture began in
  let view = { scale: 1, x: 0, y: 0 }; // video pixel → CSS pixel
  let fitted = true;
  let painting = 0;
  let strain = 0; // mean ms from a painting to the next animation frame, while the playhead is dragged
  const painters = []; // what else draws, in video pixels: (ctx, scale)

  const moving = () => isRunning(state) || state.playing || state.scrubbing;
  const size = () => state.info?.resolution ?? { width: 1, height: 1 };
  const fitScale = () => Math.min((box.width - 2 * MARGIN) / size().width, (box.height - 2 * MARGIN) / size().height);

  function place(scale, x, y) {
    const { width, height } = size();
    const [w, h] = [width * scale, height * scale];
    // A picture smaller than the stage stays in its middle; a larger one can't be lost beside it.
    view = {
      scale,
      x: w <= box.width - 2 * MARGIN + 1 ? (box.width - w) / 2 : clamp(x, box.width - w - box.width / 2, box.width / 2),
      y: h <= box.height - 2 * MARGIN + 1 ? (box.height - h) / 2 : clamp(y, box.height - h - box.height / 2, box.height / 2),
    };
    store.set({ zoom: scale });
    app.frames.resize(pictureWidth(w * devicePixelRatio, width));
    draw();
  }

  function fit() {
    fitted = true;
    if (!state.info || !box.width) return;
    place(Math.max(0.01, fitScale()), 0, 0);
  }

  /** How far each pane's left edge is from the canvas's; the last one shows the look. */
  const panes = () => (state.sideBySide ? [0, whole - box.width] : [0]);
  const paneAt = (x) => held ?? panes().findLast((left) => x >= left) ?? 0;

  function split() {
    box = { ...box, width: state.sideBySide ? Math.max(0, Math.floor((whole - SEAM) / 2)) : whole };
  }

  function zoomTo(scale, canvasAt) {
    if (!state.info) return;
    const at = canvasAt ? { x: canvasAt.x - paneAt(canvasAt.x), y: canvasAt.y } : { x: box.width / 2, y: box.height / 2 };
    const low = Math.min(fitScale(), 1);
    const next = clamp(scale, low, Math.max(ZOOM_MAX, fitScale()));
    fitted = Math.abs(next - fitScale()) < 1e-6;
    if (fitted) return fit();
    const k = next / view.scale;
    return place(next, at.x - (at.x - view.x) * k, at.y - (at.y - view.y) * k);
  }

  function draw() {
    if (!painting) painting = requestAnimationFrame(paintNow);
  }

  function strained(began) {
    requestAnimationFrame(() => {
      strain += (performance.now() - began - strain) / 4;
    });
  }

  function paintNow() {
    painting = 0;
    const coarse = state.scrubbing && strain > LATE;
    if (state.scrubbing && !coarse) strained(performance.now());
    const ratio = devicePixelRatio * (coarse ? COARSE : 1);
    const [w, h] = [Math.round(whole * ratio), Math.round(box.height * ratio)];
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, w, h);
    const bitmap = state.info && state.shown >= 0 ? app.frames.get(state.shown) : null;
    if (bitmap) {
      const sides = panes();
      for (const left of sides) paintPane(bitmap, left, ratio, left === sides.at(-1));
    }
    app.overlay.update();
  }

  function paintPane(bitmap, left, ratio, look) {
    const { width, height } = size();
    ctx.save();
    ctx.setTransform(ratio, 0, 0, ratio, left * ratio, 0);
    ctx.beginPath();
    ctx.rect(0, 0, box.width, box.height);
    ctx.clip();
    ctx.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, (left + view.x) * ratio, view.y * ratio);
    ctx.imageSmoothingEnabled = view.scale < 4;
    // What stands is drawn well, what moves is drawn soon.
    ctx.imageSmoothingQuality = moving() ? "low" : "high";
    ctx.beginPath();
    ctx.rect(0, 0, width, height);
    ctx.clip();
    ctx.drawImage(bitmap, 0, 0, width, height);
    if (look) drawMasks(ctx, app, state.shown, view.scale, bitmap);
    for (const painter of painters) painter(ctx, view.scale);
    ctx.restore();
  }

  /** Put a frame on the screen if its picture is there. */
  function show(n) {
    if (!app.frames.has(n)) return false;
    if (state.shown !== n) store.set({ shown: n });
    app.results.need(n);
    draw();
    return true;
  }

  /**
   * A picture came: the wanted one is shown. While the playhead moves by itself or under the pointer,
   * so is one on the way to it; at rest never, or a click would prompt a neighbouring frame.
   */
  function arrived(n) {
    const nearer = state.shown >= 0 && Math.abs(n - state.frame) < Math.abs(state.shown - state.frame);
    if (n === state.frame || n === state.shown || (moving() && nearer)) show(n);
  }

  function resized() {
    split();
    if (fitted) fit();
    else if (state.info) place(view.scale, view.x, view.y);
  }
  new ResizeObserver(([entry]) => {
    whole = entry.contentRect.width;
    box = { width: whole, height: entry.contentRect.height };
    resized();
  }).observe(parts.mat);
  store.after(["sideBySide"], resized);

  store.after(["selected", "hidden", "solo", "maskView", "objects", "info", "playing", "scrubbing"], draw);
  let ran = false;
  store.after(["run"], () => {
    if (ran !== isRunning(state)) draw();
    ran = isRunning(state);
  });

  return {
    draw,
    show,
    arrived,
    fit,
    zoomTo,
    zoomBy: (k, at) => zoomTo(view.scale * k, at),
    pan: (dx, dy) => {
      fitted = false;
      place(view.scale, view.x + dx, view.y + dy);
    },
    addPainter: (painter) => painters.push(painter),
    view: () => view,
    /** From a point of the window to the frame: normalised, and whether it lies inside. */
    locate(clientX, clientY) {
      const rect = canvas.getBoundingClientRect();
      const { width, height } = size();
      const x = (clientX - rect.left - paneAt(clientX - rect.left) - view.x) / view.scale / width;
      const y = (clientY - rect.top - view.y) / view.scale / height;
      return { x: clamp(x, 0, 1), y: clamp(y, 0, 1), inside: x >= 0 && y >= 0 && x < 1 && y < 1, cx: clientX - rect.left, cy: clientY - rect.top };
    },
    /** From the frame (normalised) to the canvas, in CSS pixels; in the pane that shows the look, or another. */
    project(x, y, left = panes().at(-1)) {
      const { width, height } = size();
      return [left + view.x + x * width * view.scale, view.y + y * height * view.scale];
    },
    panes,
    /** The canvas's size in CSS pixels, without asking the layout for it. */
    area: () => ({ width: whole, height: box.height }),
    paneWidth: () => box.width,
    /** Until it is let go (null), a gesture stays in the pane that it began in, wherever the pointer goes. */
    hold(clientX) {
      held = null;
      if (clientX !== null) held = paneAt(clientX - canvas.getBoundingClientRect().left);
    },
  };
}
