// The ruler with the run's range, the thumbnails, and a lane an object. Positions are percentages of the
// part of the video in view.

import { clamp, lastAtMost, paint } from "./dom.js";
import { createLanes } from "./lanes.js";
import { plan } from "./plan.js";
import { mountScrub } from "./scrub.js";
import { thumbnails } from "./strip.js";
import { isRunning } from "./store.js";

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
  let wide = 0; // of the ruler, in pixels
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
  const lanes = createLanes(app, heads, rows, { last, left, span, inView });

  function drawRuler() {
    if (!state.info || state.view !== "work") return paint(ruler, "");
    const t = state.timestamps;
    const [t0, t1] = [t[Math.floor(view[0])] ?? 0, t[Math.ceil(view[1])] ?? 1];
    const width = wide || 800;
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
    store.set({ timeZoom: last() > nearest() ? Math.log(width / last()) / Math.log(nearest() / last()) : 0 });
    drawAll();
  }
  const nearest = () => Math.min(24, last()); // frames in view at the slider's end

  /** Show k times as many frames about one of them, which stays where it is. */
  function zoomBy(k, about) {
    setView(about - (about - view[0]) * k, about + (view[1] - about) * k);
  }
  function drawAll() {
    paint($(".l0"), state.info && state.view === "work" ? (state.info.kind === "image" ? "Image" : `${Number(state.info.fps.toFixed(3))} fps${state.info.fps_assumed ? ", assumed" : ""}`) : "");
    drawRuler();
    lanes.draw();
    drawHead();
    thumbs.draw(view);
  }

  const frameOf = (event) => {
    const rect = ruler.getBoundingClientRect();
    return clamp(Math.round(view[0] + ((event.clientX - rect.left) / rect.width) * (view[1] - view[0])), 0, last());
  };
  mountScrub(app, root, frameOf, { get: () => view, set: setView });
  root.addEventListener("wheel", (event) => {
    if (event.target.closest(".lanes") && !event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    const width = view[1] - view[0];
    if (event.ctrlKey) {
      zoomBy(event.deltaY > 0 ? 1.2 : 1 / 1.2, frameOf(event));
    } else setView(view[0] + ((event.deltaX || event.deltaY) / 800) * width, view[1] + ((event.deltaX || event.deltaY) / 800) * width);
  }, { passive: false });

  const thumbs = thumbnails(app, strip);
  new ResizeObserver(([entry]) => {
    wide = entry.contentRect.width;
    drawRuler();
    thumbs.draw(view);
  }).observe(ruler);
  store.on(["sid", "view"], () => setView(0, last()));
  store.after(["timestamps", "info"], drawAll);
  store.after(["objects", "edits", "selected", "hidden", "solo", "view", "problems", "range", "target"], lanes.draw);
  store.after(["objects", "edits", "range", "target", "direction", "run", "selected"], drawRuler);
  store.after(["run"], () => isRunning(state) && lanes.draw());
  store.after(["frame"], () => {
    if (state.info && !inView(state.frame)) {
      const width = view[1] - view[0];
      setView(state.frame - width / 2, state.frame + width / 2);
    }
    drawHead();
  });

  return {
    retry: thumbs.retry,
    offer: thumbs.offer,
    zoomBy: (k) => zoomBy(k, state.frame),
    /** 0: the whole video; 1: as near as it goes. The playhead stays in view. */
    zoomTo(share) {
      const width = last() * (nearest() / last()) ** share;
      setView(state.frame - width / 2, state.frame + width / 2);
    },
  };
}
