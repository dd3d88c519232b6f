// Drawing without a pointer: Alt and the arrows move a crosshair over the frame, Enter uses the tool
// there. Points are set at once; a box takes Enter at two corners; a stroke begins and ends with Enter.

import { clamp } from "./dom.js";
import { objectAt } from "./masks.js";
import { objectOf } from "./store.js";

const STEPS = 120; // steps across the frame
const MARGIN = 32; // pixels of the screen that the crosshair keeps from the picture's edge
const PAN = 48; // pixels of the screen that a step pans
const STILL = 600; // ms after the last step until its place is told

export function mountAim(app) {
  const { state, store, parts } = app;
  let corner = null; // a box's first corner
  let stroke = false; // the brush is down
  let telling = 0;

  const ready = () => state.view === "work" && state.shown >= 0;

  /** Where the crosshair begins: the middle of what is in view. */
  function middle() {
    const { left, top, width, height } = parts.canvas.getBoundingClientRect();
    const { x, y } = app.stage.locate(left + width / 2, top + height / 2);
    return { x, y };
  }

  function show(point) {
    app.overlay.aim(point);
    if (corner) app.overlay.drag({ x0: corner.x, y0: corner.y, x1: point.x, y1: point.y });
    if (stroke) app.brush.move(point);
    follow(point);
    clearTimeout(telling);
    telling = setTimeout(() => tell(point), STILL);
  }

  /** Pan a zoomed picture so that the crosshair stays on the screen. */
  function follow(point) {
    const [x, y] = app.stage.project(point.x, point.y);
    const { width, height } = parts.canvas.getBoundingClientRect();
    const dx = clamp(x, MARGIN, width - MARGIN) - x;
    const dy = clamp(y, MARGIN, height - MARGIN) - y;
    if (dx || dy) app.stage.pan(dx, dy);
  }

  function tell(point) {
    const { width, height } = state.info?.resolution ?? { width: 1, height: 1 };
    const over = objectAt(app, state.shown, [point.x, point.y]);
    app.say(`${Math.round(point.x * width)}, ${Math.round(point.y * height)}${over === null ? "" : `, on ${objectOf(state, over).name}`}`);
  }

  /** Let go of a box or stroke that was begun; whether there was one. */
  function drop() {
    const some = Boolean(corner) || stroke;
    if (corner) app.overlay.drag(null);
    if (stroke) app.brush.drop();
    corner = null;
    stroke = false;
    return some;
  }

  function box(point) {
    if (!corner) {
      corner = point;
      app.say("First corner set. Move to the other and press Enter.");
      return show(point);
    }
    const [x, y] = [Math.min(corner.x, point.x), Math.min(corner.y, point.y)];
    const [w, h] = [Math.abs(point.x - corner.x), Math.abs(point.y - corner.y)];
    if (!w || !h) return undefined;
    drop();
    return app.session.prompt(state.shown, [{ type: "box", box: [x, y, w, h], label: true }]);
  }

  function paint(point) {
    if (!stroke) {
      stroke = app.brush.begin(point);
      if (stroke) app.say("The brush is down. Press Enter to lift it.");
      return undefined;
    }
    stroke = false;
    return app.brush.end();
  }

  store.after(["tool", "shown", "view", "sid"], () => {
    drop();
    if (state.view !== "work") app.overlay.aim(null);
  });
  // Whoever takes the pointer goes on with the pointer.
  parts.canvas.addEventListener("pointerdown", () => {
    drop();
    if (app.overlay.aimed()) app.overlay.aim(null);
  });

  return {
    /** A step of the crosshair, or of the picture where the tool pans; `fine`: by one pixel of the video. */
    move([dx, dy], fine) {
      if (!ready()) return;
      parts.canvas.focus({ preventScroll: true });
      app.player.pause();
      if (state.tool === "pan") {
        const step = fine ? PAN / 6 : PAN;
        app.stage.pan(-dx * step, -dy * step);
        return;
      }
      const { width, height } = state.info.resolution;
      const step = fine ? 1 : Math.max(1, Math.round(Math.max(width, height) / STEPS));
      const now = app.overlay.aimed() ?? middle();
      show({ x: clamp(now.x + (dx * step) / width, 0, 1), y: clamp(now.y + (dy * step) / height, 0, 1) });
    },
    /** Use the tool at the crosshair; whether there is one. */
    use(negative) {
      const point = app.overlay.aimed();
      if (!point || !ready()) return false;
      if (state.tool === "box") box(point);
      else if (state.tool === "brush" || state.tool === "erase") paint(point);
      else app.pointer.click(point, negative, true);
      return true;
    },
    /** Take back one step: what was begun, then the crosshair; whether there was one. */
    back() {
      if (drop()) return true;
      if (!app.overlay.aimed()) return false;
      app.overlay.aim(null);
      return true;
    },
    begun: () => Boolean(corner) || stroke,
  };
}
