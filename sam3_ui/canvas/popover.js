// Small menus that hang at a button, and the export menu. One is open at a time.

import { chip, esc } from "./dom.js";
import { icon } from "./icons.js";

const ITEM = "[role=menuitem]:not([disabled]), [data-item]";

export function createPopover(app) {
  const { parts } = app;
  let owner = null;

  function close(refocus = false) {
    if (!owner) return;
    parts.popover.replaceChildren();
    owner.setAttribute("aria-expanded", "false");
    if (refocus) owner.focus();
    owner = null;
  }

  function mount(button, menu, place) {
    const again = owner === button;
    close();
    if (again) return;
    owner = button;
    button.setAttribute("aria-expanded", "true");
    menu.classList.add("menu");
    if (!menu.hasAttribute("role")) menu.setAttribute("role", "menu");
    parts.popover.append(menu);
    place(menu, button.getBoundingClientRect(), parts.root.getBoundingClientRect());
    menu.querySelector(ITEM)?.focus({ focusVisible: false });
  }

  document.addEventListener("pointerdown", (event) => {
    if (owner && !parts.popover.contains(event.target) && !owner.contains(event.target)) close();
  });
  parts.popover.addEventListener("keydown", (event) => {
    const items = [...parts.popover.querySelectorAll(ITEM)];
    const i = items.indexOf(document.activeElement);
    if (event.key === "Escape") close(true);
    else if (event.key === "ArrowDown") items[(i + 1) % items.length]?.focus();
    else if (event.key === "ArrowUp") items[(i - 1 + items.length) % items.length]?.focus();
    else if (event.key === "Tab") return parts.popover.querySelector("[role=dialog]") ? undefined : close();
    else return undefined;
    event.stopPropagation();
    event.preventDefault();
    return undefined;
  });

  function under(menu, at, frame) {
    menu.style.left = `${Math.max(8, Math.min(at.left, frame.width - menu.offsetWidth - 8))}px`;
    const below = at.bottom + 4;
    menu.style.top = `${below + menu.offsetHeight < frame.height ? below : Math.max(8, at.top - menu.offsetHeight - 4)}px`;
  }

  return {
    close,
    /** A menu of { label, mark, object, icon, disabled, run } under a button; null draws a rule. */
    open(button, items) {
      const menu = document.createElement("div");
      for (const item of items) {
        if (item === null) {
          menu.append(document.createElement("hr"));
          continue;
        }
        const row = document.createElement("button");
        row.className = "mi";
        row.setAttribute("role", "menuitem");
        row.disabled = Boolean(item.disabled);
        const lead = item.object ? chip(item.object, "m") : item.icon ? icon(item.icon, "s") : "<span></span>";
        row.innerHTML = `${lead}<span class="clip">${esc(item.label)}</span>${item.mark ? icon("check", "s") : "<span></span>"}`;
        row.addEventListener("click", () => {
          close(true);
          item.run();
        });
        menu.append(row);
      }
      mount(button, menu, under);
    },
    /** Any menu element under a button; one that is no list of items says so by its role, "dialog". */
    openUnder: (button, menu) => mount(button, menu, under),
    /** Any menu element, placed by `place(menu, button's rect, page's rect)`. */
    openAs: mount,
  };
}
