// The ruler with the run's range, the thumbnails, and a lane an object: solid is computed, hatched out
// of date, dotted never computed. Positions are percentages of the part of the video in view.

import { chip, clamp, esc, lastAtMost, paint } from "./dom.js";
import { icon } from "./icons.js";
import { plan } from "./plan.js";
import { thumbnails } from "./strip.js";
import { editObjects, isRunning, isVisible } from "./store.js";

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];

export function mountTimeline(app) {
  const { store, state, parts } = app;
  const root = document.createElement("div");
  root.className = "tl";
  root.innerHTML = `
    <div class="fix"><div class="tlh"><div class="l0"></div></div><div class="tracks"><div class="in"><div class="ruler"></div><div class="strip"></div></div><div class="phw"><div class="ph"><span role="slider" tabindex="0" aria-label="Playhead"></span></div></div></div></div>
    <div class="lanes"><div class="tlh heads"></div><div class="tracks"><div class="in rows"></div><div class="phw"><div class="ph"></div></div></div></div>`;
  parts.time.append(root);
  const $ = (q) => root.querySelector(q);
  const [ruler, strip, rows, heads, knob] = [$(".ruler"), $(".strip"), $(".rows"), $(".heads"), $(".ph span")];
  const lines = root.querySelectorAll(".ph");
  let view = [0, 1]; // the frames in view, first and last

  const last = () => Math.max(1, (state.info?.total_frames ?? 2) - 1);
  const pos = (f) => ((f - view[0]) / (view[1] - view[0])) * 100;
  const left = (f) => `${pos(f).toFixed(3)}%`;
  // A span reaches half a frame to each side, so that one frame is wide enough to see.
  const span = (a, b) => {
    const [x0, x1] = [clamp(pos(a - 0.5), 0, 100), clamp(pos(b + 0.5), 0, 100)];
    return x1 > x0 ? `left:${x0.toFixed(3)}%;width:${(x1 - x0).toFixed(3)}%` : null;
  };
  const inView = (f) => f >= view[0] && f <= view[1];

  function drawRuler() {
    if (!state.info || state.view !== "work") return paint(ruler, "");
    const t = state.timestamps;
    const [t0, t1] = [t[Math.floor(view[0])] ?? 0, t[Math.ceil(view[1])] ?? 1];
    const width = ruler.clientWidth || 800;
    const step = STEPS.find((s) => (s / Math.max(1e-6, t1 - t0)) * width > 72) ?? 3600;
    const minor = step / 5;
    let html = "";
    for (let i = Math.ceil(t0 / minor - 1e-6); i * minor <= t1 + 1e-6; i++) {
      const seconds = i * minor;
      const big = i % 5 === 0;
      const f = frameAt(seconds);
      html += `<s class="${big ? "big" : ""}" style="left:${left(f)}"></s>`;
      if (big && pos(f) < 98) html += `<em style="left:${left(f)}">${label(seconds)}</em>`;
    }
    return paint(ruler, html + rangeBar());
  }

  /** The frame (a fraction) at a time, along the timestamps. */
  function frameAt(seconds) {
    const t = state.timestamps;
    const i = lastAtMost(t, seconds);
    const next = t[i + 1];
    return next > t[i] ? i + clamp((seconds - t[i]) / (next - t[i]), 0, 1) : i;
  }

  const label = (s) => (s < 60 ? `${Number(s.toFixed(2))}s` : `${Math.floor(s / 60)}:${String(Math.round(s % 60)).padStart(2, "0")}`);

  function rangeBar() {
    const run = isRunning(state) ? state.run : null;
    const { first, last: end, possible, done } = plan(state);
    if (run) {
      const at = run.start_frame_index ?? first;
      const far = run.end_frame_index ?? (run.direction === "backward" ? 0 : last());
      const [a, b] = run.direction === "both" ? [0, last()] : [Math.min(at, far), Math.max(at, far)];
      const share = run.total ? Math.min(100, (100 * run.done) / run.total) : 0;
      return `<div class="range run ${run.direction === "backward" ? "back" : ""}" style="${bar(a, b)}"><i class="a"></i><i class="z"></i><u style="width:${share}%"></u></div>`;
    }
    if (!possible || (done && !state.range)) return "";
    return `<div class="range" style="${bar(first, end)}"><i class="a" data-end="0"></i><i class="z" data-end="1"></i></div>`;
  }
  const bar = (a, b) => `left:${clamp(pos(a), 0, 100).toFixed(3)}%;width:${(clamp(pos(b), 0, 100) - clamp(pos(a), 0, 100)).toFixed(3)}%`;

  /** The ranges that the run on its way has done so far: the status tells them only once a second. */
  function live(o) {
    const run = state.run;
    if (!isRunning(state) || !app.runs.live().seen || (run.obj_ids?.length && !run.obj_ids.includes(o.id))) return [];
    const [at, now] = [run.start_frame_index ?? 0, run.frame_index ?? 0];
    if (run.direction === "both" && now < at) return [[now, last()]];
    return [[Math.min(at, now), Math.max(at, now)]];
  }

  function lane(object) {
    const color = `--c:${esc(object.color)}`;
    const done = live(object);
    const o = { ...object, frames: union(object.frames, done), computed: union(object.computed, done), stale: minus(object.stale, done) };
    const clear = minus(o.frames, o.stale);
    let html = gaps(o.computed).map(([a, b]) => piece("none", a, b)).join("");
    html += minus(o.computed, o.frames).map(([a, b]) => piece("gone", a, b, "Computed, and the object is not there")).join("");
    html += clear.map(([a, b]) => piece("sp", a, b, "", color)).join("");
    html += o.stale.map(([a, b]) => piece("sp stale", a, b, "Out of date since a correction: propagate again", color)).join("");
    if (isRunning(state) && state.run.frame_index != null && done.length && inView(state.run.frame_index)) {
      html += `<div class="front" style="left:${left(state.run.frame_index)}"></div>`;
    }
    return `<div class="ln ${o.id === state.selected ? "on" : ""} ${isVisible(state, o.id) ? "" : "off"}" data-id="${o.id}"><div>${html}${marks(o)}</div></div>`;
  }
  const piece = (name, a, b, title = "", style = "") => {
    const place = span(a, b);
    return place ? `<div class="${name}" style="${style};${place}"${title ? ` title="${title}"` : ""}></div>` : "";
  };
  const gaps = (ranges) => minus([[0, last()]], ranges);

  function marks(o) {
    const seen = new Set();
    let html = "";
    for (const e of state.edits) {
      if (e.kind !== "prompt" || e.undone || !editObjects(e).includes(o.id) || !inView(e.frame_index)) continue;
      for (const p of e.prompts ?? []) {
        const kind = p.type === "point" ? (p.point_labels?.at(-1) === 0 ? "minus" : "plus") : p.type === "mask" ? (p.mode === "subtract" ? "erase" : "brush") : p.type;
        if (seen.has(`${e.frame_index}${kind}`)) continue;
        seen.add(`${e.frame_index}${kind}`);
        const [shape, glyph] = { plus: ["", icon("plus")], minus: ["neg", icon("minus")], box: ["sq", icon("boxm")], text: ["sq", "<b>T</b>"], brush: ["sq", icon("brush")], erase: ["sq", icon("erase")] }[kind];
        html += `<button class="pm ${shape}" tabindex="-1" style="left:${left(e.frame_index)}" data-do="goto" data-frame="${e.frame_index}" data-id="${o.id}" title="Go to frame ${e.frame_index}" aria-label="Prompt on frame ${e.frame_index}">${glyph}</button>`;
      }
    }
    return html;
  }

  function drawLanes() {
    paint(heads, state.objects.map((o) => `<button class="lh ${o.id === state.selected ? "on" : ""} ${isVisible(state, o.id) ? "" : "off"}" data-do="select" data-id="${o.id}" data-key="lh${o.id}">${chip(o, "m")}<span class="clip">${esc(o.name)}</span></button>`).join(""));
    rows.closest(".lanes").classList.toggle("many", state.objects.length > 4);
    const later = state.view === "work" ? '<div class="later">Each object gets a lane here: where it has masks, and where they are out of date.</div>' : "";
    paint(rows, state.objects.map(lane).join("") || later);
  }

  function drawHead() {
    const visible = state.view === "work" && state.info && inView(state.frame);
    for (const line of lines) {
      line.hidden = !visible;
      if (visible) line.style.left = left(state.frame);
    }
    if (!visible) return;
    knob.textContent = state.frame;
    knob.setAttribute("aria-valuemin", 0);
    knob.setAttribute("aria-valuemax", last());
    knob.setAttribute("aria-valuenow", state.frame);
  }

  function setView(a, b) {
    const width = clamp(b - a, Math.min(8, last()), last());
    const from = clamp(a, 0, last() - width);
    view = [from, from + width];
    drawAll();
  }
  function drawAll() {
    paint($(".l0"), state.info && state.view === "work" ? (state.info.kind === "image" ? "Image" : `${Number(state.info.fps.toFixed(3))} fps${state.info.fps_assumed ? ", assumed" : ""}`) : "");
    drawRuler();
    drawLanes();
    drawHead();
    thumbs.draw(view);
  }

  // Dragging: the playhead anywhere, the range by its ends.
  let dragging = null;
  const frameOf = (event) => {
    const rect = ruler.getBoundingClientRect();
    return clamp(Math.round(view[0] + ((event.clientX - rect.left) / rect.width) * (view[1] - view[0])), 0, last());
  };
  const drag = (event) => {
    if (!dragging) return;
    const f = frameOf(event);
    if (dragging.end === undefined) return app.player.seek(f);
    const work = plan(state);
    const range = [...(state.range ?? [work.first, work.last])];
    range[dragging.end] = f;
    return store.set({ range: range[0] <= range[1] ? range : [range[1], range[0]] });
  };
  root.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || state.view !== "work" || event.target.closest(".pm,.lh")) return;
    if (!event.target.closest(".ruler,.strip,.ln,.ph")) return;
    const id = event.target.closest(".ln")?.dataset.id;
    if (id) app.session.select(Number(id));
    const end = event.target.dataset.end;
    dragging = end === undefined ? {} : { end: Number(end) };
    root.setPointerCapture(event.pointerId);
    app.scrubbing = end === undefined;
    if (end === undefined) {
      app.player.pause();
      drag(event);
    }
  });
  root.addEventListener("pointermove", drag);
  for (const name of ["pointerup", "pointercancel"]) root.addEventListener(name, () => (dragging = app.scrubbing = null));
  root.addEventListener("wheel", (event) => {
    if (event.target.closest(".lanes") && !event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    const width = view[1] - view[0];
    if (event.ctrlKey) {
      const at = frameOf(event);
      const k = event.deltaY > 0 ? 1.2 : 1 / 1.2;
      setView(at - (at - view[0]) * k, at + (view[1] - at) * k);
    } else setView(view[0] + ((event.deltaX || event.deltaY) / 800) * width, view[1] + ((event.deltaX || event.deltaY) / 800) * width);
  }, { passive: false });

  const thumbs = thumbnails(app, strip);
  new ResizeObserver(() => {
    drawRuler();
    thumbs.draw(view);
  }).observe(ruler);
  store.on(["sid", "view"], () => setView(0, last()));
  store.after(["timestamps", "info"], drawAll);
  store.after(["objects", "edits", "selected", "hidden", "solo", "view"], drawLanes);
  store.after(["objects", "edits", "range", "target", "direction", "run", "selected"], drawRuler);
  store.after(["run"], () => isRunning(state) && drawLanes());
  store.after(["frame"], () => {
    if (state.info && !inView(state.frame)) {
      const width = view[1] - view[0];
      setView(state.frame - width / 2, state.frame + width / 2);
    }
    drawHead();
  });

  return {
    retry: thumbs.retry,
    /** 0: the whole video; 1: as near as it goes. The playhead stays in view. */
    zoomTo(share) {
      const width = last() * (Math.min(24, last()) / last()) ** share;
      setView(state.frame - width / 2, state.frame + width / 2);
    },
  };
}

/** Sorted inclusive ranges that cover both. */
export function union(ranges, others) {
  const out = [];
  for (const [a, b] of [...ranges, ...others].sort((p, q) => p[0] - q[0])) {
    const end = out.at(-1);
    if (end && a <= end[1] + 1) end[1] = Math.max(end[1], b);
    else out.push([a, b]);
  }
  return out;
}

/** The parts of sorted inclusive ranges that none of the others cover. */
export function minus(ranges, others) {
  const out = [];
  for (const [a, b] of ranges) {
    let at = a;
    for (const [c, d] of others) {
      if (d < at || c > b) continue;
      if (c > at) out.push([at, c - 1]);
      at = Math.max(at, d + 1);
    }
    if (at <= b) out.push([at, b]);
  }
  return out;
}
