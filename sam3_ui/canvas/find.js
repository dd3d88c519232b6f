// The find bar: words to look for on the frame, where the next click goes, and how masks are shown.

import { chip, esc, paint } from "./dom.js";
import { icon } from "./icons.js";
import { objectOf } from "./store.js";

const VIEWS = [["fill", "Fill", "fill"], ["outline", "Outline", "out"], ["cutout", "Cut-out", "cut"]];

export function mountFind(app) {
  const { store, state, parts, actions } = app;
  parts.ask.innerHTML = `
    <form class="field">${icon("find", "s")}<input aria-label="Describe what to find" autocomplete="off" spellcheck="false" maxlength="200"><kbd class="hide-m">T</kbd><button class="btn" type="submit"></button></form>
    <span class="dest line"></span>
    <button class="btn show-xs" data-do="panel" aria-expanded="false"></button>
    <div class="views"><div class="seg view hide-s" role="radiogroup" aria-label="Mask view"></div><span class="more-looks"></span></div>`;
  const $ = (q) => parts.ask.querySelector(q);
  const [form, input, button] = [$("form"), $("input"), $("form .btn")];

  const canText = () => state.model?.capabilities?.text !== false;
  const words = () => state.model?.capabilities?.words ?? [];

  function placeholder() {
    if (state.view !== "work") return "Describe what to find";
    if (!canText()) return "Finding by words needs SAM 3. Click or draw a box instead.";
    const known = words();
    if (known.length > 3) return `Find one of ${known.length} known words, like “${known.includes("person") ? "person" : known[0]}”`;
    if (known.length) return `Finds ${known.map((w) => `“${w}”`).join(", ")}. Click anything else, or draw a box.`;
    if (innerWidth < 1100) return "Find, like “silver car”";
    return innerWidth < 1440 ? "Describe what to find, like “silver car”" : "Describe what to find, like “silver car” or “person in a suit”";
  }

  function drawField() {
    const off = !canText() || state.view !== "work";
    input.disabled = button.disabled = off;
    input.placeholder = placeholder();
    form.style.opacity = state.view === "loading" ? 0.5 : "";
    form.title = !canText() && state.view === "work" ? "This engine takes clicks, boxes and strokes." : "";
    button.hidden = state.view !== "work";
    const still = state.info?.total_frames === 1;
    button.innerHTML = still ? "Find" : `<span>Find<span class="find-at"> on frame ${state.frame}</span></span>`;
    parts.ask.querySelector("kbd").hidden = off;
  }

  function drawTarget() {
    const on = state.view === "work" && (state.objects.length > 0 || state.born);
    const object = state.selected === null ? null : objectOf(state, state.selected);
    const what = object
      ? `<span class="muted">Refining</span>${chip(object, "m")}<span class="b clip">${esc(object.name)}</span>`
      : state.born ? '<span class="spin"></span><span class="b">New object</span>' : `<span class="muted">Next click:</span><span class="b">New object</span>`;
    paint($(".dest"), on
      ? `<button class="target" data-do="pickTarget" data-key="target" aria-haspopup="menu">${what}${icon("car", "s")}</button><button class="btn lo hide-xs" data-do="newObject" data-key="new" ${object ? "" : "disabled"}>${icon("plus", "s")}New object<kbd class="hide-m">N</kbd></button>`
      : "");
    $(".show-xs").innerHTML = `Objects <span class="muted">${state.objects.length}</span>`;
  }

  function drawViews() {
    paint($(".view"), VIEWS.map(([name, label, glyph]) => `<button role="radio" data-do="maskView" data-view="${name}" data-key="v${name}" class="${state.maskView === name ? "on" : ""}" aria-checked="${state.maskView === name}" title="${label}" aria-label="${label}">${icon(glyph, "s")}</button>`).join(""));
    $(".views").hidden = state.view !== "work";
  }

  function drawAnswer() {
    const a = state.answer;
    paint(parts.answer, a ? `<div class="toast info" role="status">${icon("find")}<div class="b">${esc(a.title)}</div><button class="ib" data-do="dropAnswer" aria-label="Dismiss">${icon("x", "s")}</button><div class="muted">${esc(a.text)}</div></div>` : "");
  }

  async function find(text) {
    const frame = state.frame;
    const sid = state.sid;
    store.set({ answer: null });
    form.classList.add("busy");
    const reply = await app.session.prompt(frame, [{ type: "text", text }], "new");
    form.classList.remove("busy");
    if (sid !== state.sid || !reply) return;
    if (reply.obj_ids.length) {
      input.value = "";
      parts.canvas.focus({ preventScroll: true });
      return;
    }
    const still = state.info?.total_frames === 1;
    const title = `No “${text}” ${still ? "in this image" : `on frame ${frame}`}`;
    // The service's sentence may begin with the same words.
    const said = (reply.message ?? "").replace(`No “${text}” on frame ${frame}.`, "").trim();
    store.set({ answer: { title, text: said || hintFor() } });
    app.say(title);
  }

  function hintFor() {
    const known = words();
    if (known.length) return `This engine knows these words: ${known.join(", ")}.`;
    return "Try a plainer word, go to a frame where it is clearly visible, or click it.";
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (text && !input.disabled) find(text);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      store.set({ answer: null });
      parts.canvas.focus({ preventScroll: true });
    }
  });
  input.addEventListener("focus", () => {
    const known = words();
    if (known.length && !state.answer) store.set({ answer: { title: "Words this engine knows", text: known.join(", ") } });
  });
  input.addEventListener("input", () => state.answer && store.set({ answer: null }));
  input.addEventListener("blur", () => state.answer?.title === "Words this engine knows" && store.set({ answer: null }));

  store.on(["view", "frame", "model", "info"], drawField);
  store.on(["view", "selected", "born", "objects"], drawTarget);
  store.on(["view", "maskView"], drawViews);
  store.on(["answer"], drawAnswer);
  addEventListener("resize", drawField);

  Object.assign(actions, {
    maskView: (b) => store.set({ maskView: b.dataset.view }),
    dropAnswer: () => store.set({ answer: null }),
    focusFind: () => (canText() ? input.focus() : app.toast.info("Finding by words needs SAM 3", "Click or draw a box instead.")),
    pickTarget: (b) => app.popover.open(b, [
      ...state.objects.map((o) => ({ label: o.name, object: o, mark: o.id === state.selected, run: () => app.session.select(o.id) })),
      null,
      { label: "New object", icon: "plus", mark: state.selected === null, run: () => app.session.select(null) },
    ]),
  });
}
