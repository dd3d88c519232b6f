// What lies over the picture as elements: object tags, prompt marks, the hint at the pointer.

import { chip, esc, needsWhite, paint } from "./dom.js";
import { icon } from "./icons.js";
import { objectAt, visible } from "./masks.js";
import { holds } from "./ranges.js";
import { shapeOf } from "./results.js";
import { editObjects, isRunning, objectOf } from "./store.js";

const CROSS = '<svg class="aim" viewBox="0 0 22 22" style="left:X;top:Y"><path d="M11 1v7M11 14v7M1 11h7M14 11h7" stroke="#000" stroke-width="4"/><path d="M11 1v7M11 14v7M1 11h7M14 11h7" stroke="#fff" stroke-width="2"/></svg>';

export function createOverlay(app) {
  const { state, parts } = app;
  const layers = {};
  for (const name of ["tags", "source", "marks", "hint"]) {
    layers[name] = document.createElement("div");
    layers[name].className = "layer";
    parts.overlay.append(layers[name]);
  }
  let pane; // the left edge of the pane that marks are being drawn for; undefined: the look's
  let pointer = null; // { x, y, inside, cx, cy } at the pointer
  let drag = null; // { x0, y0, x1, y1 } of the box being drawn, normalised
  let aim = null; // the keyboard's crosshair, normalised

  const at = (x, y) => {
    const [px, py] = app.stage.project(x, y, pane);
    return `left:${px.toFixed(1)}px;top:${py.toFixed(1)}px`;
  };

  function tags() {
    const placed = [];
    return visible(app, state.shown)
      .reverse()
      .map((entry) => {
        const object = objectOf(state, entry.id);
        const { mask } = shapeOf(entry);
        const [x, top] = app.stage.project(mask.top / mask.width, mask.y0 / mask.height);
        const half = 14 + object.name.length * 3.4;
        const { width, height } = app.stage.area();
        const cx = Math.min(width - half - 4, Math.max(app.stage.panes().at(-1) + half + 4, x));
        let cy = Math.min(height - 6, Math.max(26, top - 5));
        for (let i = 0; i < 6; i++) {
          const hit = placed.find((p) => Math.abs(p.cx - cx) < p.half + half && Math.abs(p.cy - cy) < 22);
          if (!hit) break;
          cy = hit.cy + 22;
        }
        placed.push({ cx, cy, half });
        const selected = entry.id === state.selected;
        return `<button tabindex="-1" class="tag ${selected ? "sel" : ""} ${needsWhite(object.color) ? "w" : ""}" data-do="select" data-id="${entry.id}" style="--c:${esc(object.color)};left:${cx.toFixed(1)}px;top:${cy.toFixed(1)}px">${chip(object)}${esc(object.name)}${holds(object.approved ?? [], state.shown) ? icon("check") : ""}</button>`;
      })
      .join("");
  }

  function marksOf(prompts, color) {
    return prompts
      .map((p) => {
        if (p.type === "point") {
          return p.points
            .map(([x, y], i) => {
              const add = p.point_labels[i] !== 0;
              return `<span class="pt ${add ? "" : "neg"} ${needsWhite(color) ? "w" : ""}" style="--c:${esc(color)};${at(x, y)}">${icon(add ? "plus" : "minus")}</span>`;
            })
            .join("");
        }
        if (p.type === "box") return boxMark(p.box);
        return "";
      })
      .join("");
  }

  function boxMark([x, y, w, h]) {
    const [x0, y0] = app.stage.project(x, y, pane);
    const [x1, y1] = app.stage.project(x + w, y + h, pane);
    return `<span class="boxp" style="left:${x0.toFixed(1)}px;top:${y0.toFixed(1)}px;width:${(x1 - x0).toFixed(1)}px;height:${(y1 - y0).toFixed(1)}px"></span>`;
  }

  function marks() {
    if (state.playing) return "";
    const active = state.edits.filter((e) => e.kind === "prompt" && !e.undone && e.frame_index === state.shown && editObjects(e).includes(state.selected));
    let html = active.map((e) => marksOf(e.prompts ?? [], objectOf(state, state.selected).color)).join("");
    for (const p of state.pending) if (p.frame === state.shown) html += marksOf(p.prompts, p.id === null ? "#ECEEF0" : objectOf(state, p.id).color);
    if (drag) html += boxMark([Math.min(drag.x0, drag.x1), Math.min(drag.y0, drag.y1), Math.abs(drag.x1 - drag.x0), Math.abs(drag.y1 - drag.y0)]);
    if (aim) {
      const [x, y] = app.stage.project(aim.x, aim.y, pane);
      html += CROSS.replace("X", `${x}px`).replace("Y", `${y}px`);
    }
    return html;
  }

  /** What Enter would do at the crosshair, in words. */
  function keyWords() {
    const who = state.selected !== null ? esc(objectOf(state, state.selected).name) : state.born ? "the new object" : null;
    if (state.tool === "box") return app.aim.begun() ? ["Enter sets the other corner", "Esc drops the box"] : [`Enter sets a corner of a box${who ? ` around ${who}` : ""}`, ""];
    if (state.tool === "brush" || state.tool === "erase") return app.aim.begun() ? ["Enter lifts the brush", "Esc drops the stroke"] : ["Enter puts the brush down", ""];
    return who ? [`Enter adds to ${who}`, "Shift Enter takes away"] : ["Enter starts an object", ""];
  }

  /** What the next click would do, in words: [first line, second line]. */
  function words(hover) {
    if (state.splitting !== null) return ["Click this part to split it off", app.repair.splitWords()];
    if (hover.keys) return keyWords();
    const name = state.selected === null ? null : esc(objectOf(state, state.selected).name);
    const who = name ?? (state.born ? "the new object" : null);
    if (state.tool === "box") return [who ? `Drag a box around ${who}` : "Drag a box around an object", ""];
    const other = objectAt(app, state.shown, [hover.x, hover.y]);
    if (other !== null && state.selected !== null && other !== state.selected) {
      return [`Click selects ${esc(objectOf(state, other).name)}`, `Shift-click adds to ${name}`];
    }
    return who ? [`Click adds to ${who}`, "Alt-click takes away"] : ["Click starts an object", "or drag a box around it"];
  }

  /** The crosshair as a place to hang the hint at. */
  function aimed() {
    const [cx, cy] = app.stage.project(aim.x, aim.y);
    return { ...aim, cx, cy, inside: true, still: true, keys: true };
  }

  function hint() {
    const hover = aim ? aimed() : pointer;
    if (!hover?.inside || state.view !== "work" || state.playing || (drag && !aim) || state.shown < 0 || isRunning(state)) return "";
    const brush = state.tool === "brush" || state.tool === "erase";
    if (brush && !aim) return `<span class="ring" style="left:${hover.cx}px;top:${hover.cy}px;width:${state.brush}px;height:${state.brush}px"></span>`;
    if (state.tool === "pan" || !hover.still) return "";
    const [first, second] = words(hover);
    const { width, height } = app.stage.area();
    const right = hover.cx + 200 > width;
    const low = hover.cy + 70 > height;
    const x = right ? `right:${(width - hover.cx + 14).toFixed(0)}px` : `left:${(hover.cx + 16).toFixed(0)}px`;
    const y = low ? `bottom:${(height - hover.cy + 12).toFixed(0)}px` : `top:${(hover.cy + 14).toFixed(0)}px`;
    const ring = brush ? `<span class="ring" style="left:${hover.cx}px;top:${hover.cy}px;width:${state.brush}px;height:${state.brush}px"></span>` : "";
    return `${ring}<span class="hint" style="${x};${y}">${first}${second ? `<span>${second}</span>` : ""}</span>`;
  }

  const drawHint = () => paint(layers.hint, hint());
  app.store.after(["pending", "edits", "playing", "tool", "selected", "brush", "view", "born", "splitting"], () => app.stage.draw());

  return {
    update() {
      const on = state.view === "work" && state.shown >= 0;
      paint(layers.tags, on ? tags() : "");
      paint(layers.marks, on ? marks() : "");
      const sides = app.stage.panes();
      if (sides.length > 1) [pane] = sides;
      paint(layers.source, on && sides.length > 1 ? marks() : "");
      pane = undefined;
      // What hangs over the seam belongs to one side of it.
      layers.tags.style.clipPath = layers.marks.style.clipPath = sides.length > 1 ? `inset(0 0 0 ${sides.at(-1)}px)` : "";
      layers.source.style.width = sides.length > 1 ? `${app.stage.paneWidth()}px` : "";
      drawHint();
    },
    hover(value) {
      pointer = value;
      drawHint();
    },
    drag(value) {
      drag = value;
      app.stage.draw();
    },
    aim(value) {
      aim = value;
      app.stage.draw();
    },
    aimed: () => aim,
  };
}
