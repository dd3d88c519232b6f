// The keyboard's focus is never lost: where the focused control is taken away, hidden or switched off,
// what stands in its place takes it over.

const STOPS = "button:not([disabled]), a[href], input:not([disabled]):not([type=file]), [tabindex='0']";

export function mountFocus(app) {
  const { parts, state, store } = app;
  let last = null; // { element, key, part } of what had the focus
  let queued = false;

  const seen = (element) => element.isConnected && !element.disabled && element.checkVisibility({ visibilityProperty: true }) && !element.closest("[inert]");

  parts.root.addEventListener("focusin", ({ target }) => {
    last = { element: target, key: target.dataset?.key, part: target.closest("[data-part]") };
  });

  /** The control that was painted again, its neighbours, else the picture, else the page's first way on. */
  function heir() {
    const again = last.key && [...parts.root.querySelectorAll(`[data-key="${CSS.escape(last.key)}"]`)].find(seen);
    if (again) return again;
    if (last.part?.isConnected && last.part !== parts.root && last.part !== parts.popover && last.part !== parts.modal) {
      const near = [...last.part.querySelectorAll(STOPS)].find(seen);
      if (near) return near;
    }
    if (state.view === "work" && seen(parts.canvas)) return parts.canvas;
    return [...parts.center.querySelectorAll(STOPS), ...parts.top.querySelectorAll("[aria-current]")].find(seen);
  }

  function check() {
    queued = false;
    const now = document.activeElement;
    if (!last || (now && now !== document.body) || !document.hasFocus() || seen(last.element)) return;
    heir()?.focus({ preventScroll: true, focusVisible: parts.root.hasAttribute("data-tabbed") });
  }

  // Once everything is painted that this tick changes.
  function later() {
    if (queued || document.activeElement !== document.body) return;
    queued = true;
    requestAnimationFrame(check);
  }
  new MutationObserver(later).observe(parts.root, { childList: true, subtree: true, attributes: true, attributeFilter: ["disabled", "hidden"] });
  parts.root.addEventListener("focusout", () => setTimeout(later));
  // What was pressed away with the mouse is no loss: the next click says where to go on.
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest?.(STOPS)) last = null;
  });
  store.after(["view", "tab"], () => requestAnimationFrame(check));
}
