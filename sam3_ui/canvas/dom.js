// Small helpers for markup: escaping, repainting without losing the focus, delegated actions.

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** Text made safe for markup and attributes. */
export const esc = (text) => String(text ?? "").replace(/[&<>"']/g, (c) => ESCAPES[c]);

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * Give an element this content if it changed. What is there already is kept and patched: a button
 * that is being pressed stays the same button, and a focused control keeps the focus.
 */
export function paint(element, html) {
  if (element.s3html === html) return false;
  element.s3html = html;
  const next = document.createElement("template");
  next.innerHTML = html;
  patchChildren(element, next.content);
  return true;
}

function patchChildren(old, next) {
  const kept = [...old.childNodes];
  const coming = [...next.childNodes];
  for (const [i, node] of coming.entries()) {
    const at = kept[i];
    if (!at) old.append(node);
    else if (at.nodeType === node.nodeType && at.nodeName === node.nodeName && at.dataset?.key === node.dataset?.key) patch(at, node);
    else at.replaceWith(node);
  }
  for (const node of kept.slice(coming.length)) node.remove();
}

function patch(old, next) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  if (old.isEqualNode(next)) return;
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  // What is being typed is not overwritten; else the field shows the new value.
  if (old instanceof HTMLInputElement && old !== document.activeElement) old.value = next.value;
  patchChildren(old, next);
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
