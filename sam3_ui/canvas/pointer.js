// Mouse, pen and touch on the canvas: click, take away, box, strokes, pan, wheel and pinch zoom.

import { clamp } from "./dom.js";
import { objectAt } from "./masks.js";

const CLICK = 4; // pixels a click may wander
const HOLD = 400; // ms until a resting finger takes away

export function mountPointer(app) {
  const { state, store, parts } = app;
  const canvas = parts.canvas;
  const fingers = new Map();
  let gesture = null; // { kind, id, x, y, at, negative, moved }
  let pinch = null;
  let pinching = 0; // what two fingers did is drawn once a frame
  let space = false;
  let hold = 0;
  let still = 0;

  const ready = () => state.view === "work" && state.shown >= 0;

  /** Add to or take away from the target at a point of the shown frame. */
  function click(point, negative, force = false) {
    if (state.splitting !== null) {
      app.repair.splitAt(state.shown, point);
      return;
    }
    const other = objectAt(app, state.shown, [point.x, point.y]);
    if (!negative && !force && state.selected !== null && other !== null && other !== state.selected) {
      app.session.select(other);
      return;
    }
    if (negative && state.selected === null && !state.born) {
      app.toast.info("Choose an object first", "Taking away works on the selected object: click one in the list or on its mask.");
      return;
    }
    app.session.prompt(state.shown, [{ type: "point", points: [[point.x, point.y]], point_labels: [negative ? 0 : 1] }]);
  }

  function begin(event) {
    if (!ready()) return;
    canvas.focus({ preventScroll: true });
    if (event.pointerType === "mouse") fingers.clear();
    fingers.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
    if (fingers.size === 2) return startPinch();
    if (fingers.size > 2) return;
    app.stage.hold(event.clientX);
    const at = app.stage.locate(event.clientX, event.clientY);
    const pan = state.tool === "pan" || event.button === 1 || space;
    const kind = pan ? "pan" : (state.tool === "brush" || state.tool === "erase") && event.button === 0 ? "stroke" : "point";
    gesture = { kind, id: event.pointerId, x: event.clientX, y: event.clientY, at, negative: event.button === 2 || event.altKey, force: event.shiftKey, moved: false, touch: event.pointerType === "touch" };
    if (kind !== "pan") app.player.pause();
    if (kind === "stroke" && (!at.inside || !app.brush.begin(at))) gesture = null;
    if (kind === "point" && gesture.touch) {
      hold = setTimeout(() => {
        if (gesture && !gesture.moved && gesture.at.inside) {
          click(gesture.at, true);
          gesture = null;
        }
      }, HOLD);
    }
    if (kind === "pan") canvas.style.cursor = "grabbing";
  }

  function move(event) {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
    if (pinch) return movePinch();
    const at = app.stage.locate(event.clientX, event.clientY);
    hover(event, at);
    if (!gesture || gesture.id !== event.pointerId) return;
    const [dx, dy] = [event.clientX - gesture.x, event.clientY - gesture.y];
    if (!gesture.moved && Math.hypot(dx, dy) < CLICK && gesture.kind !== "stroke") return;
    gesture.moved = true;
    clearTimeout(hold);
    if (gesture.kind === "pan") {
      app.stage.pan(dx, dy);
      [gesture.x, gesture.y] = [event.clientX, event.clientY];
    } else if (gesture.kind === "stroke") {
      for (const e of event.getCoalescedEvents?.() ?? [event]) app.brush.move(app.stage.locate(e.clientX, e.clientY));
      app.brush.move(at);
    } else if (!gesture.negative && state.splitting === null) app.overlay.drag({ x0: gesture.at.x, y0: gesture.at.y, x1: at.x, y1: at.y });
  }

  function end(event) {
    if (pinching) {
      cancelAnimationFrame(pinching);
      applyPinch();
    }
    fingers.delete(event.pointerId);
    clearTimeout(hold);
    if (pinch) {
      if (!fingers.size) pinch = null;
      return;
    }
    if (!gesture || gesture.id !== event.pointerId) return;
    const g = gesture;
    gesture = null;
    canvas.style.cursor = "";
    if (g.kind === "pan") {
      cursor();
      return;
    }
    if (g.kind === "stroke") {
      app.brush.end();
      return;
    }
    const at = app.stage.locate(event.clientX, event.clientY);
    app.overlay.drag(null);
    if (!g.moved) {
      if (g.at.inside && state.tool === "point") click(g.at, g.negative, g.force);
      return;
    }
    const box = [Math.min(g.at.x, at.x), Math.min(g.at.y, at.y), Math.abs(at.x - g.at.x), Math.abs(at.y - g.at.y)];
    if (!g.negative && state.splitting === null && box[2] > 0 && box[3] > 0) app.session.prompt(state.shown, [{ type: "box", box, label: true }]);
  }

  function cancel(event) {
    fingers.delete(event.pointerId);
    clearTimeout(hold);
    if (gesture?.kind === "stroke") app.brush.drop();
    gesture = null;
    pinch = null;
    app.overlay.drag(null);
    canvas.style.cursor = "";
  }

  function hover(event, at) {
    clearTimeout(still);
    if (event.pointerType === "touch") return;
    app.overlay.hover(at);
    still = setTimeout(() => app.overlay.hover({ ...at, still: true }), 250);
  }

  const between = () => {
    const [a, b] = [...fingers.values()];
    const rect = canvas.getBoundingClientRect();
    return { x: (a.clientX + b.clientX) / 2 - rect.left, y: (a.clientY + b.clientY) / 2 - rect.top, far: Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) };
  };
  function startPinch() {
    clearTimeout(hold);
    if (gesture?.kind === "stroke") app.brush.drop();
    gesture = null;
    app.overlay.drag(null);
    pinch = between();
  }
  // Each finger tells its own way: both are taken together, or the picture would sway between them.
  function movePinch() {
    if (!pinching) pinching = requestAnimationFrame(applyPinch);
  }
  function applyPinch() {
    pinching = 0;
    if (!pinch || fingers.size < 2) return;
    const now = between();
    app.stage.pan(now.x - pinch.x, now.y - pinch.y);
    app.stage.zoomBy(now.far / pinch.far, now);
    pinch = now;
  }

  function cursor() {
    const tool = space ? "pan" : state.tool;
    canvas.style.cursor = !ready() ? "default" : { pan: "grab", brush: "none", erase: "none" }[tool] ?? "crosshair";
  }

  canvas.addEventListener("contextmenu", (e) => e.preventDefault());
  canvas.addEventListener("pointerdown", begin);
  canvas.addEventListener("pointermove", move);
  const letGo = (act) => (event) => {
    act(event);
    if (!fingers.size) app.stage.hold(null);
  };
  canvas.addEventListener("pointerup", letGo(end));
  canvas.addEventListener("pointercancel", letGo(cancel));
  canvas.addEventListener("pointerleave", () => {
    clearTimeout(still);
    app.overlay.hover(null);
  });
  parts.mat.addEventListener(
    "wheel",
    (event) => {
      if (!ready() || event.target !== canvas) return;
      event.preventDefault();
      if (event.altKey) return store.set({ brush: clamp(Math.round(state.brush * (event.deltaY < 0 ? 1.15 : 0.87)), 4, 200) });
      const { cx, cy } = app.stage.locate(event.clientX, event.clientY);
      const step = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY;
      return app.stage.zoomBy(Math.exp(clamp(-step, -240, 240) / 500), { x: cx, y: cy });
    },
    { passive: false },
  );
  store.on(["tool", "view", "shown"], cursor);

  return {
    click,
    /** Space is held: a drag pans. Returns whether a drag did so when it is let go. */
    space(down) {
      space = down;
      cursor();
    },
    panned: () => gesture?.kind === "pan" && gesture.moved,
  };
}
