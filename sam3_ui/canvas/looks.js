// The looks: how objects and all else are shown. A menu beside the find bar's three buttons, what of it
// this browser remembers, and the current look as options of the video export.

import { count, paint } from "./dom.js";
import { icon } from "./icons.js";
import { isVisible } from "./store.js";

const LOOKS = [
  ["fill", "Fill", "fill"],
  ["outline", "Outline", "out"],
  ["cutout", "Cut-out", "cut"],
  ["spotlight", "Spotlight", "spot"],
  ["blur_object", "Blur objects", "blurin"],
  ["pixelate_object", "Pixelate objects", "pixin"],
  ["blur_background", "Blur background", "blurout"],
  ["pixelate_background", "Pixelate background", "pixout"],
];
const AT_HAND = 3; // have a button in the find bar
const OPACITY = { fill: "Opacity", spotlight: "Darkness" };
const DEFAULTS = { fill: 0.34, spotlight: 0.72 };
const KEY = "sam3.looks";

const isShare = (value) => typeof value === "number" && value >= 0 && value <= 1;
const percent = (share) => `${Math.round(share * 100)}%`;
const labelOf = (look) => LOOKS.find(([name]) => name === look)[1];
const hides = (look) => look.endsWith("_object");

/** What this browser remembers, as fields of the state; anything strange in it is left out. */
function remembered() {
  let kept = {};
  try {
    kept = JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    // Written by something else: as if there were nothing.
  }
  const opacity = { ...DEFAULTS };
  for (const name of Object.keys(OPACITY)) if (isShare(kept.opacity?.[name])) opacity[name] = kept.opacity[name];
  const maskView = LOOKS.some(([name]) => name === kept.look) ? kept.look : "fill";
  return { maskView, opacity, sideBySide: kept.sideBySide === true };
}

/** How many frames of the video have a shown object of which nobody knows where it is there. */
function unknownFrames(state) {
  const unknown = new Uint8Array(state.info.total_frames);
  for (const object of state.objects) {
    if (!isVisible(state, object.id)) continue;
    let next = 0;
    for (const [first, last] of object.known ?? object.computed) {
      unknown.fill(1, next, first);
      next = last + 1;
    }
    unknown.fill(1, next);
  }
  return unknown.reduce((n, v) => n + v, 0);
}

