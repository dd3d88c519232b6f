// The list of objects: colour, name, class, scores, show and hide, solo. The selected one has what can be done to it.

import { chip, count, esc, paint } from "./dom.js";
import { icon } from "./icons.js";
import { minus, spanText } from "./ranges.js";
import { approval } from "./repair.js";
import { spark } from "./spark.js";
import { frameCount, isRunning, isVisible, objectOf } from "./store.js";

export function mountObjects(app) {
  const { store, state, parts, actions } = app;

  function row(o) {
    const on = o.id === state.selected;
    const shown = isVisible(state, o.id);
    const frames = frameCount(o.frames);
    const what = o.label && o.label.toLowerCase() !== o.name.toLowerCase() ? esc(o.label) : frames ? `<span class="hide-s">on </span>${count(frames, "frame")}` : "on no frame yet";
    const name = state.renaming === o.id
      ? `<input class="rename" data-key="rename" data-id="${o.id}" value="${esc(o.name)}" maxlength="80" aria-label="Name of ${esc(o.name)}">`
      : `<span class="b clip" title="Double-click to rename">${esc(o.name)}</span>${flag(o)}`;
    const total = state.info?.total_frames ?? 1;
    const line = spark(o.score_line, state.problems.filter((p) => p.obj_id === o.id).map((p) => p.frame_index / Math.max(1, total - 1)));
    const score = typeof o.score === "number" ? `<span class="mono" style="color:var(--text)" title="Score">${o.score >= 0.995 ? "1.0" : o.score.toFixed(2).slice(1)}</span>` : "";
    return `<div class="ob ${on ? "on" : ""} ${shown ? "" : "off"}" data-do="select" data-id="${o.id}" style="--c:${esc(o.color)}">
      ${chip(o)}<div class="nm">${name}</div><div class="sub"><span class="clip" style="flex:1">${what}</span>${line}${score}</div>
      <div class="ac"><button class="ib ${shown ? "on" : ""}" data-do="toggleShow" data-id="${o.id}" data-key="show${o.id}" title="${shown ? "Hide" : "Show"} (Shift ${o.id})" aria-label="${shown ? "Hide" : "Show"} ${esc(o.name)}" aria-pressed="${!shown}">${icon(shown ? "eye" : "eyeoff", "s")}</button><button class="ib ${state.solo === o.id ? "on" : ""}" data-do="toggleSolo" data-id="${o.id}" data-key="solo${o.id}" title="Show only this" aria-label="Show only ${esc(o.name)}" aria-pressed="${state.solo === o.id}">${icon("solo", "s")}</button></div>
      ${on ? tools(o) : ""}</div>`;
  }

  /** The one thing to know of an object: to be looked at, out of date, approved. */
  function flag(o) {
    const [first, ...others] = state.problems.filter((p) => p.obj_id === o.id);
    if (first) return `<button class="flag warn" data-do="gotoProblem" data-id="${o.id}" data-key="problem${o.id}" aria-label="To check: frame ${first.frame_index}" title="${esc(first.detail)} Go there">${icon("warn")}<span class="hide-s">frame</span>${first.frame_index}${others.length ? `<span class="hide-s">+${others.length}</span>` : ""}</button>`;
    const stale = frameCount(o.stale);
    if (stale) return `<span class="flag" title="${count(stale, "frame")} out of date">${stale} stale</span>`;
    const approved = frameCount(o.approved ?? []);
    if (!approved) return "";
    return `<span class="ok sm" title="Approved on ${count(approved, "frame")}: no propagation changes them">${icon("check")}${minus(o.computed, o.approved).length ? count(approved, "frame") : "approved"}</span>`;
  }

  function tools(o) {
    const { span, done } = approval(state, o.id);
    const still = (state.info?.total_frames ?? 1) < 2;
    const where = still ? "" : ` <span class="mono hide-s">${spanText(span)}</span>`;
    const busy = isRunning(state) ? "disabled" : "";
    return `<div class="more"><button class="btn ${done ? "done" : ""}" data-do="approve" data-id="${o.id}" data-key="approve" aria-pressed="${done}" ${busy} title="${done ? "Take the approval back" : "No propagation changes what is approved"} (A)">${icon("check", "s")}<span>${done ? "Approved" : "Approve"}${where}</span></button><button class="btn class" data-do="classOf" data-id="${o.id}" data-key="class" aria-haspopup="dialog" title="Class${o.label ? `: ${esc(o.label)}` : ""}"><span class="clip">${o.label ? esc(o.label) : "Class"}</span>${icon("car", "s")}</button><button class="ib" data-do="objectMenu" data-id="${o.id}" data-key="menu" aria-haspopup="menu" title="More" aria-label="More for ${esc(o.name)}">${icon("dots", "s")}</button><button class="ib" data-do="remove" data-id="${o.id}" data-key="remove" ${busy} title="Remove (Del)" aria-label="Remove ${esc(o.name)}">${icon("trash", "s")}</button></div>`;
  }

  function openMenu(button) {
    const id = Number(button.dataset.id);
    const o = objectOf(state, id);
    const others = state.objects.filter((other) => other.id !== id);
    const busy = isRunning(state);
    const all = frameCount(o.computed) > 0 && !minus(o.computed, o.approved ?? []).length;
    const end = state.info.total_frames - 1;
    app.popover.open(button, [
      { label: "Rename", icon: "pen", run: () => store.set({ renaming: id }) },
      { label: "Colour…", icon: "hue", run: () => app.classes.openColors(button, id) },
      null,
      { label: all ? "Take the approval back" : "Approve all its frames", icon: "check", disabled: busy || !o.computed.length, run: () => app.repair.approve(id, [0, end], !all) },
      { label: "Split…", icon: "split", disabled: busy || !o.frames.length, run: () => app.repair.split(id) },
      {
        label: "Merge into…", icon: "merge", disabled: busy || !others.length,
        run: () => app.popover.open(button, others.map((other) => ({ label: other.name, object: other, run: () => app.repair.merge(id, other.id) }))),
      },
    ]);
  }

  function draw() {
    const n = state.objects.length;
    const allHidden = n > 0 && state.objects.every((o) => state.hidden.has(o.id));
    const list = n
      ? `<div class="list">${state.objects.map(row).join("")}</div>`
      : `<p class="hello">Objects appear here once you find or click something.</p>`;
    const tools = n
      ? `<button class="ib" data-do="toggleAll" title="${allHidden ? "Show" : "Hide"} all" aria-label="${allHidden ? "Show" : "Hide"} all">${icon(allHidden ? "eyeoff" : "eye", "s")}</button><button class="ib" data-do="newObject" title="New object (N)" aria-label="New object">${icon("plus", "s")}</button>`
      : "";
    const html = `<div class="sh">Objects <span class="n">${n}</span><span class="grow"></span>${tools}</div>${list}`;
    if (!paint(parts.objects, html)) return;
    const input = parts.objects.querySelector("input.rename");
    if (input && document.activeElement !== input) {
      input.focus();
      input.select();
    }
  }

  function finish(input, keep) {
    const id = Number(input.dataset.id);
    if (state.renaming !== id) return;
    const name = input.value.trim();
    if (keep && name && name !== objectOf(state, id).name) app.session.rename(id, name);
    else store.set({ renaming: null });
  }
  // The first click of a double one opens its row, and the list moves under the pointer: the second is no
  // click on what came there.
  let first = null;
  parts.objects.addEventListener("click", (event) => {
    const on = event.target.closest("[data-do]");
    if (event.detail < 2) first = on;
    else if (on !== first) event.stopPropagation();
  }, true);
  parts.objects.addEventListener("dblclick", () => {
    if (first?.matches(".ob")) store.set({ renaming: Number(first.dataset.id) });
  });
  parts.objects.addEventListener("keydown", (event) => {
    if (!event.target.matches("input.rename")) return;
    event.stopPropagation();
    if (event.key === "Enter") finish(event.target, true);
    if (event.key === "Escape") finish(event.target, false);
  });
  parts.objects.addEventListener("focusout", (event) => {
    if (event.target.matches("input.rename")) finish(event.target, true);
  });

  store.on(["objects", "selected", "hidden", "solo", "renaming", "problems", "shown", "playing", "scrubbing", "range", "target", "run", "info"], (changed) => {
    // Which frame Approve is about can wait until the picture rests.
    if (changed.size > 1 || !changed.has("shown") || !(state.playing || state.scrubbing || isRunning(state))) draw();
  });

  Object.assign(actions, {
    select(element, event) {
      if (event.target.closest("input")) return;
      const id = Number(element.dataset.id);
      if (id !== state.selected) app.session.select(id);
    },
    goto(element) {
      app.session.select(Number(element.dataset.id));
      app.player.seek(Number(element.dataset.frame));
    },
    objectMenu: openMenu,
    remove: (element) => app.session.remove(Number(element.dataset.id)),
    newObject: () => app.session.select(null),
    toggleShow(element) {
      const id = Number(element.dataset.id);
      if (state.solo !== null) return store.set({ solo: state.solo === id ? null : id });
      const hidden = new Set(state.hidden);
      if (!hidden.delete(id)) hidden.add(id);
      return store.set({ hidden });
    },
    toggleSolo(element) {
      const id = Number(element.dataset.id);
      store.set({ solo: state.solo === id ? null : id });
    },
    toggleAll() {
      const all = state.objects.every((o) => state.hidden.has(o.id));
      store.set({ solo: null, hidden: all ? new Set() : new Set(state.objects.map((o) => o.id)) });
    },
  });
}
