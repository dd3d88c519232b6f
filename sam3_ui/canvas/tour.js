// The tour: four steps on the sample, offered on the first visit and from the keys' overlay. A step
// points at what it is about and waits; one does it oneself, or presses Next and it is done.

import { esc } from "./dom.js";
import { icon } from "./icons.js";

const KEY = "sam3.tour";
const STAR = [0.723, 0.21]; // on the sample's frame 0
const AROUND = [0.628, 0.055, 0.818, 0.405]; // its left, top, right and bottom
const GAP = 14; // pixels between a card and what it points at
const touch = matchMedia("(pointer: coarse)");

const STEPS = [
  {
    title: () => `${touch.matches ? "Tap" : "Click"} the star`,
    text: () => `One ${touch.matches ? "tap" : "click"} makes a mask. ${touch.matches ? "Holding" : "Alt-click"} takes away from it, a drag draws a box, and words find things by name.`,
    done: (state) => state.objects.length > 0,
    act: (app) => {
      app.player.seek(0);
      app.session.prompt(0, [{ type: "point", points: [STAR], point_labels: [1] }]);
    },
    on: ["canvas"],
  },
  {
    title: () => "Let it follow",
    text: () => "Propagate carries the mask through the video. Stop at any time: what is computed is kept.",
    done: (state) => state.edits.some((e) => e.kind === "propagate" && !e.undone) || Boolean(state.run),
    act: async (app) => {
      await answered(app.state);
      app.runs.start();
    },
    on: ["[data-do=propagate], [data-do=stop]", "[data-do=panel]"],
  },
  {
    title: () => "Look, and fix",
    text: () => `Drag along the timeline, also while it runs. Where a mask is wrong, ${touch.matches ? "tap" : "click"} the picture there. What is out of date is hatched, and Propagate does only that again.`,
    on: [".strip", ".time"],
  },
  {
    title: () => "Take it with you",
    text: () => "Export masks, annotations or a video. The session stays on the server, with every step to go back to.",
    done: () => Boolean(document.querySelector(".menu.export")),
    on: ["[data-do=export]", "[data-do=panel]"],
  },
];
/** Resolves once no prompt waits for its answer. */
const answered = (state) => new Promise((resolve) => {
  const look = () => (state.pending.length ? requestAnimationFrame(look) : resolve());
  look();
});