export function mountLooks(app) {
  const { store, state, parts, actions } = app;
  store.set(remembered());
  let menu = null;

  function drawButton() {
    const other = LOOKS.findIndex(([name]) => name === state.maskView) >= AT_HAND;
    const [, label, glyph] = LOOKS.find(([name]) => name === state.maskView);
    const what = other ? `Looks: ${label}` : "Looks and opacity";
    paint(parts.ask.querySelector(".more-looks"), `<button class="ib ${other || state.sideBySide ? "on" : ""}" data-do="looks" data-key="looks" aria-haspopup="dialog" aria-expanded="${Boolean(menu?.isConnected)}" title="${what} (L)" aria-label="${what}">${icon(other ? glyph : "sliders", "s")}</button>`);
  }

  function drawMenu() {
    if (!menu?.isConnected) return;
    const look = state.maskView;
    const row = ([name, label, glyph]) => `<button class="mi" role="radio" data-do="maskView" data-view="${name}" data-key="look-${name}" aria-checked="${name === look}">${icon(glyph, "s")}<span>${label}</span>${name === look ? icon("check", "s") : "<span></span>"}</button>`;
    const word = OPACITY[look];
    const share = state.opacity[look] ?? 0;
    paint(menu, `<div role="radiogroup" aria-label="Look">${LOOKS.map(row).join("")}</div>
      <label class="opacity ${word ? "" : "off"}"><span>${word ?? "Opacity"}</span><input type="range" aria-label="${word ?? "Opacity"}" min="0" max="100" data-key="opacity" value="${Math.round(share * 100)}" ${word ? "" : "disabled"} aria-valuetext="${percent(share)}"><span class="mono">${word ? percent(share) : "–"}</span></label>
      <hr>
      <button class="mi" role="switch" aria-checked="${state.sideBySide}" data-do="sideBySide" data-key="side">${icon("side", "s")}<span>Side by side with the source</span>${state.sideBySide ? icon("check", "s") : "<span></span>"}</button>`);
  }

  function keys(event) {
    const stops = [...menu.querySelectorAll("button, input:not([disabled])")];
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (way) {
      stops[(stops.indexOf(document.activeElement) + way + stops.length) % stops.length].focus();
      event.preventDefault();
    }
    // Left and right belong to the slider, Tab goes through the menu; Escape closes it as any other.
    if (event.key !== "Escape") event.stopPropagation();
  }

  function open(button) {
    if (menu?.isConnected) return app.popover.close(true);
    menu = document.createElement("div");
    menu.addEventListener("keydown", keys);
    menu.addEventListener("input", (event) => {
      if (event.target.type === "range") store.set({ opacity: { ...state.opacity, [state.maskView]: Number(event.target.value) / 100 } });
    });
    menu.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !menu.contains(event.relatedTarget) && event.relatedTarget !== button) app.popover.close();
    });
    app.popover.openAs(button, menu, (m, at, frame) => {
      m.classList.add("looks");
      drawMenu();
      m.style.left = `${Math.max(8, Math.min(at.right - m.offsetWidth, frame.width - m.offsetWidth - 8))}px`;
      m.style.top = `${at.bottom + 4}px`;
      m.style.maxHeight = `${frame.height - at.bottom - 12}px`;
    });
    menu.setAttribute("role", "dialog");
    menu.setAttribute("aria-label", "Looks");
    menu.querySelector("[aria-checked=true]").focus({ focusVisible: false });
    return undefined;
  }

  store.on(["view", "maskView", "sideBySide"], drawButton);
  store.after(["maskView", "opacity", "sideBySide"], () => {
    drawMenu();
    localStorage.setItem(KEY, JSON.stringify({ look: state.maskView, opacity: state.opacity, sideBySide: state.sideBySide }));
    app.stage.draw();
  });
  actions.looks = (button) => open(button ?? parts.ask.querySelector(".more-looks button"));
  actions.sideBySide = () => store.set({ sideBySide: !state.sideBySide });

  /** The query of the video as it is shown, with words for it. */
  function asShown() {
    const { maskView: look, opacity, sideBySide } = state;
    const shown = state.objects.filter((o) => isVisible(state, o.id));
    const query = new URLSearchParams();
    const words = [labelOf(look)];
    if (look !== "fill") query.set("look", look);
    if (look in OPACITY && opacity[look] !== DEFAULTS[look]) {
      query.set("opacity", opacity[look]);
      words[0] += ` ${percent(opacity[look])}`;
    }
    // What is hidden would be seen beside it.
    if (sideBySide && !hides(look)) {
      query.set("side_by_side", "true");
      words.push("side by side with the source");
    }
    if (shown.length < state.objects.length) {
      query.set("objects", shown.map((o) => o.id).join());
      words.push(`${shown.length} of ${count(state.objects.length, "object")}`);
    }
    return { query, words: words.join(", "), nothing: state.objects.length > 0 && shown.length === 0 };
  }

  return {
    /** How the export menu offers the video: { query, text, disabled } each; without text, as the service describes it. */
    videos() {
      const { query, words, nothing } = asShown();
      if (nothing) return [{ query: "", text: "No object is shown: nothing to paint.", disabled: true }];
      if (!query.size) return [{ query: "", text: "" }];
      const black = hides(state.maskView) ? unknownFrames(state) : 0;
      if (!black) return [{ query: `?${query}`, text: `As shown: ${words}.` }];
      const who = `${count(black, "frame")}, where an object was never computed,`;
      const out = [{ query: `?${query}`, text: `As shown: ${words}. ${who} ${black === 1 ? "is" : "are"} black: propagate first to have them.` }];
      query.set("uncomputed", "keep");
      return [...out, { query: `?${query}`, text: `The same, but ${who} show what the others hide.`, warn: true }];
    },
  };
}
