// Small helpers for markup: escaping, repainting without losing the focus, delegated actions.

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text made safe for markup and attributes. */
export const esc = (text) => String(text ?? "").replace(/[&<>"']/g, (c) => ESCAPES[c]);

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Replace an element's content if it changed; the focused control with the same data-key keeps the focus. */
export function paint(element, html) {
  if (element.s3html === html) return false;
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  const key = active?.dataset.key;
  const typed = active instanceof HTMLInputElement ? [active.value, active.selectionStart, active.selectionEnd] : null;
  element.s3html = html;
  element.innerHTML = html;
  if (!key) return true;
  const again = element.querySelector(`[data-key="${CSS.escape(key)}"]`);
  again?.focus({ preventScroll: true });
  if (again instanceof HTMLInputElement && typed) {
    again.value = typed[0];
    if (typed[1] !== null) again.setSelectionRange(typed[1], typed[2]);
  }
  return true;
}

/** A colour's numeral is white on the dark ones. */
export function needsWhite(color) {
  const n = parseInt(color.slice(1), 16);
  const [r, g, b] = [n >> 16, (n >> 8) & 255, n & 255].map((v) => {
    const s = v / 255;
    return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.2;
}

/** An object's numbered chip. */
export function chip(object, size = "") {
  return `<span class="chip ${size} ${needsWhite(object.color) ? "w" : ""}" style="--c:${esc(object.color)}">${object.id}</span>`;
}

/** "1 frame", "2 frames". */
export const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

/** Seconds as mm:ss.cc, or h:mm:ss.cc from an hour on. */
export function timecode(seconds) {
  const cents = Math.round(seconds * 100);
  const pad = (n) => String(n).padStart(2, "0");
  const [h, m, s, c] = [Math.floor(cents / 360000), Math.floor(cents / 6000) % 60, Math.floor(cents / 100) % 60, cents % 100];
  return `${h ? `${h}:` : ""}${pad(m)}:${pad(s)}.${pad(c)}`;
}

/** How many of the sorted values are at most x, minus one: the index of the last one not beyond x. */
export function lastAtMost(sorted, x) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (sorted[mid] <= x) low = mid + 1;
    else high = mid;
  }
  return Math.max(0, low - 1);
}

/** Clicks on [data-do="name"] anywhere under root call actions[name](element, event). */
export function delegate(root, actions) {
  root.addEventListener("click", (event) => {
    const element = event.target.closest("[data-do]");
    if (!element || element.disabled || !root.contains(element)) return;
    actions[element.dataset.do]?.(element, event);
  });
}
