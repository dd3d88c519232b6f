// The top bar: the tabs, the open session, the engine, the connection, the theme.

import { esc, paint } from "./dom.js";
import { LOGO, icon } from "./icons.js";

const TABS = [["video", "Video"], ["images", "Images"], ["sessions", "Sessions"], ["api", "API"]];

export function mountTopBar(app) {
  const { store, state, parts, actions } = app;

  function engine() {
    const m = state.model;
    if (!m) return "";
    const device = (m.devices ?? []).map((d) => (typeof d === "string" ? d : d.name)).filter(Boolean).join(", ");
    const title = esc(about(m));
    const click = `data-do="aboutEngine" data-key="engine" title="${title}"`;
    if (m.state === "loading") return `<button class="badge" ${click}><span class="spin"></span>${esc(m.title)} · ${esc(m.stage || "loading")}</button>`;
    if (m.state === "failed") return `<button class="badge" ${click}><span class="dot off"></span>${esc(m.title)} · failed</button>`;
    return `<button class="badge hide-xs" ${click} data-engine="${esc(m.name)}"><b class="b">${esc(m.title)}</b><span class="muted">${esc(device.toUpperCase())}</span></button>`;
  }

  /** Which engine this is, what it takes, and why it is this one. */
  function about(m) {
    const can = Object.entries({ text: "words", points: "clicks", box: "boxes", mask: "strokes" }).filter(([k]) => m.capabilities?.[k]).map(([, v]) => v).join(", ");
    return [can && `Takes ${can}.`, m.note, m.checkpoint && `Model: ${m.checkpoint}.`].filter(Boolean).join(" ");
  }

  function draw() {
    const name = state.info?.name ?? state.upload?.name;
    const open = (state.tab === "video" || state.tab === "images") && name && state.view !== "empty";
    const still = state.info?.kind === "image";
    const session = open ? `<button class="sess" data-do="sessionMenu" data-key="sess" aria-haspopup="menu" ${state.view === "work" ? "" : "disabled"}>${icon(still ? "img" : "film", "s")}<span class="clip">${esc(name)}</span>${state.view === "work" ? icon("car", "s") : ""}</button>` : "";
    const lost = state.connection === "lost";
    paint(parts.top, `<div class="brand">${LOGO}<span>SAM3 UI</span></div>
      <nav class="tabs" aria-label="Pages">${TABS.map(([id, label]) => `<button class="${state.tab === id ? "on" : ""}" data-do="tab" data-tab="${id}" data-key="tab-${id}" ${state.tab === id ? 'aria-current="page"' : ""}>${label}</button>`).join("")}</nav>
      <span class="grow"></span>${session}<span class="grow hide-s"></span>${engine()}
      <span class="badge" title="${lost ? "The server does not answer; the page keeps trying." : "The page talks to the server."}"><span class="dot ${lost ? "off" : ""}"></span><span class="hide-xs">${lost ? "Reconnecting" : "Connected"}</span></span>
      <button class="ib" data-do="theme" data-key="theme" title="Light or dark" aria-label="Switch theme">${icon(app.theme.isDark() ? "sun" : "moon")}</button>`);
  }

  store.on(["tab", "info", "upload", "view", "model", "connection", "theme"], draw);

  Object.assign(actions, {
    theme: () => app.theme.toggle(),
    // A tooltip is not for fingers: the same sentences on a click.
    aboutEngine: () => app.toast.info(state.model.title, about(state.model) || "It is loading; prompts wait for it.", 12000),
    tab: (button) => app.goTab(button.dataset.tab),
    sessionMenu: (button) => app.popover.open(button, [
      state.tab === "images" ? { label: "Add images", icon: "up", run: () => actions.choose() } : { label: "Open another video", icon: "up", run: () => app.session.leave() },
      { label: "Remove all objects", icon: "reset", disabled: !state.objects.length, run: () => app.session.reset() },
      null,
      { label: "Close the session", icon: "x", run: () => (state.tab === "images" && app.images.current() ? app.images.remove(app.images.current().key, { close: true }) : app.session.close()) },
    ]),
  });
}
