// The steps of the session, newest first; undone ones struck through on top. A click goes back to one.

import { chip, count, esc, paint } from "./dom.js";
import { icon } from "./icons.js";
import { spanText } from "./ranges.js";
import { editObjects, isRunning, objectOf } from "./store.js";
import { staleFrames } from "./transport.js";

const WAYS = { forward: "forward", backward: "back", both: "both ways" };

const whole = (frames, state) => frames?.length && frames[0][0] === 0 && frames.at(-1)[1] === state.info.total_frames - 1;

/** An edit as [icon, words, shows objects, where]. */
function describe(edit, state, firsts) {
  if (edit.kind === "prompt") {
    const p = edit.prompts?.find((q) => q.type === "text") ?? edit.prompts?.[0] ?? { type: "point" };
    const born = editObjects(edit).some((id) => firsts.get(id) === edit.seq);
    const frame = String(edit.frame_index);
    if (p.type === "text") return ["text", `${editObjects(edit).length ? "Found" : "Looked for"} “${esc(p.text)}”`, true, frame];
    if (p.type === "box") return ["box", "Box around", true, frame];
    if (p.type === "mask") return p.mode === "subtract" ? ["erase", "Erased from", true, frame] : ["brush", born ? "Painted" : "Painted on", true, frame];
    return p.point_labels?.at(-1) === 0 ? ["minus", "Took away from", true, frame] : ["plus", born ? "Started" : "Added to", true, frame];
  }
  if (edit.kind === "propagate") {
    const live = isRunning(state) && edit.run_id === state.run.run_id;
    const end = live ? "" : { cancelled: ", stopped", error: ", failed", failed: ", failed", interrupted: ", interrupted" }[edit.outcome] ?? "";
    const all = (edit.obj_ids?.length ?? 0) === 0 || edit.obj_ids.length >= state.objects.length;
    const where = edit.frames ? `${edit.frames[0]}–${edit.frames[1]}` : "";
    return ["right", `${live ? "Propagating" : "Propagated"} ${all && state.objects.length > 1 ? "all " : ""}${WAYS[edit.direction] ?? ""}${end}`, !all || state.objects.length === 1, where];
  }
  if (edit.kind === "approve") return ["check", edit.approved === false ? "Took approval from" : "Approved", true, whole(edit.frames, state) ? "" : edit.frames?.length ? spanText([edit.frames[0][0], edit.frames.at(-1)[1]]) : ""];
  if (edit.kind === "split") return ["split", "Split off", true, String(edit.frame_index)];
  if (edit.kind === "merge") return ["merge", "Merged", true, ""];
  if (edit.kind === "remove") return ["trash", "Removed", true, ""];
  if (edit.kind === "rename") return edit.name != null ? ["pen", "Renamed", true, ""] : edit.label != null ? ["tag", edit.label ? `Class ${esc(edit.label)} for` : "No class for", true, ""] : ["hue", "Colour of", true, ""];
  return ["reset", "Removed everything", false, ""];
}

export function mountHistory(app) {
  const { store, state, parts, actions } = app;

  function draw() {
    const firsts = new Map();
    for (const e of state.edits) {
      if (e.new_obj_id != null) firsts.set(e.new_obj_id, e.seq);
      if (e.kind === "prompt") for (const id of editObjects(e)) if (!firsts.has(id)) firsts.set(id, e.seq);
    }
    const now = state.edits.findLast((e) => !e.undone)?.seq;
    const rows = [...state.edits].reverse().map((e) => {
      const [glyph, words, shows, where] = describe(e, state, firsts);
      const ids = shows ? (e.new_obj_id == null ? editObjects(e) : [e.new_obj_id]).slice(0, 4) : [];
      return `<li class="${e.undone ? "undone" : ""} ${e.seq === now ? "now" : ""}"><button data-do="backTo" data-seq="${e.seq}" data-key="h${e.seq}">${icon(glyph)}<span class="t">${words}</span>${ids.map((id) => chip(objectOf(state, id))).join("")}<span class="mono">${where}</span></button></li>`;
    });
    const n = state.edits.filter((e) => !e.undone).length;
    paint(parts.history, rows.length
      ? `<div class="sh">History <span class="n">${n}</span><span class="grow"></span><span class="n sm" style="padding-right:6px">Click a step to go back to it</span></div><ol>${rows.join("")}</ol>`
      : "");
  }

  function foot() {
    const stale = staleFrames(state);
    const some = state.objects.some((o) => o.frames.length);
    const line = stale ? `${count(stale, "frame")} out of date` : some ? "Up to date" : "Nothing to export yet";
    paint(parts.foot, `<span class="sm muted clip grow">${line}</span><button class="btn" data-do="export" data-key="export" aria-haspopup="menu" ${some ? "" : "disabled"}>${icon("down", "s")}Export${icon("car", "s")}</button>`);
  }

  store.on(["edits", "objects", "run"], draw);
  store.on(["objects"], foot);

  actions.backTo = (button) => {
    const seq = Number(button.dataset.seq);
    const edit = state.edits.find((e) => e.seq === seq);
    const now = state.edits.findLast((e) => !e.undone)?.seq;
    if (seq === now) {
      if (edit.frame_index !== undefined) app.player.seek(edit.frame_index);
      return undefined;
    }
    return app.session.backTo(seq);
  };
}
