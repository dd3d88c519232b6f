// Narrow windows: the panel is a drawer behind the button "Objects N".

import { icon } from "./icons.js";

export function createDrawer(app) {
  const { parts, store, actions } = app;
  const narrow = matchMedia("(max-width: 900px)");
  const button = () => parts.ask.querySelector("[data-do=panel]");
  const shut = document.createElement("button");
  shut.className = "ib drawer-x";
  shut.setAttribute("aria-label", "Close the panel");
  shut.innerHTML = icon("x");
  shut.addEventListener("click", () => close());
  parts.panel.prepend(shut);
  const isOpen = () => narrow.matches && parts.panel.classList.contains("open");

  function set(open) {
    parts.panel.classList.toggle("open", open);
    button()?.setAttribute("aria-expanded", String(open));
  }

  function open() {
    set(true);
    // The panel slides in: it can take the focus once it is visible.
    requestAnimationFrame(() => parts.panel.querySelector("button:not([disabled])")?.focus({ focusVisible: parts.root.hasAttribute("data-tabbed") }));
  }

  function close(refocus = true) {
    if (!parts.panel.classList.contains("open")) return;
    set(false);
    if (refocus) button()?.focus({ focusVisible: parts.root.hasAttribute("data-tabbed") });
  }

  document.addEventListener("pointerdown", (event) => {
    if (isOpen() && !event.target.closest(".panel, [data-part=popover], [data-part=modal], [data-do=panel]")) close(false);
  });
  parts.panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !isOpen() || event.defaultPrevented || event.target.matches("input")) return;
    close();
    event.stopPropagation();
  });
  narrow.addEventListener("change", () => set(false));
  store.after(["view", "tab", "sid"], () => close(false));

  actions.panel = () => (isOpen() ? close() : open());
  return { isOpen, close };
}
