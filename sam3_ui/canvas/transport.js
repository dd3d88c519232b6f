// Play, step, timecode, frame field, speed, loop; and what is out of date.

import { esc, paint, timecode } from "./dom.js";
import { STRIPES, icon } from "./icons.js";
import { frameCount } from "./store.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4];

export const staleFrames = (state) => state.objects.reduce((n, o) => n + frameCount(o.stale), 0);

export function mountTransport(app) {
  const { store, state, parts, actions } = app;
  const bar = document.createElement("div");
  bar.className = "trans";
  parts.time.append(bar);
  bar.innerHTML = `
    <button class="ib edge" data-do="prevMark" title="Previous prompt ([)" aria-label="Previous mark">${icon("prev", "s")}</button>
    <button class="ib" data-do="stepBack" title="Step back (←)" aria-label="Step back">${icon("back", "s")}</button>
    <button class="ib play" data-do="play" title="Play (Space)" aria-label="Play"></button>
    <button class="ib" data-do="stepForward" title="Step forward (→)" aria-label="Step forward">${icon("fwd", "s")}</button>
    <button class="ib edge" data-do="nextMark" title="Next prompt (])" aria-label="Next mark">${icon("next", "s")}</button>
    <span class="tc"><span class="now"></span><span class="mono muted hide-s all"></span></span>
    <label class="fr"><span class="muted">Frame</span><input class="n" inputmode="numeric" aria-label="Frame"><span class="mono muted hide-s of"></span></label>
    <button class="dd" data-do="speed" style="margin-left:4px" aria-haspopup="menu" aria-label="Playback speed" title="Speed"><span class="v"></span>${icon("car", "s")}</button>
    <button class="ib hide-s loop" data-do="loop" title="Loop the range (R)" aria-label="Loop the range">${icon("loop", "s")}</button>
    <span class="grow"></span><span class="more"></span>
    <span class="line hide-m tz" style="margin:0 6px 0 10px;color:var(--muted)">${icon("film", "s")}<input type="range" class="slider" min="0" max="100" value="0" aria-label="Timeline zoom" title="Timeline zoom (< and >)"></span>`;
  const $ = (q) => bar.querySelector(q);
  const field = $("input.n");

  store.on(["frame", "timestamps", "info", "view"], () => {
    const { info, timestamps: t, frame } = state;
    bar.classList.toggle("wait", state.view !== "work");
    const last = info ? info.total_frames - 1 : 0;
    $(".now").textContent = timecode(info ? (t[frame] ?? 0) : 0);
    $(".all").textContent = info ? `/ ${timecode(info.duration_seconds ?? 0)}` : "/ –";
    $(".of").textContent = info ? `of ${last}` : "";
    field.style.width = `${Math.max(3, String(last).length)}ch`;
    if (document.activeElement !== field) field.value = info ? frame : "–";
  });
  store.on(["playing"], () => {
    const play = $(".play");
    paint(play, icon(state.playing ? "pause" : "play"));
    play.setAttribute("aria-label", state.playing ? "Pause" : "Play");
    play.title = state.playing ? "Pause (Space)" : "Play (Space)";
  });
  store.on(["speed"], () => ($(".dd .v").textContent = `${state.speed}×`));
  store.on(["loop"], () => {
    $(".loop").classList.toggle("on", state.loop);
    $(".loop").setAttribute("aria-pressed", String(state.loop));
  });
  store.on(["objects", "view", "problems"], () => {
    const stale = staleFrames(state);
    const n = state.problems.length;
    const check = n && state.view === "work" ? `<button class="sum" data-do="nextProblem" data-key="check" title="Go to the next frame to check (.)"><span class="warnc">${icon("warn", "s")}</span>${n}<span class="hide-s">to check</span></button>` : "";
    paint($(".more"), check + (stale && state.view === "work" ? `<button class="sum hide-s" data-do="nextStale" data-key="stale" title="Go to the next frame that is out of date">${STRIPES}${esc(stale)} out of date</button>` : ""));
  });
  field.addEventListener("focus", () => field.select());
  field.addEventListener("change", () => app.player.seek(parseInt(field.value, 10)));
  field.addEventListener("keydown", (e) => {
    if (e.key === "Enter" || e.key === "Escape") {
      field.blur();
      app.parts.canvas.focus({ preventScroll: true });
    }
  });
  field.addEventListener("blur", () => (field.value = state.frame));
  store.after(["timeZoom"], () => ($(".slider").value = Math.round(100 * state.timeZoom)));
  $(".slider").addEventListener("input", (e) => app.timeline.zoomTo(Number(e.target.value) / 100));

  Object.assign(actions, {
    play: () => app.player.toggle(),
    stepBack: () => app.player.step(-1),
    stepForward: () => app.player.step(1),
    prevMark: () => app.player.mark(-1),
    nextMark: () => app.player.mark(1),
    loop: () => store.set({ loop: !state.loop }),
    nextStale() {
      const starts = state.objects.flatMap((o) => o.stale.map(([a]) => a)).sort((a, b) => a - b);
      if (starts.length) app.player.seek(starts.find((f) => f > state.frame) ?? starts[0]);
    },
    speed: (button) => app.popover.open(button, SPEEDS.map((s) => ({ label: `${s}×`, mark: s === state.speed, run: () => store.set({ speed: s }) }))),
  });
}
