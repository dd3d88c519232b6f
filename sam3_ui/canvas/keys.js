// The keyboard. Keys rest while something is typed; Space pans only when it is held and dragged.

import { clamp } from "./dom.js";
import { plan } from "./plan.js";
import { isRunning } from "./store.js";

const TYPING = "input:not([type=range]), textarea, select, [contenteditable]";
const CONTROL = "button, a, summary, [role=menuitem]";
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function mountKeys(app) {
  const { state, store, actions } = app;
  let panned = false;
  let held = false; // Space went down for the picture

  const working = () => state.view === "work" && (state.tab === "video" || state.tab === "images");
  const size = (k) => store.set({ brush: clamp(Math.round(state.brush * k), 4, 200) });

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
    l: () => actions.looks(),
    n: () => app.session.select(null),
    f: () => app.stage.fit(),
    z: () => app.stage.zoomTo(1),
    "+": () => app.stage.zoomBy(1.25), "=": () => app.stage.zoomBy(1.25), "-": () => app.stage.zoomBy(0.8),
    "[": () => app.player.mark(-1), "]": () => app.player.mark(1),
    ",": () => actions.prevProblem(), ".": () => actions.nextProblem(),
    "<": () => app.timeline.zoomBy(1.5), ">": () => app.timeline.zoomBy(1 / 1.5),
    a: approve,
    i: () => setRange(0), o: () => setRange(1),
    r: () => store.set({ loop: !state.loop }),
    home: () => app.player.seek(0),
    end: () => app.player.seek(state.info.total_frames - 1),
    delete: remove, backspace: remove,
  };
  function remove() {
    if (state.selected !== null && !isRunning(state)) app.session.remove(state.selected);
  }

  function approve() {
    if (state.selected !== null) app.repair.toggle(state.selected);
  }

  /** Returns whether the key meant something. */
  function act(event) {
    const key = event.key.toLowerCase();
    const command = event.ctrlKey || event.metaKey;
    if (event.key === "?") return actions.help() ?? true;
    // What lies over the page closes before anything under it is stopped.
    if (event.key === "Escape" && (app.help.isOpen() || app.popover.isOpen())) return escape();
    if (app.images.key(event)) return true;
    if (event.key === "Escape") return escape();
    if (!working()) return false;
    if (command && key === "z") return (event.shiftKey ? app.session.redo() : app.session.undo(), true);
    if (command && key === "y") return (app.session.redo(), true);
    if (command && event.key === "Enter") return (app.runs.start(), true);
    if (command) return false;
    if (event.altKey && ARROWS[event.key]) return (app.aim.move(ARROWS[event.key], event.shiftKey), true);
    // On a Mac, Alt makes other characters of these two.
    if (event.altKey && (event.code === "Equal" || event.code === "NumpadAdd")) return (size(1.15), true);
    if (event.altKey && (event.code === "Minus" || event.code === "NumpadSubtract")) return (size(0.87), true);
    if (event.key === "Enter") return app.aim.use(event.shiftKey);
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

  /** One thing at a time, the nearest first. */
  function escape() {
    if (app.help.isOpen()) app.help.close();
    else if (app.popover.isOpen()) app.popover.close(true);
    else if (state.splitting !== null) store.set({ splitting: null });
    else if (app.aim.back()) return true;
    else if (app.drawer.isOpen()) app.drawer.close();
    else if (app.tour.isOpen()) app.tour.end();
    else if (isRunning(state)) app.runs.stop();
    else if (state.answer) store.set({ answer: null });
    else if (state.range) store.set({ range: null, target: null });
    else app.toast.clear();
    return true;
  }

  const tabbed = () => app.parts.root.hasAttribute("data-tabbed");

  /** A button that was reached by Tab keeps Space for itself; one that was clicked, or the transport's, plays. */
  function keepsSpace(target) {
    const control = target.closest?.(CONTROL);
    if (!control || control.closest(".trans, .tl")) return false;
    return tabbed() || Boolean(control.closest("[data-part=popover], [data-part=modal]"));
  }

  /** A slider keeps the keys that move it; of a choice reached by Tab the arrows choose. */
  function keepsArrows(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return false;
    if (event.target.matches?.("input[type=range]")) return /^(Arrow|Home|End|Page)/.test(event.key);
    const group = tabbed() && ARROWS[event.key] && event.target.closest?.("[role=radiogroup]");
    if (!group) return false;
    const radios = [...group.querySelectorAll("[role=radio]:not([disabled])")];
    const [dx, dy] = ARROWS[event.key];
    const next = radios[(radios.indexOf(event.target) + dx + dy + radios.length) % radios.length];
    next?.focus();
    next?.click();
    event.preventDefault();
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab") app.parts.root.toggleAttribute("data-tabbed", true);
    if (event.defaultPrevented || event.target.closest?.(TYPING) || keepsArrows(event)) return;
    if (event.key === " ") {
      if (!working() || keepsSpace(event.target)) return;
      event.preventDefault();
      if (!event.repeat) {
        panned = false;
        held = true;
        app.pointer.space(true);
      }
      return;
    }
    // Enter on a focused control presses it; only with Ctrl it runs.
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && event.target.closest?.(CONTROL)) return;
    if (act(event)) event.preventDefault();
  });
  document.addEventListener("pointerdown", () => app.parts.root.removeAttribute("data-tabbed"), true);
  document.addEventListener("pointermove", () => {
    if (app.pointer.panned()) panned = true;
  });
  document.addEventListener("keyup", (event) => {
    if (event.key !== " " || !held) return;
    held = false;
    event.preventDefault();
    app.pointer.space(false);
    if (!panned && working()) app.player.toggle();
  });
}
