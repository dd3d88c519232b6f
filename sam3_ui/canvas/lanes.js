// A lane an object: solid is computed, hatched out of date, dotted never computed, dark with a triangle to be
// looked at, a line with a tick approved. Where the prompts sit is marked by their kind.

import { chip, esc, paint } from "./dom.js";
import { icon, TRIANGLE } from "./icons.js";
import { plan } from "./plan.js";
import { minus, spanText, union } from "./ranges.js";
import { editObjects, isRunning, isVisible } from "./store.js";

const MARKS = { plus: ["", "plus"], minus: ["neg", "minus"], box: ["sq", "boxm"], text: ["sq", null], brush: ["sq", "brush"], erase: ["sq", "erase"], split: ["sq", "split"] };

/** A prompt's kind as the lanes mark it. */
function kindOf(p) {
  if (p.type === "point") return p.point_labels?.at(-1) === 0 ? "minus" : "plus";
  if (p.type === "mask") return p.mode === "subtract" ? "erase" : "brush";
  return p.type;
}

/** Draws lanes into `rows` and their heads into `heads`. `at` places frames: { last(), left(f), span(a, b), inView(f) }. */
export function createLanes(app, heads, rows, at) {
  const { state } = app;

  const piece = (name, [a, b], title = "", style = "") => {
    const place = at.span(a, b);
    return place ? `<div class="${name}" style="${style};${place}" data-from="${a}" data-to="${b}"${title ? ` title="${title}"` : ""}></div>` : "";
  };

  /** The ranges that the run on its way has done so far: the status tells them only once a second. */
  function live(o) {
    const run = state.run;
    if (!isRunning(state) || !app.runs.live().seen || (run.obj_ids?.length && !run.obj_ids.includes(o.id))) return [];
    const [from, now] = [run.start_frame_index ?? 0, run.frame_index ?? 0];
    if (run.direction === "both" && now < from) return [[now, at.last()]];
    return [[Math.min(from, now), Math.max(from, now)]];
  }

  function lane(object, work) {
    const color = `--c:${esc(object.color)}`;
    const done = live(object);
    const o = { ...object, frames: union(object.frames, done), computed: union(object.computed, done), stale: minus(object.stale, done) };
    const on = o.id === state.selected;
    let html = minus([[0, at.last()]], o.computed).map((r) => piece("none", r)).join("");
    html += minus(o.computed, o.frames).map((r) => piece("gone", r, "Computed, and the object is not there")).join("");
    html += minus(o.frames, o.stale).map((r) => piece("sp", r, "", color)).join("");
    html += o.stale.map((r) => piece("sp stale", r, "Out of date since a correction: propagate again", color)).join("");
    html += approved(o);
    html += problems(o);
    if (state.range && (work.ids ? work.ids.includes(o.id) : on)) html += picked(state.range);
    if (isRunning(state) && state.run.frame_index != null && done.length && at.inView(state.run.frame_index)) {
      html += `<div class="front" style="left:${at.left(state.run.frame_index)}"></div>`;
    }
    return `<div class="ln ${on ? "on" : ""} ${isVisible(state, o.id) ? "" : "off"}" data-id="${o.id}" data-key="ln${o.id}"><div>${html}${marks(o)}</div></div>`;
  }

  const all = (o) => o.computed.length > 0 && !minus(o.computed, o.approved ?? []).length;

  function approved(o) {
    const whole = all(o); // its head has the tick
    const line = ([a, b]) => {
      const place = at.span(a, b);
      return place ? `<div class="okd" style="${place}" title="Approved: ${spanText([a, b])}">${whole ? "" : icon("check")}</div>` : "";
    };
    return (o.approved ?? []).map(line).join("");
  }

  function problems(o) {
    const mine = state.problems.filter((p) => p.obj_id === o.id);
    const dark = mine.filter((p) => p.kind === "score_drop").map((p) => piece("low", [p.frame_index, p.last_frame_index ?? p.frame_index]));
    const signs = mine.filter((p) => at.inView(p.frame_index)).map((p) => `<button class="pb" tabindex="-1" style="left:${at.left(p.frame_index)}" data-do="goto" data-frame="${p.frame_index}" data-id="${o.id}" title="Frame ${p.frame_index}: ${esc(p.detail)}" aria-label="To check on frame ${p.frame_index}: ${esc(p.detail)}">${TRIANGLE}</button>`);
    return dark.join("") + signs.join("");
  }

  function picked([a, b]) {
    const place = at.span(a, b);
    return place ? `<div class="pick" style="${place}"><i class="a" data-end="0"></i><i class="z" data-end="1"></i></div>` : "";
  }

  function marks(o) {
    const seen = new Set();
    let html = "";
    for (const e of state.edits) {
      const split = e.kind === "split" && (e.obj_id === o.id || e.new_obj_id === o.id);
      const prompted = e.kind === "prompt" && editObjects(e).includes(o.id);
      if (e.undone || !(split || prompted) || !at.inView(e.frame_index)) continue;
      for (const kind of split ? ["split"] : (e.prompts ?? []).map(kindOf)) {
        if (seen.has(`${e.frame_index}${kind}`)) continue;
        seen.add(`${e.frame_index}${kind}`);
        const [shape, glyph] = MARKS[kind];
        html += `<button class="pm ${shape}" tabindex="-1" style="left:${at.left(e.frame_index)}" data-do="goto" data-frame="${e.frame_index}" data-id="${o.id}" title="Go to frame ${e.frame_index}" aria-label="${split ? "Split" : "Prompt"} on frame ${e.frame_index}">${glyph ? icon(glyph) : "<b>T</b>"}</button>`;
      }
    }
    return html;
  }

  function head(o) {
    const on = o.id === state.selected;
    return `<button class="lh ${on ? "on" : ""} ${isVisible(state, o.id) ? "" : "off"}" data-do="select" data-id="${o.id}" data-key="lh${o.id}">${chip(o, "m")}<span class="clip grow">${esc(o.name)}</span>${all(o) ? `<span class="mk" title="Approved">${icon("check")}</span>` : ""}</button>`;
  }

  return {
    draw() {
      const work = plan(state);
      paint(heads, state.objects.map(head).join(""));
      rows.closest(".lanes").classList.toggle("many", state.objects.length > 4);
      const later = state.view === "work" ? '<div class="later">Each object gets a lane here: where it has masks, and where they are out of date.</div>' : "";
      paint(rows, state.objects.map((o) => lane(o, work)).join("") || later);
    },
  };
}
