// Files on their way in: chosen, dropped, a folder of frames, or the sample.

import { allFiles } from "./drops.js";
import { zipFiles } from "./zip.js";

const VIDEO = ["mp4", "mov", "webm", "mkv", "avi", "m4v", "gif", "zip"];
const IMAGE = ["jpg", "jpeg", "png", "webp", "bmp"];
const extension = (name) => name.slice(name.lastIndexOf(".") + 1).toLowerCase();
const SESSION = ".sam3.zip"; // a session that was exported to a file
const MB = 1e6;

export function mountUpload(app) {
  const { store, state, parts, actions, api } = app;
  let current = null; // what Cancel aborts
  let ticket = 0;

  const idle = () => store.set({ view: "empty", upload: null });

  async function startFrom(body, name, mine) {
    store.set({ upload: { name, phase: "opening" } });
    try {
      const reply = await api.start(body);
      // Cancelled meanwhile: nobody will look at it.
      if (mine !== ticket) {
        api.close(reply.session_id).catch(() => undefined);
        return false;
      }
      return await app.session.open(reply.session_id);
    } catch (error) {
      if (mine === ticket) fail(name, error);
      return false;
    }
  }

  function fail(name, error) {
    if (error.code !== "aborted") app.toast.error(`${name} could not be opened`, error.message);
    idle();
  }

  async function send(file) {
    const most = state.config?.max_upload_size_mb ?? 100;
    if (file.size > most * MB) {
      return app.toast.error(`${file.name} is too large`, `It has ${Math.ceil(file.size / MB)} MB; this server takes up to ${most} MB.`);
    }
    const mine = ++ticket;
    const started = performance.now();
    app.toast.clear();
    store.set({ view: "loading", upload: { name: file.name, phase: "sending", loaded: 0, total: file.size, started } });
    const saved = file.name.toLowerCase().endsWith(SESSION);
    current = api.upload(file, (loaded, total) => {
      if (mine !== ticket) return;
      store.set({ upload: { name: file.name, phase: loaded < total ? "sending" : "reading", loaded, total, started } });
    }, saved ? api.importPath : undefined);
    try {
      const reply = await current.done;
      if (mine !== ticket) return undefined;
      if (saved) await app.session.open(reply.session_id);
      else await startFrom({ video_id: reply.video_id }, file.name, mine);
    } catch (error) {
      if (mine === ticket) fail(file.name, error);
    }
    return undefined;
  }

  /** Take files as they were dropped or chosen: one video or image, or many frames. */
  async function take(files) {
    const list = [...files].filter((f) => !f.name.startsWith("."));
    if (!list.length) return;
    if (state.tab === "images" && app.images.take(list)) return;
    if (state.tab === "sessions" && app.sessions.take(list)) return;
    if (state.view === "loading") return;
    if (list.length === 1) {
      const kind = extension(list[0].name);
      if (!VIDEO.includes(kind) && !IMAGE.includes(kind) && !list[0].type.startsWith("video/") && !list[0].type.startsWith("image/")) {
        app.toast.error(`${list[0].name} is no video`, "Drop an MP4, MOV, WebM, MKV, AVI or GIF, an image, or a zip or folder of numbered frames.");
        return;
      }
      await send(list[0]);
      return;
    }
    const frames = list.filter((f) => ["jpg", "jpeg", "png"].includes(extension(f.name)));
    if (frames.length < 2 || frames.length < list.length / 2) {
      app.toast.error("One video at a time", "Drop a single video, or a folder of numbered JPEG or PNG frames.");
      return;
    }
    const name = (frames[0].webkitRelativePath || "").split("/")[0] || "frames";
    store.set({ view: "loading", upload: { name, phase: "packing" } });
    frames.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    await send(await zipFiles(frames.map((file) => ({ name: file.name, file })), `${name}.zip`));
  }

  /** The files of a drop, folders opened. */
  async function dropped(transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const folder = entries.find((e) => e.isDirectory);
    if (!folder) return [...transfer.files];
    const reader = folder.createReader();
    const files = [];
    for (;;) {
      const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!batch.length) return files;
      for (const entry of batch) if (entry.isFile) files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    }
  }

  for (const input of [parts.file, parts.folder]) {
    input.addEventListener("change", () => {
      take(input.files);
      input.value = "";
    });
  }

  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0;
  const veil = (on) => {
    parts.root.toggleAttribute("data-drag", on);
    app.empty.veil(on && (state.view !== "empty" || state.tab === "sessions"));
  };
  addEventListener("dragenter", (event) => {
    if (carriesFiles(event) && ++depth === 1) veil(true);
  });
  addEventListener("dragleave", (event) => {
    if (carriesFiles(event) && --depth <= 0) veil((depth = 0));
  });
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    depth = 0;
    veil(false);
    take(await (state.tab === "images" ? allFiles(event.dataTransfer) : dropped(event.dataTransfer)));
  });

  Object.assign(actions, {
    choose() {
      parts.file.multiple = state.tab === "images";
      parts.file.accept = [...(state.tab === "images" ? IMAGE : [...VIDEO, ...IMAGE])].map((e) => `.${e}`).join(",");
      parts.file.click();
    },
    chooseFolder(link, event) {
      event.preventDefault();
      parts.folder.click();
    },
    sample() {
      const name = state.config.sample;
      store.set({ view: "loading" });
      return startFrom({ video_path: name }, name, ++ticket);
    },
    cancelUpload() {
      ticket += 1;
      current?.abort();
      current = null;
      if (state.tab === "images") app.images.stop();
      idle();
    },
  });
  return { take };
}
