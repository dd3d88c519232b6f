// The keys, in an overlay.

import { icon } from "./icons.js";

const KEYS = [
  ["Prompts", [["Add", "Click"], ["Take away", "Alt click"], ["Box", "Drag"], ["Add to it over another object", "Shift click"], ["Aim by keys", "Alt ←↑↓→"], ["Add, take away at the aim", "Enter", "Shift Enter"], ["Find by words", "T"], ["New object", "N"]]],
  ["Tools", [["Point", "V"], ["Box", "B"], ["Brush, eraser", "P", "E"], ["Brush size", "Alt wheel"], ["Pan", "H", "Space drag"]]],
  ["Picture", [["Zoom", "Wheel", "+", "−"], ["Fit", "F"], ["100%", "Z"]]],
  ["Time", [["Play, pause", "Space"], ["Step", "←", "→"], ["Ten frames", "Shift ←", "Shift →"], ["First, last frame", "Home", "End"], ["Previous, next prompt", "[", "]"], ["Range from, to here", "I", "O"], ["Loop", "R"]]],
  ["Images", [["Previous, next image", "←", "→"], ["Ten images", "Shift ←", "Shift →"], ["Previous, next without masks", "[", "]"], ["Find the words in all", "Ctrl Enter"], ["Stop finding", "Esc"]]],
  ["Objects", [["Select", "1–9"], ["Hide, show", "Shift 1–9"], ["Remove", "Del"]]],
  ["Run", [["Propagate", "Ctrl Enter"], ["Stop", "Esc"], ["Undo, redo", "Ctrl Z", "Ctrl Shift Z"]]],
];

export function mountHelp(app) {
  const { parts, actions } = app;
  let before = null;

  function close() {
    if (!parts.modal.firstChild) return;
    parts.modal.replaceChildren();
    before?.focus();
  }

  function open(html) {
    before = document.activeElement;
    parts.modal.innerHTML = `<div class="modal"><div class="card-m" role="dialog" aria-modal="true" tabindex="-1">${html}</div></div>`;
    parts.modal.querySelector(".card-m").focus({ focusVisible: false });
  }

  parts.modal.addEventListener("click", (event) => {
    if (event.target.matches(".modal") || event.target.closest("[data-close]")) close();
  });
  parts.modal.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
    event.stopPropagation();
  });

  const rows = (list) => list.map(([what, ...keys]) => `<div class="kr"><span>${what}</span><span class="kk">${keys.map((k) => `<kbd>${k}</kbd>`).join("")}</span></div>`).join("");
  actions.help = () =>
    open(`<div class="sh">Keys<span class="grow"></span><button class="ib" data-close aria-label="Close">${icon("x", "s")}</button></div><div class="keys">${KEYS.map(([name, list]) => `<div class="g"><div class="muted">${name}</div>${rows(list)}</div>`).join("")}</div>`);
  return { close, isOpen: () => Boolean(parts.modal.firstChild) };
}
