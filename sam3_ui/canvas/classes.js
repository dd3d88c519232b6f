// An object's class: a list of the caller's own, from all their sessions, with their colours, and a field to add one.

import { count, esc, paint } from "./dom.js";
import { icon } from "./icons.js";
import { objectOf, PALETTE } from "./store.js";

export function mountClasses(app) {
  const { state, actions } = app;
  let labels = []; // { label, color, objects }, most used first
  let menu = null; // the open list
  let owner = null; // the id of the object it is for

  async function load() {
    try {
      labels = (await app.api.labels()).labels;
      draw();
    } catch (error) {
      app.toast.error("The classes could not be read", error.message);
    }
  }

  /** Recolour a class, or take it off the list; then show what there is. */
  async function change(call) {
    try {
      await call;
    } catch (error) {
      app.toast.error("The class was not kept", error.message);
    }
    load();
  }

  const words = () => menu.querySelector("input.new").value.trim();
  const known = (text) => labels.find((l) => l.label.toLowerCase() === text.toLowerCase());

  function draw() {
    if (!menu?.isConnected) return;
    const object = objectOf(state, owner);
    const text = words();
    const fits = labels.filter((l) => l.label.toLowerCase().includes(text.toLowerCase()));
    const row = (l) => `<div class="cl" data-key="${esc(l.label)}"><input type="color" value="${esc(l.color)}" data-label="${esc(l.label)}" title="The colour that objects get with it" aria-label="Colour of ${esc(l.label)}"><button class="mi" data-item data-label="${esc(l.label)}"><span class="clip">${esc(l.label)}</span><span class="muted sm">${l.objects ? count(l.objects, "object") : ""}</span>${l.label === object.label ? icon("check", "s") : ""}</button>${l.objects ? "" : `<button class="ib" data-drop="${esc(l.label)}" title="Take it off the list" aria-label="Take ${esc(l.label)} off the list">${icon("x", "s")}</button>`}</div>`;
    const add = text && !known(text) ? `<button class="mi" data-item data-label="${esc(text)}" data-key="add">${icon("plus", "s")}<span class="clip">Add “${esc(text)}”</span></button>` : "";
    const none = object.label && !text ? `<hr><button class="mi" data-item data-label="" data-key="none">${icon("x", "s")}<span>No class</span></button>` : "";
    const nothing = !fits.length && !add ? '<p class="muted sm pad">Type a class, like “car”. It can be used again in other videos.</p>' : "";
    paint(menu.querySelector(".cls"), fits.map(row).join("") + add + nothing + none);
  }

  function choose(label) {
    app.popover.close(true);
    app.repair.classify(owner, known(label)?.label ?? label);
  }

  function open(button, id) {
    owner = id;
    menu = document.createElement("div");
    menu.classList.add("classes");
    menu.setAttribute("role", "dialog");
    menu.setAttribute("aria-label", `Class of ${objectOf(state, id).name}`);
    menu.innerHTML = '<input class="new" maxlength="80" placeholder="Find or add a class" aria-label="Class to choose or add" autocomplete="off" spellcheck="false"><div class="cls"></div>';
    const field = menu.querySelector("input.new");
    menu.addEventListener("input", (event) => event.target === field && draw());
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !words()) return;
      event.preventDefault();
      const fits = labels.filter((l) => l.label.toLowerCase().startsWith(words().toLowerCase()));
      choose(fits.length === 1 ? fits[0].label : words());
    });
    menu.addEventListener("change", (event) => {
      if (event.target.type === "color") change(app.api.putLabel(event.target.dataset.label, event.target.value));
    });
    menu.addEventListener("click", (event) => {
      const { label, drop } = event.target.closest("button")?.dataset ?? {};
      if (drop !== undefined) change(app.api.dropLabel(drop));
      else if (label !== undefined) choose(label);
    });
    app.popover.openUnder(button, menu);
    draw();
    field.focus();
    load();
  }

  function openColors(button, id) {
    owner = id;
    const now = objectOf(state, id).color.toLowerCase();
    menu = document.createElement("div");
    menu.classList.add("hues");
    menu.setAttribute("role", "dialog");
    menu.setAttribute("aria-label", `Colour of ${objectOf(state, id).name}`);
    menu.innerHTML = `${PALETTE.map((c, i) => `<button data-item class="hue" style="--c:${c}" data-color="${c}" title="Colour ${i + 1}" aria-label="Colour ${i + 1}${c.toLowerCase() === now ? ", this one" : ""}">${c.toLowerCase() === now ? icon("check", "s") : ""}</button>`).join("")}<label class="hue any" title="Another colour">${icon("hue", "s")}<input type="color" value="${esc(now)}" aria-label="Another colour"></label>`;
    menu.addEventListener("click", (event) => {
      const color = event.target.closest("[data-color]")?.dataset.color;
      if (!color) return;
      app.popover.close(true);
      app.repair.recolor(id, color);
    });
    menu.addEventListener("change", (event) => app.repair.recolor(id, event.target.value));
    app.popover.openUnder(button, menu);
  }

  actions.classOf = (button) => open(button, Number(button.dataset.id));
  return { openColors };
}
