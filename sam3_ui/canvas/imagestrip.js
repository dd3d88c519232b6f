// The set of images where a video has its timeline: a thumbnail each, how it stands with it, and what is
// done with all of them.

import { count, esc, paint } from "./dom.js";
import { icon } from "./icons.js";

export function mountImageStrip(app) {
  const { api, store, state, parts, actions } = app;
  parts.set.innerHTML = '<div class="ish"></div><ol class="ithumbs"></ol>';
  const [head, list] = parts.set.children;

  /** How it stands with an image: [mark, words]. */
  function standing(i) {
    if (i.phase === "failed") return [icon("warn", "s"), i.note];
    if (i.phase === "waiting") return [icon("clock", "s"), "waiting to be sent"];
    if (i.phase === "sending") return ['<span class="spin"></span>', "on its way"];
    if (i.working) return ['<span class="spin"></span>', "being worked on"];
    if (i.trouble) return [icon("warn", "s"), i.trouble];
    if (i.objects) return [`${icon("check", "s")}<span class="mono">${i.objects}</span>`, count(i.objects, "object")];
    return i.looked ? [icon("minus", "s"), "nothing in it"] : ["", "no masks yet"];
  }

  function thumb(i, n) {
    const [mark, words] = standing(i);
    const on = i.key === state.imageAt;
    const failed = i.phase === "failed";
    const nothing = Object.entries(i.finds).filter(([, found]) => !found).map(([word]) => `no “${word}”`);
    const told = [i.name, words, ...nothing].join(", ");
    const picture = i.sid ? `<img src="${esc(api.thumbnailUrl(i.sid, i.version))}" alt="" loading="lazy" decoding="async">` : `<i class="skel">${i.phase === "sending" ? `<u style="width:${i.share * 100}%"></u>` : ""}</i>`;
    return `<li data-key="i${i.key}"><button class="ithumb ${on ? "on" : ""} ${failed ? "failed" : ""}" data-do="image" data-id="${i.key}" ${on ? 'aria-current="true"' : ""} ${i.sid || failed ? "" : "disabled"} aria-label="Image ${n + 1}: ${esc(told)}" title="${esc(told)}">${picture}${mark ? `<span class="im">${mark}</span>` : ""}<span class="clip">${esc(i.name)}</span></button></li>`;
  }

  function summary() {
    const { images } = state;
    const sent = images.filter((i) => i.sid !== null).length;
    const failed = images.filter((i) => i.phase === "failed").length;
    if (state.waitingFor) return `<span title="${esc(state.waitingFor)}" class="line"><span class="spin"></span><span class="clip">${esc(state.waitingFor)}</span></span>`;
    if (sent + failed < images.length) return `Sending ${Math.min(sent + failed + 1, images.length)} of ${images.length}`;
    const masks = images.filter((i) => i.objects).length;
    return `${masks} with masks${failed ? ` · ${failed} failed` : ""}`;
  }

  function draw() {
    const on = state.tab === "images" && state.images.length > 0;
    parts.set.hidden = !on;
    parts.root.toggleAttribute("data-set", on);
    if (!on) return;
    const n = state.images.length;
    const some = state.images.some((i) => i.objects);
    paint(head, `<div class="line"><span class="b">Images</span><span class="mono muted">${n}</span><span class="grow"></span><button class="ib" data-do="setMenu" data-key="setmenu" aria-haspopup="menu" aria-label="What to do with all images" title="All images">${icon("car", "s")}</button></div>
      <small class="muted" role="status">${summary()}</small>
      <div class="line"><button class="ib" data-do="choose" data-key="add" title="Add images" aria-label="Add images">${icon("plus", "s")}</button><button class="btn" data-do="exportSet" data-key="exportset" aria-haspopup="menu" ${some ? "" : "disabled"}>${icon("down", "s")}Export all</button></div>`);
    paint(list, state.images.map(thumb).join(""));
  }

  store.on(["tab", "images", "imageAt", "waitingFor"], draw);
  store.after(["imageAt", "tab"], () => list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }));
  // A picture that can't be had leaves its place grey.
  list.addEventListener("error", (event) => event.target.matches("img") && event.target.classList.add("none"), true);
  list.addEventListener("load", (event) => event.target.matches("img") && event.target.classList.remove("none"), true);
  list.addEventListener("wheel", (event) => {
    if (!event.deltaY || event.deltaX) return;
    event.preventDefault();
    list.scrollLeft += event.deltaY;
  }, { passive: false });

  /** Ask before something that can't be undone: a menu with one sentence and the two ways. */
  function confirm(button, sentence, label, run) {
    const menu = document.createElement("div");
    menu.innerHTML = `<div class="note">${icon("warn")}<span>${esc(sentence)}</span></div><button class="mi" role="menuitem">${icon("trash", "s")}<span>${esc(label)}</span></button><button class="mi" role="menuitem">${icon("undo", "s")}<span>Keep them</span></button>`;
    const [yes, no] = menu.querySelectorAll("button");
    yes.addEventListener("click", () => {
      app.popover.close(true);
      run();
    });
    no.addEventListener("click", () => app.popover.close(true));
    place(button, menu, 280);
  }

  function place(button, menu, width) {
    app.popover.openAs(button, menu, (m, at, frame) => {
      m.style.width = `${width}px`;
      m.style.left = `${Math.max(8, at.left)}px`;
      m.style.bottom = `${frame.height - at.top + 6}px`;
    });
  }

  async function exportAll(format) {
    const sids = app.images.ready().map((i) => i.sid);
    app.toast.info("Making the file", `${format.title} of ${count(sids.length, "image")}; the download starts when it is ready.`, 4000);
    try {
      const { blob, name } = await api.exportMany(sids, format.name);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    } catch (error) {
      app.toast.error("The images were not exported", error.message, [{ label: "Try again", primary: true, run: () => exportAll(format) }]);
    }
  }

  Object.assign(actions, {
    image(button) {
      const item = app.images.find(Number(button.dataset.id));
      if (!item) return undefined;
      if (item.phase !== "failed") return void app.images.show(item.key);
      return app.popover.open(button, [
        { label: item.note, icon: "warn", disabled: true, run: () => undefined },
        null,
        { label: "Try again", icon: "reset", disabled: !app.images.retriable(item.key), run: () => app.images.retry(item.key) },
        { label: "Take it out", icon: "x", run: () => app.images.remove(item.key) },
      ]);
    },
    exportSet(button) {
      const menu = document.createElement("div");
      // One frame is no video.
      const formats = (state.config?.export_formats ?? []).filter((f) => !f.media_type.startsWith("video/"));
      menu.innerHTML = formats.map((f, i) => `<button class="mi" role="menuitem" data-i="${i}">${icon(f.media_type.includes("json") ? "json" : "img")}<span>${esc(f.title)}</span><span class="mono">${f.media_type.includes("json") ? "one file" : ".zip"}</span><small>${f.media_type.includes("json") ? "All images in one file." : "A file for each image."}</small></button>`).join("");
      menu.addEventListener("click", (event) => {
        const row = event.target.closest("button");
        if (!row) return;
        app.popover.close(true);
        exportAll(formats[row.dataset.i]);
      });
      place(button, menu, 300);
    },
    setMenu(button) {
      const n = app.images.ready().length;
      const here = app.images.current();
      const failed = state.images.filter((i) => i.phase === "failed").length;
      app.popover.open(button, [
        { label: "Add images", icon: "plus", run: () => actions.choose() },
        { label: "Add a folder", icon: "folder", run: () => parts.folder.click() },
        ...(failed ? [{ label: `Try the ${failed} that failed again`, icon: "reset", run: () => app.images.retry() }] : []),
        { label: "Take this image out", icon: "x", disabled: !here, run: () => app.images.remove(here.key) },
        null,
        { label: "Start a new set", icon: "reset", run: () => startNew() },
        { label: `Close all ${count(n, "session")}`, icon: "trash", disabled: !n, run: () => confirm(button, `${count(n, "image")} and their masks are deleted from the server. This can't be undone.`, `Close all ${n}`, () => app.images.clear({ close: true })) },
      ]);
    },
  });

  function startNew() {
    app.images.clear();
    app.toast.info("The set is empty", "Its images are still in the list of sessions.");
  }
}
