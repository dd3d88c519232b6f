// The list of objects: colour, name, score, show and hide, solo, rename, remove.

import { chip, count, esc, paint } from "./dom.js";
import { icon } from "./icons.js";
import { frameCount, isVisible, objectOf } from "./store.js";

export function mountObjects(app) {
  const { store, state, parts, actions } = app;

  function row(o) {
    const on = o.id === state.selected;
    const shown = isVisible(state, o.id);
    const stale = frameCount(o.stale);
    const frames = frameCount(o.frames);
    const what = o.label && o.label.toLowerCase() !== o.name.toLowerCase() ? esc(o.label) : frames ? `on ${count(frames, "frame")}` : "on no frame yet";
    const name = state.renaming === o.id
      ? `<input class="rename" data-key="rename" data-id="${o.id}" value="${esc(o.name)}" maxlength="80" aria-label="Name of ${esc(o.name)}">`
      : `<span class="b clip" title="Double-click to rename">${esc(o.name)}</span>${stale ? `<span class="flag" title="${count(stale, "frame")} out of date">${stale} stale</span>` : ""}`;
    const score = typeof o.score === "number" ? `<span class="mono" style="color:var(--text)" title="Score">${o.score >= 0.995 ? "1.0" : o.score.toFixed(2).slice(1)}</span>` : "";
    return `<div class="ob ${on ? "on" : ""} ${shown ? "" : "off"}" data-do="select" data-id="${o.id}" style="--c:${esc(o.color)}">
      ${chip(o)}<div class="nm">${name}</div><div class="sub"><span class="clip" style="flex:1">${what}</span>${score}</div>
      <div class="ac"><button class="ib ${shown ? "on" : ""}" data-do="toggleShow" data-id="${o.id}" data-key="show${o.id}" title="${shown ? "Hide" : "Show"} (Shift ${o.id})" aria-label="${shown ? "Hide" : "Show"} ${esc(o.name)}" aria-pressed="${!shown}">${icon(shown ? "eye" : "eyeoff", "s")}</button><button class="ib ${state.solo === o.id ? "on" : ""}" data-do="toggleSolo" data-id="${o.id}" data-key="solo${o.id}" title="Show only this" aria-label="Show only ${esc(o.name)}" aria-pressed="${state.solo === o.id}">${icon("solo", "s")}</button></div>
      ${on ? `<div class="more"><button class="btn" data-do="rename" data-id="${o.id}">${icon("pen", "s")}Rename</button><span class="grow"></span><button class="ib" data-do="remove" data-id="${o.id}" title="Remove (Del)" aria-label="Remove ${esc(o.name)}">${icon("trash", "s")}</button></div>` : ""}</div>`;
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
    const scroll = parts.objects.querySelector(".list")?.scrollTop ?? 0;
    const html = `<div class="sh">Objects <span class="n">${n}</span><span class="grow"></span>${tools}</div>${list}`;
    if (!paint(parts.objects, html)) return;
    const box = parts.objects.querySelector(".list");
    if (box) box.scrollTop = scroll;
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
  parts.objects.addEventListener("dblclick", (event) => {
    const id = event.target.closest(".ob")?.dataset.id;
    if (id && !event.target.closest("button")) store.set({ renaming: Number(id) });
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

  store.on(["objects", "selected", "hidden", "solo", "renaming"], draw);

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
    rename: (element) => store.set({ renaming: Number(element.dataset.id) }),
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
