// Small menus that hang at a button, and the export menu. One is open at a time.

import { chip, esc } from "./dom.js";
import { icon } from "./icons.js";

export function createPopover(app) {
  const { parts } = app;
  let owner = null;

  function close(refocus = false) {
    if (!owner) return;
    const button = owner;
    owner = null;
    parts.popover.replaceChildren();
    button.setAttribute("aria-expanded", "false");
    if (refocus) button.focus();
  }

  function mount(button, menu, place) {
    const again = owner === button;
    close();
    if (again) return;
    owner = button;
    button.setAttribute("aria-expanded", "true");
    menu.classList.add("menu");
    // With fields in it, it is no menu: Tab goes round in it, and the arrows belong to the fields.
    if (!menu.hasAttribute("role")) menu.setAttribute("role", menu.querySelector("input, select, textarea") ? "dialog" : "menu");
    if (!menu.hasAttribute("aria-label")) menu.setAttribute("aria-label", button.getAttribute("aria-label") ?? button.textContent.trim());
    parts.popover.append(menu);
    place(menu, button.getBoundingClientRect(), parts.root.getBoundingClientRect());
    (stops()[0] ?? menu).focus({ focusVisible: parts.root.hasAttribute("data-tabbed") });
  }

  document.addEventListener("pointerdown", (event) => {
    if (owner && !parts.popover.contains(event.target) && !owner.contains(event.target)) close();
  });
  const isMenu = () => parts.popover.firstElementChild?.getAttribute("role") === "menu";
  /** What the keys go through: a menu's items, else every control (of role "dialog"). */
  const stops = () => [...parts.popover.querySelectorAll(isMenu() ? "[role=menuitem]:not([disabled])" : "button:not([disabled]), input:not([disabled]), select, textarea, a[href], [tabindex='0']")];

  /** Menus are walked with the arrows and left with Tab; in others Tab goes round. */
  parts.popover.addEventListener("keydown", (event) => {
    const items = stops();
    const i = items.indexOf(document.activeElement);
    const go = (to) => items.at(to % items.length)?.focus();
    const menu = isMenu();
    // A dialog's list is walked with the arrows too.
    const list = [...parts.popover.querySelectorAll("[data-item]")];
    const at = list.indexOf(document.activeElement);
    if (event.key === "Escape") close(true);
    // The button has the focus again before the browser moves it on.
    else if (event.key === "Tab" && menu) return close(true);
    else if (event.key === "Tab") go(event.shiftKey ? i - 1 : i + 1);
    else if (menu && event.key === "ArrowDown") go(i + 1);
    else if (menu && event.key === "ArrowUp") go(i < 0 ? -1 : i - 1);
    else if (at >= 0 && event.key === "ArrowDown") list[(at + 1) % list.length].focus();
    else if (at >= 0 && event.key === "ArrowUp") list.at(at - 1).focus();
    else if (menu && event.key === "Home") go(0);
    else if (menu && event.key === "End") go(-1);
    // Only of buttons the browser does this itself.
    else if (event.key === " " && document.activeElement.matches("a")) document.activeElement.click();
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
    isOpen: () => owner !== null,
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
        if (item.mark) row.setAttribute("aria-current", "true");
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
    /** Any element, placed by `place(menu, button's rect, page's rect)`; one with fields in it has role "dialog". */
    openAs: mount,
  };
}
