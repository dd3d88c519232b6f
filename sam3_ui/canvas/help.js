// The keys, in an overlay.

import { icon } from "./icons.js";

const KEYS = [
  ["Prompts", [["Add", "Click"], ["Take away", "Alt click"], ["Box", "Drag"], ["Add to it over another object", "Shift click"], ["Find by words", "T"], ["New object", "N"]]],
  ["Without a mouse", [["Aim", "Alt ←↑↓→"], ["Aim by single pixels", "Alt Shift ←↑↓→"], ["Add, take away", "Enter", "Shift Enter"], ["Corner of a box, brush down and up", "Enter"], ["Drop it", "Esc"]]],
  ["Tools", [["Point", "V"], ["Box", "B"], ["Brush, eraser", "P", "E"], ["Brush size", "Alt wheel", "Alt +", "Alt −"], ["Pan", "H", "Space drag"]]],
  ["Picture", [["Zoom", "Wheel", "+", "−"], ["Fit", "F"], ["100%", "Z"], ["Looks, opacity", "L"]]],
  ["Time", [["Play, pause", "Space"], ["Step", "←", "→"], ["Ten frames", "Shift ←", "Shift →"], ["First, last frame", "Home", "End"], ["Previous, next prompt", "[", "]"], ["Previous, next to check", ",", "."], ["Range from, to here", "I", "O"], ["Choose a span", "Drag a lane"], ["Timeline wider, nearer", "<", ">", "Ctrl wheel"], ["Loop", "R"]]],
  ["Images", [["Previous, next image", "←", "→"], ["Ten images", "Shift ←", "Shift →"], ["Previous, next without masks", "[", "]"], ["Find the words in all", "Ctrl Enter"], ["Stop finding", "Esc"]]],
  ["Objects", [["Select", "1–9"], ["Hide, show", "Shift 1–9"], ["Approve", "A"], ["Remove", "Del"]]],
  ["Run", [["Propagate", "Ctrl Enter"], ["Stop", "Esc"], ["Undo, redo", "Ctrl Z", "Ctrl Shift Z"]]],
  ["By touch", [["Add", "Tap"], ["Take away", "Hold"], ["Box", "Drag"], ["Zoom and pan", "Two fingers"], ["Timeline: nearer, along", "Two fingers"]]],
];

export function mountHelp(app) {
  const { parts, actions } = app;
  let before = null;

  function close() {
    if (!parts.modal.firstChild) return;
    parts.modal.replaceChildren();
    parts.app.inert = false;
    before?.focus();
  }

  /** Show a dialog; what lies behind it takes neither keys nor clicks until it closes. */
  function open(title, html) {
    app.popover.close();
    if (!parts.modal.firstChild) before = document.activeElement;
    parts.modal.innerHTML = `<div class="modal"><div class="card-m" role="dialog" aria-modal="true" aria-label="${title}" tabindex="-1">${html}</div></div>`;
    parts.app.inert = true;
    parts.modal.querySelector(".card-m").focus({ focusVisible: false });
  }

  parts.modal.addEventListener("click", (event) => {
    if (event.target.matches(".modal") || event.target.closest("[data-close]")) close();
  });
  parts.modal.addEventListener("keydown", (event) => {
    if (event.key === "Escape" || event.key === "?") close();
    if (event.key === "Tab") {
      const stops = [...parts.modal.querySelectorAll("button:not([disabled]), a[href], input, .card-m")];
      const i = stops.indexOf(document.activeElement);
      stops.at((i + (event.shiftKey ? -1 : 1)) % stops.length).focus();
      parts.root.toggleAttribute("data-tabbed", true);
      event.preventDefault();
    }
    event.stopPropagation();
  });

  const rows = (list) => list.map(([what, ...keys]) => `<div class="kr"><span>${what}</span><span class="kk">${keys.map((k) => `<kbd>${k}</kbd>`).join("")}</span></div>`).join("");
  actions.help = () => {
    const tour = app.tour.offered() ? '<button class="btn" data-do="tour">Take the tour</button>' : "";
    open("Keys", `<div class="sh"><h2>Keys</h2><span class="grow"></span>${tour}<button class="ib" data-close aria-label="Close">${icon("x", "s")}</button></div><div class="keys">${KEYS.map(([name, list]) => `<div class="g"><h3 class="muted">${name}</h3>${rows(list)}</div>`).join("")}</div>`);
  };
  return { open, close, isOpen: () => Boolean(parts.modal.firstChild) };
}