export function createTour(app) {
  const { state, store, parts, actions } = app;
  let step = -1; // -1: not under way
  let met = false; // the step was done before it was come to, as one is that is gone back to
  let offering = false;
  let queued = 0;
  const card = document.createElement("section");
  const ring = document.createElement("div");
  card.className = "coach";
  card.tabIndex = -1;
  card.hidden = ring.hidden = true;
  card.setAttribute("role", "dialog");
  card.setAttribute("aria-labelledby", "coach-title");
  card.setAttribute("aria-describedby", "coach-text");
  ring.className = "coach-ring";
  parts.root.append(ring, card);

  const seen = () => localStorage.getItem(KEY) !== null;
  const isOpen = () => step >= 0 || offering;
  const visible = (element) => element?.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 0;

  function draw() {
    if (offering) {
      card.style.left = card.style.top = "";
      card.classList.remove("corner");
      card.innerHTML = `<h2 id="coach-title">First time here?</h2><p id="coach-text" class="muted">Four steps on the sample show how it works.</p>
        <div class="line"><button class="btn lo" data-do="endTour">Not now</button><button class="btn pri" data-do="tour">Take the tour</button></div>`;
    } else {
      const { title, text } = STEPS[step];
      const end = step === STEPS.length - 1;
      card.innerHTML = `<h2 id="coach-title"><span class="muted">${step + 1} of ${STEPS.length}</span> ${esc(title())}</h2><button class="ib" data-do="endTour" aria-label="End the tour">${icon("x", "s")}</button><p id="coach-text" class="muted">${esc(text())}</p>
        <div class="line"><span class="grow"></span>${step ? '<button class="btn lo" data-do="tourBack">Back</button>' : ""}<button class="btn pri" data-do="tourNext">${end ? "Done" : "Next"}</button></div>`;
    }
    card.hidden = false;
    card.classList.toggle("offer", offering);
    place();
  }

  /** The window's rectangle that the step is about, or null while it is not to be seen. */
  function target() {
    if (step < 0) return null;
    for (const query of STEPS[step].on) {
      if (query === "canvas") {
        if (state.view !== "work" || state.shown !== 0) return null;
        const [x0, y0] = app.stage.project(AROUND[0], AROUND[1]);
        const [x1, y1] = app.stage.project(AROUND[2], AROUND[3]);
        const { left, top } = parts.canvas.getBoundingClientRect();
        return new DOMRect(left + x0, top + y0, x1 - x0, y1 - y0);
      }
      const found = [...parts.root.querySelectorAll(query)].find(visible);
      if (found) return found.getBoundingClientRect();
    }
    return null;
  }

  /** Beside what it points at, where there is room; else above or below it. */
  function place() {
    queued = 0;
    if (step < 0) return;
    const at = target();
    ring.hidden = !at;
    card.style.left = card.style.top = "";
    card.classList.toggle("corner", !at);
    if (!at) return;
    ring.classList.toggle("round", STEPS[step].on[0] === "canvas");
    Object.assign(ring.style, { left: `${at.left - 4}px`, top: `${at.top - 4}px`, width: `${at.width + 8}px`, height: `${at.height + 8}px` });
    const { width: W, height: H } = parts.root.getBoundingClientRect();
    const [w, h] = [card.offsetWidth, card.offsetHeight];
    const middle = Math.min(H - h - 12, Math.max(12, at.top + at.height / 2 - h / 2));
    const center = Math.min(W - w - 12, Math.max(12, at.left + at.width / 2 - w / 2));
    const places = [
      [at.right + GAP, middle], [at.left - GAP - w, middle], [center, at.top - GAP - h], [center, at.bottom + GAP],
    ];
    const [x, y] = places.find(([px, py]) => px >= 12 && py >= 12 && px + w <= W - 12 && py + h <= H - 12) ?? [center, middle];
    card.style.left = `${Math.round(x)}px`;
    card.style.top = `${Math.round(y)}px`;
  }
  const later = () => {
    if (isOpen() && !queued) queued = requestAnimationFrame(place);
  };

  /** Show a step. The focus comes along if it is on the card; else the step is read out. */
  function go(n, focus = card.contains(document.activeElement)) {
    offering = false;
    step = n;
    met = Boolean(STEPS[n].done?.(state));
    draw();
    if (focus) card.focus({ preventScroll: true, focusVisible: parts.root.hasAttribute("data-tabbed") });
    else app.say(`Tour, step ${n + 1} of ${STEPS.length}: ${STEPS[n].title()}. ${STEPS[n].text()}`);
  }

  function end() {
    localStorage.setItem(KEY, "seen");
    const inside = card.contains(document.activeElement);
    const done = step >= 0;
    step = -1;
    offering = false;
    card.hidden = ring.hidden = true;
    if (done) app.say("The tour is over.");
    if (inside && state.view === "work") parts.canvas.focus({ preventScroll: true });
  }

  function next() {
    const now = STEPS[step];
    if (step === STEPS.length - 1) return end();
    if (now.act && !now.done(state)) now.act(app);
    return go(step + 1);
  }

  /** What a step waits for has been done by hand: go on. */
  function watch() {
    if (step >= 0 && state.view !== "work") return end();
    const now = STEPS[step];
    if (!met && now?.done?.(state)) return step === STEPS.length - 1 ? end() : go(step + 1);
    return later();
  }

  function offer() {
    const wanted = state.view === "empty" && state.tab === "video" && state.config?.sample && !seen() && !state.trouble;
    if (wanted === offering || step >= 0) return;
    offering = Boolean(wanted);
    if (offering) draw();
    else card.hidden = true;
  }

  store.after(["view", "config", "tab", "trouble"], offer);
  store.after(["view", "objects", "edits", "run", "zoom", "shown", "info", "selected", "renaming"], watch);
  new ResizeObserver(later).observe(parts.root);
  new ResizeObserver(later).observe(parts.mat);
  // Menus are not in the state.
  parts.root.addEventListener("click", () => step === STEPS.length - 1 && setTimeout(watch));
  card.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target !== card) return;
    event.preventDefault();
    if (offering) actions.tour();
    else next();
  });

  Object.assign(actions, {
    async tour() {
      app.help.close();
      offering = false;
      card.hidden = true;
      if (await openSample()) go(0, true);
    },
    tourNext: next,
    tourBack: () => go(step - 1),
    endTour: end,
  });
  const openSample = actions.sample;
  // Whoever tries the sample on a first visit gets the tour with it.
  actions.sample = async (...given) => {
    const opened = await openSample(...given);
    if (opened && !seen() && step < 0) go(0, false);
    return opened;
  };

  return { isOpen, end, offered: () => Boolean(state.config?.sample) };
}
