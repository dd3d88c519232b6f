// Light or dark: Gradio's `dark` class on the body is the truth; ours follows it. Without a choice of
// the person's own, the system's is taken.

const KEY = "sam3.theme";

export function createTheme(app) {
  const { parts, store } = app;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => parts.root.dataset.theme === "dark";

  function apply() {
    const dark = (localStorage.getItem(KEY) ?? (system.matches ? "dark" : "light")) === "dark";
    document.body.classList.toggle("dark", dark);
    parts.root.dataset.theme = dark ? "dark" : "light";
    store.set({ theme: parts.root.dataset.theme });
  }

  system.addEventListener("change", apply);
  // Gradio may set the class after us, for its own reading of the system's theme.
  new MutationObserver(() => {
    if (document.body.classList.contains("dark") !== isDark()) apply();
  }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  apply();

  return {
    isDark,
    toggle() {
      localStorage.setItem(KEY, isDark() ? "light" : "dark");
      apply();
    },
  };
}
