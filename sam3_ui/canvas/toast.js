// Errors and notes at the bottom right, beside the timeline. Errors stay until they are dismissed.

import { esc } from "./dom.js";
import { icon } from "./icons.js";

const MOST = 3;

export function createToast(app) {
  const { parts } = app;

  function add(kind, title, text, actions = [], life = 0) {
    for (const old of parts.toasts.children) if (old.dataset.title === title) old.remove();
    while (parts.toasts.children.length >= MOST) parts.toasts.firstChild.remove();
    const box = document.createElement("div");
    box.className = `toast ${kind}`;
    box.dataset.title = title;
    box.setAttribute("role", kind === "err" ? "alert" : "status");
    box.innerHTML = `${icon(kind === "err" ? "warn" : "check")}<div class="b">${esc(title)}</div><button class="ib" aria-label="Dismiss">${icon("x", "s")}</button><div class="muted">${esc(text)}</div>`;
    box.querySelector(".ib").addEventListener("click", () => box.remove());
    if (actions.length) {
      const row = document.createElement("div");
      row.className = "acts";
      for (const action of actions) {
        const button = document.createElement("button");
        button.className = `btn ${action.primary ? "pri" : ""}`;
        button.textContent = action.label;
        button.addEventListener("click", () => {
          box.remove();
          action.run();
        });
        row.append(button);
      }
      box.append(row);
    }
    parts.toasts.append(box);
    if (life) setTimeout(() => box.remove(), life);
  }

  return {
    error: (title, text, actions) => add("err", title, text, actions),
    info: (title, text, life = 5000) => add("info", title, text, [], life),
    clear: () => parts.toasts.replaceChildren(),
    /** Take away those that say this: it holds no longer. */
    drop(text) {
      for (const box of [...parts.toasts.children]) if (box.querySelector(".muted").textContent === text) box.remove();
    },
  };
}
