// The Propagate box: direction, range, objects, one button that names its work; progress and stop.

import { count, esc, paint } from "./dom.js";
import { icon } from "./icons.js";
import { plan } from "./plan.js";
import { isRunning, objectOf } from "./store.js";

export function mountRunBox(app) {
  const { store, state, parts, actions } = app;

  const chosen = (ids) => (!ids ? "All" : ids.length === 1 ? objectOf(state, ids[0]).name : count(ids.length, "object"));

  function idle() {
    const work = plan(state);
    const way = (name, label, glyph) => {
      const off = name !== "forward" && state.model?.capabilities?.backward === false;
      return `<button role="radio" aria-checked="${work.direction === name}" class="${work.direction === name ? "on" : ""}" data-do="direction" data-way="${name}" data-key="way-${name}" ${off ? 'disabled title="This engine only goes forward"' : ""}>${icon(glyph, "s")}${label}</button>`;
    };
    const seconds = state.rate ? work.frames / state.rate : null;
    const kept = work.approved ? `${count(work.approved, "approved frame")} stay${work.approved === 1 ? "s" : ""} as ${work.approved === 1 ? "it is" : "they are"}` : "";
    const under = work.reason || (work.done && !state.range ? "Everything is up to date" : kept ? kept : seconds ? `About ${duration(seconds)} at ${state.rate.toFixed(1)} frames/s` : "Masks appear as they are computed");
    const end = (state.info?.total_frames ?? 1) - 1;
    return `<div class="sh">Propagate<span class="grow"></span>${state.range || state.direction || state.target !== null ? `<button class="ib" data-do="wholeRange" title="Back to the page's own choice" aria-label="Reset the range">${icon("reset", "s")}</button>` : ""}</div><div class="runb">
      <div class="seg" role="radiogroup" aria-label="Direction">${way("backward", "Back", "left")}${way("both", "Both", "both")}${way("forward", "Forward", "right")}</div>
      <div class="kv"><span class="muted hide-s">Frames</span><input class="num" type="number" min="0" max="${end}" data-range="0" data-key="r0" value="${work.first}" aria-label="First frame"><span class="muted">to</span><input class="num" type="number" min="0" max="${end}" data-range="1" data-key="r1" value="${work.last}" aria-label="Last frame"><button class="dd" style="margin-left:auto" data-do="runTarget" data-key="rt" aria-haspopup="menu" aria-label="Objects to propagate: ${esc(chosen(work.ids))}" ${state.objects.length ? "" : "disabled"}><span class="clip">${esc(chosen(work.ids))}</span>${icon("car", "s")}</button></div>
      ${unfinished()}<button class="btn pri big" data-do="propagate" data-key="go" ${work.possible ? "" : "disabled"}>Propagate ${count(work.frames, "frame")}<kbd class="hide-s">Ctrl Enter</kbd></button>
      <div class="muted sm under">${under}</div></div>`;
  }

  /** What to do about a run that was stopped, failed, or was cut off by the server's end. */
  function unfinished() {
    const run = state.run;
    if (!run?.resumable) return "";
    const what = { interrupted: "Interrupted", error: "Failed" }[run.state] ?? "Stopped";
    return `<div class="kv sm" role="status"><span class="muted">${what} after <span class="mono">${run.done}</span> of ${count(run.total, "frame")}</span><button class="btn" style="margin-left:auto" data-do="resume" data-key="resume">Resume</button></div>`;
  }

  function running() {
    const run = state.run;
    const share = run.total ? Math.min(1, run.done / run.total) : 0;
    const rate = run.frames_per_second || app.runs.live().rate;
    const left = rate && run.total ? (run.total - run.done) / rate : null;
    const who = run.obj_ids?.length === 1 ? objectOf(state, run.obj_ids[0]).name : run.obj_ids && run.obj_ids.length < state.objects.length ? count(run.obj_ids.length, "object") : "all objects";
    const waiting = run.state === "queued" || !run.total;
    const end = run.end_frame_index ?? (run.direction === "backward" ? 0 : (state.info?.total_frames ?? 1) - 1);
    const where = waiting ? (run.state === "queued" && run.queue_position > 0 ? `Waiting in line, place ${run.queue_position}` : "Starting") : `Frame <span class="mono">${run.frame_index ?? run.start_frame_index}</span>${run.direction === "both" ? "" : ` of <span class="mono">${end}</span>`}`;
    return `<div class="sh"><span class="clip">Propagating ${esc(who)}</span><span class="grow"></span><span class="mono muted" style="font-weight:400;padding-right:6px">${waiting ? "" : `${Math.floor(share * 100)}%`}</span></div><div class="runb">
      <div class="bar ${waiting ? "wait" : ""}" role="progressbar" aria-valuenow="${Math.round(share * 100)}" aria-valuemin="0" aria-valuemax="100" aria-label="Propagation"><i style="width:${(share * 100).toFixed(1)}%"></i></div>
      <div class="kv sm"><span>${where}</span><span class="grow"></span><span class="muted">${rate ? `<span class="mono">${rate.toFixed(1)}</span> frames/s` : ""}${left !== null ? ` · ${duration(left)} left` : ""}</span></div>
      <button class="btn big stop" data-do="stop" data-key="stop">${icon("stop", "s")}Stop and keep ${count(run.done ?? 0, "frame")}<kbd class="hide-s">Esc</kbd></button></div>`;
  }

  function draw() {
    const still = state.info?.kind === "image" || (state.info && state.info.total_frames === 1);
    parts.run.hidden = Boolean(still) || !state.info;
    if (!parts.run.hidden) paint(parts.run, isRunning(state) ? running() : idle());
  }

  store.on(["objects", "concepts", "edits", "selected", "info", "run", "direction", "range", "target", "rate", "model"], draw);

  parts.run.addEventListener("change", (event) => {
    const which = event.target.dataset.range;
    if (which === undefined) return;
    const work = plan(state);
    const end = state.info.total_frames - 1;
    const value = parseInt(event.target.value, 10);
    const range = [work.first, work.last];
    if (Number.isFinite(value)) range[which] = Math.min(end, Math.max(0, value));
    if (range[0] > range[1]) range.reverse();
    event.target.blur();
    parts.run.s3html = null;
    store.set({ range });
  });
  parts.run.addEventListener("keydown", (event) => {
    if (event.target.dataset.range !== undefined && event.key === "Enter") event.target.blur();
  });

  Object.assign(actions, {
    direction: (button) => store.set({ direction: button.dataset.way }),
    wholeRange: () => store.set({ range: null, target: null, direction: null }),
    propagate: () => app.runs.start(),
    resume: () => app.runs.resume(),
    stop: () => app.runs.stop(),
    runTarget(button) {
      const { ids } = plan(state);
      const pick = (value) => () => store.set({ target: value });
      app.popover.open(button, [
        { label: "All objects", mark: !ids, run: pick("all") },
        ...state.objects.map((o) => ({ label: o.name, object: o, mark: ids?.length === 1 && ids[0] === o.id, run: pick(o.id) })),
      ]);
    },
  });
}

/** Seconds in words that fit a narrow line. */
export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}
