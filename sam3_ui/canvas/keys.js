// The keyboard. Keys rest while something is typed; Space pans only when it is held and dragged.

import { clamp } from "./dom.js";
import { plan } from "./plan.js";
import { isRunning } from "./store.js";

const TYPING = "input:not([type=range]), textarea, select, [contenteditable]";
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function mountKeys(app) {
  const { state, store, actions } = app;
  let panned = false;

  function aim([dx, dy], far) {
    const now = app.overlay.aimed() ?? { x: 0.5, y: 0.5 };
    const { width, height } = state.info.resolution;
    const step = far ? 1 : 8;
    app.overlay.aim({ x: clamp(now.x + (dx * step) / width, 0, 1), y: clamp(now.y + (dy * step) / height, 0, 1) });
  }

  function setRange(end) {
    const work = plan(state);
    const range = [work.first, work.last];
    range[end] = state.frame;
    if (range[0] > range[1]) range[1 - end] = state.frame;
    store.set({ range });
  }

  const tool = (name) => () => store.set({ tool: name });
  const PLAIN = {
    v: tool("point"), b: tool("box"), p: tool("brush"), e: tool("erase"), h: tool("pan"),
    t: () => actions.focusFind(),
    n: () => app.session.select(null),
    f: () => app.stage.fit(),
    z: () => app.stage.zoomTo(1),
    "+": () => app.stage.zoomBy(1.25), "=": () => app.stage.zoomBy(1.25), "-": () => app.stage.zoomBy(0.8),
    "[": () => app.player.mark(-1), "]": () => app.player.mark(1),
    i: () => setRange(0), o: () => setRange(1),
    r: () => store.set({ loop: !state.loop }),
    home: () => app.player.seek(0),
    end: () => app.player.seek(state.info.total_frames - 1),
    delete: remove, backspace: remove,
  };
  function remove() {
    if (state.selected !== null && !isRunning(state)) app.session.remove(state.selected);
  }

  /** Returns whether the key meant something. */
  function act(event) {
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    if (event.key === "?") return actions.help() ?? true;
    if (app.images.key(event)) return true;
    if (event.key === "Escape") return escape();
    if (state.view !== "work" || (state.tab !== "video" && state.tab !== "images")) return false;
    if (command && key === "z") return (event.shiftKey ? app.session.redo() : app.session.undo(), true);
    if (command && key === "y") return (app.session.redo(), true);
    if (command && event.key === "Enter") return (app.runs.start(), true);
    if (command) return false;
    if (event.altKey && ARROWS[event.key]) return (aim(ARROWS[event.key], event.shiftKey), true);
    if (event.key === "Enter" && app.overlay.aimed()) {
      const point = app.overlay.aimed();
      return (app.pointer.click(point, event.shiftKey, true), true);
    }
    if (event.altKey) return false;
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    if (digit) {
      const id = Number(digit);
      if (!state.objects.some((o) => o.id === id)) return false;
      if (event.shiftKey) actions.toggleShow({ dataset: { id } });
      else app.session.select(id);
      return true;
    }
    if (key === "arrowleft" || key === "arrowright") {
      return (app.player.step((key === "arrowleft" ? -1 : 1) * (event.shiftKey ? 10 : 1)), true);
    }
    const plain = PLAIN[key];
    if (plain && !(event.shiftKey && key.length === 1 && /[a-z]/.test(key))) return (plain(), true);
    return false;
  }

  function escape() {
    if (app.help.isOpen()) app.help.close();
    else if (app.overlay.aimed()) app.overlay.aim(null);
    else if (isRunning(state)) app.runs.stop();
    else if (state.answer) store.set({ answer: null });
    else app.toast.clear();
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab") app.parts.root.toggleAttribute("data-tabbed", true);
    if (event.defaultPrevented || event.target.closest?.(TYPING)) return;
    if (event.key === " ") {
      if (event.target.closest?.("button, a") && !event.target.closest(".s3 canvas")) {
        // A focused button keeps Space for itself, unless it is one of the transport's.
        if (!event.target.closest(".trans, .tl")) return;
      }
      event.preventDefault();
      if (!event.repeat) {
        panned = false;
        app.pointer.space(true);
      }
      return;
    }
    // Enter on a focused control presses it; only with Ctrl it runs.
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && event.target.closest?.("button, a")) return;
    if (act(event)) event.preventDefault();
  });
  document.addEventListener("pointerdown", () => app.parts.root.removeAttribute("data-tabbed"), true);
  document.addEventListener("pointermove", () => {
    if (app.pointer.panned()) panned = true;
  });
  document.addEventListener("keyup", (event) => {
    if (event.key !== " " || event.target.closest?.(TYPING)) return;
    if (event.target.closest?.("button, a") && !event.target.closest(".trans, .tl")) return;
    event.preventDefault();
    app.pointer.space(false);
    if (!panned && state.view === "work") app.player.toggle();
  });
}
