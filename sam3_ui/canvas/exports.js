// The export menu: plain download links, and a word when some frames are out of date.

import { count, esc } from "./dom.js";
import { icon } from "./icons.js";
import { frameCount } from "./store.js";

const GLYPHS = [[/mp4|video|overlay/, "film"], [/png|image/, "img"], [/cut|alpha|matte/, "cut"]];
const glyph = (format) => GLYPHS.find(([pattern]) => pattern.test(`${format.name} ${format.media_type}`))?.[1] ?? "json";

export function mountExports(app) {
  const { state, actions, parts } = app;

  function note() {
    const stale = state.objects.filter((o) => o.stale.length);
    if (!stale.length) return "";
    const frames = stale.reduce((n, o) => n + frameCount(o.stale), 0);
    const who = stale.length === 1 ? stale[0].name : count(stale.length, "object");
    return `<div class="note">${icon("warn")}<span>${count(frames, "frame")} of ${esc(who)} ${frames === 1 ? "is" : "are"} out of date. Propagate first, or export them as they are.</span></div>`;
  }

  actions.export = (button) => {
    const menu = document.createElement("div");
    menu.className = "export";
    const formats = state.config?.export_formats ?? [];
    const item = (f, { query = "", text = "", disabled, warn } = {}) => {
      const link = disabled ? 'aria-disabled="true"' : `download href="${esc(app.api.exportUrl(state.sid, f.name) + query)}"`;
      return `<a class="mi" role="menuitem" tabindex="0" ${link} data-format="${esc(f.name)}">${icon(warn ? "warn" : glyph(f))}<span>${esc(f.title)}</span><span class="mono">.${esc(f.extension.replace(/^\./, ""))}</span><small>${esc(text || f.description)}</small></a>`;
    };
    menu.innerHTML = note() + formats.flatMap((f) => (f.name === "overlay_mp4" ? app.looks.videos().map((as) => item(f, as)) : item(f))).join("");
    menu.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link?.href) return;
      app.popover.close(true);
      app.toast.info("Making the file", "The download starts when it is ready.", 4000);
    });
    app.popover.openAs(button, menu, (m, at, frame) => {
      m.style.width = `${Math.min(326, parts.panel.offsetWidth - 20)}px`;
      m.style.right = `${frame.width - at.right - 4}px`;
      m.style.bottom = `${frame.height - at.top + 10}px`;
    });
  };
}
