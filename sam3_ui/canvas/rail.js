// The tools at the left, and the status line under the picture.

import { esc, paint } from "./dom.js";
import { icon } from "./icons.js";
import { problemAt } from "./problems.js";
import { isRunning } from "./store.js";

const TOOLS = [["point", "Point", "V"], ["box", "Box", "B"], ["brush", "Brush", "P"], ["erase", "Eraser", "E"], ["text", "Text", "T"], null, ["pan", "Pan", "H"]];
const NEEDS = { point: "points", box: "box", brush: "mask", erase: "mask", text: "text" };

export function mountRail(app) {
  const { store, state, parts, actions } = app;

  function drawRail() {
    const bare = state.view !== "work";
    const caps = state.model?.capabilities ?? {};
    const tool = (t) => {
      if (!t) return "<hr>";
      const [id, label, key] = t;
      const missing = caps[NEEDS[id]] === false;
      const title = missing ? (id === "text" ? "Finding by words needs SAM 3" : `This engine has no ${label.toLowerCase()} prompts`) : `${label} (${key})`;
      const on = !bare && state.tool === id;
      return `<button class="tool ${on ? "on" : ""}" data-do="tool" data-tool="${id}" data-key="tool-${id}" ${bare || missing ? "disabled" : ""} title="${title}" aria-label="${label}" aria-pressed="${on}">${icon(id)}<span class="k">${key}</span></button>`;
    };
    const busy = isRunning(state);
    paint(parts.rail, `${TOOLS.map(tool).join("")}<span class="grow"></span>
      <button class="tool" data-do="undo" data-key="undo" ${bare || !state.canUndo || busy ? "disabled" : ""} title="Undo (Ctrl Z)" aria-label="Undo">${icon("undo")}</button>
      <button class="tool" data-do="redo" data-key="redo" ${bare || !state.canRedo || busy ? "disabled" : ""} title="Redo (Ctrl Shift Z)" aria-label="Redo">${icon("redo")}</button>
      <button class="tool" data-do="help" data-key="help" title="Keys (?)" aria-label="Keyboard shortcuts">${icon("keys")}<span class="k">?</span></button>`);
  }

  function tips() {
    if (isRunning(state)) {
      return state.following
        ? '<span class="live"><span class="pulse"></span>Following the run</span><span class="hide-m">Scrub any time; the run goes on</span>'
        : '<span class="live">The run goes on</span><button class="btn" data-do="follow">Follow it</button>';
    }
    const problem = problemAt(state, state.selected, state.shown);
    if (problem) return `<span class="live clip"><span class="warnc">${icon("warn", "s")}</span>${esc(problem.detail)}</span><span class="hide-m"><b>A</b> approve</span><span class="hide-m"><b>.</b> next</span>`;
    if (state.tool === "brush" || state.tool === "erase") {
      const what = state.tool === "brush" ? "<b>Drag</b> paint" : "<b>Drag</b> erase";
      return `<span>${what}</span><label class="size">Size<input type="range" class="range-in" min="4" max="200" value="${state.brush}" data-key="brush" aria-label="Brush size"></label><span class="hide-m"><b>Alt-wheel</b> size</span>`;
    }
    if (state.tool === "box") return "<span><b>Drag</b> a box around one object</span>";
    if (state.tool === "pan") return "<span><b>Drag</b> pan</span><span><b>Wheel</b> zoom</span>";
    return '<span><b>Click</b> add</span><span><b>Alt-click</b> take away</span><span><b>Drag</b> box</span><span class="hide-m"><b>Wheel</b> zoom</span><span class="hide-m"><b>Space-drag</b> pan</span>';
  }

  function drawStat() {
    parts.stat.hidden = state.view !== "work";
    if (parts.stat.hidden) return;
    const r = state.info?.resolution;
    paint(parts.stat, `<span class="tips hide-s">${tips()}</span><span class="tips show-s">${isRunning(state) || problemAt(state, state.selected, state.shown) ? tips() : "<span><b>Tap</b> add</span><span><b>Hold</b> take away</span><span><b>Drag</b> box</span>"}</span><span class="grow"></span>
      ${state.waiting ? '<span class="live" title="The model works on it"><span class="spin"></span>Working</span>' : ""}
      <span class="mono muted hide-m">${r ? `${r.width} × ${r.height}` : ""}</span>
      <span class="zoom"><button class="ib" data-do="zoomOut" aria-label="Zoom out" title="Zoom out (−)">${icon("minus", "s")}</button><button class="mono zv" data-do="zoomFull" title="100% (Z)">${Math.round(state.zoom * 100)}%</button><button class="ib" data-do="zoomIn" aria-label="Zoom in" title="Zoom in (+)">${icon("plus", "s")}</button><button class="ib" data-do="zoomFit" aria-label="Fit" title="Fit (F)">${icon("fit", "s")}</button></span>`);
  }

  parts.stat.addEventListener("input", (event) => {
    if (event.target.matches(".range-in")) {
      state.brush = Number(event.target.value);
      app.overlay.hover(null);
    }
  });

  store.on(["view", "tool", "model", "canUndo", "canRedo", "run"], drawRail);
  store.on(["view", "tool", "info", "zoom", "run", "following", "waiting", "brush", "problems", "selected", "shown"], drawStat);

  Object.assign(actions, {
    tool(button) {
      if (button.dataset.tool === "text") actions.focusFind();
      else store.set({ tool: button.dataset.tool });
    },
    undo: () => app.session.undo(),
    redo: () => app.session.redo(),
    follow: () => app.runs.follow(),
    zoomIn: () => app.stage.zoomBy(1.25),
    zoomOut: () => app.stage.zoomBy(0.8),
    zoomFull: () => app.stage.zoomTo(1),
    zoomFit: () => app.stage.fit(),
  });
}
