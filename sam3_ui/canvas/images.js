// The set of images that the Images tab works on. Each is a session of its own on the server; the page
// only keeps the list of their ids, so a reload finds it again.

import { isFull, patiently } from "./patience.js";

const KEPT = "sam3.images";
const IMAGE = ["jpg", "jpeg", "png", "webp", "bmp"];
const MB = 1e6;
const isImage = (file) => IMAGE.includes(file.name.slice(file.name.lastIndexOf(".") + 1).toLowerCase());
const count = (n) => (n === 1 ? "1 file was" : `${n} files were`);

/**
 * An image: { key, sid (null: not on the server yet), name, phase, share, note, objects, looked, finds,
 * whys, trouble, working, version }. `phase`: waiting | sending | ready | failed, `note` then says why. `objects`: how
 * many, null while unknown; `looked`: something was asked of it; `finds`: { word: how many },
 * `whys`: { word: why none }, `trouble`: why the search of it failed; `working`: how many requests to the model are
 * under way; `version` changes with its masks.
 */
const blank = { sid: null, phase: "waiting", share: 0, note: "", objects: null, looked: false, finds: {}, whys: {}, trouble: null, working: 0, version: "" };

export function createImages(app) {
  const { api, store, state } = app;
  const files = new Map(); // key → File, until it is on the server
  const uploads = new Map(); // key → video_id, of one that is there but has no session yet
  let keys = 0;
  let sending = null; // AbortController of the uploads under way
  let aimed = null; // key of the image that is on its way to the screen
  let leaving = null; // the session of an image that was taken out, until another one is shown
  let checked = false;

  const find = (key) => state.images.find((i) => i.key === key);
  const bySid = (sid) => (sid === null ? undefined : state.images.find((i) => i.sid === sid));
  const current = () => find(aimed) ?? bySid(state.sid);
  const change = (key, patch) => store.set({ images: state.images.map((i) => (i.key === key ? { ...i, ...patch } : i)) });

  function read() {
    try {
      return JSON.parse(localStorage.getItem(KEPT) ?? "[]").filter((i) => typeof i?.sid === "string");
    } catch {
      return []; // somebody else's words under our key
    }
  }
  store.set({ images: read().map(({ sid, name }) => ({ ...blank, key: ++keys, sid, name: String(name), phase: "ready" })) });

  function keep() {
    localStorage.setItem(KEPT, JSON.stringify(state.images.filter((i) => i.sid !== null).map(({ sid, name }) => ({ sid, name }))));
  }

  /** Ask the server what became of the images that were kept. */
  async function check() {
    if (checked || !state.images.length) return;
    checked = true;
    let list;
    try {
      list = new Map((await api.sessions()).sessions.map((s) => [s.session_id, s]));
    } catch {
      checked = false; // the connection badge says it; asked again when the tab is shown the next time
      return;
    }
    const known = state.images.filter((i) => i.sid === null || list.has(i.sid));
    const gone = state.images.length - known.length;
    store.set({
      images: known.map((i) => {
        const s = list.get(i.sid);
        return s ? { ...i, name: s.name ?? i.name, objects: i.objects ?? s.objects_count, looked: i.looked || s.changed_at !== s.created_at, version: i.version || s.changed_at } : i;
      }),
    });
    if (gone) app.toast.info(`${gone === 1 ? "One image is" : `${gone} images are`} no longer there`, "Their sessions were closed, or ran out of time.");
  }

  // --- on their way to the server

  /** Take files into the set. Returns whether there was an image among them. */
  function take(list) {
    const pictures = list.filter(isImage);
    if (!pictures.length) return false;
    const others = list.length - pictures.length;
    if (others) app.toast.info(`${count(others)} left out`, "The Images tab takes JPEG, PNG, WebP and BMP.");
    const most = state.config?.max_upload_size_mb ?? 100;
    const items = pictures.map((file) => {
      const item = { ...blank, key: ++keys, name: file.name };
      if (file.size > most * MB) return { ...item, phase: "failed", note: `It has ${Math.ceil(file.size / MB)} MB; this server takes up to ${most} MB.` };
      files.set(item.key, file);
      return item;
    });
    store.set({ images: [...state.images, ...items] });
    if (state.view === "empty") store.set({ view: "loading", upload: { name: items[0].name, phase: "opening" } });
    pump();
    return true;
  }

  async function pump() {
    if (sending) return;
    sending = new AbortController();
    const { signal } = sending;
    for (let item; (item = !signal.aborted && state.images.find((i) => i.phase === "waiting")); ) await send(item, signal);
    if (sending?.signal === signal) sending = null;
    if (sending) return; // stopped, and others were added since
    store.set({ waitingFor: null });
    // None could be opened: the strip says why.
    if (state.view === "loading" && state.sid === null && aimed === null) store.set({ view: "empty", upload: null });
  }

  async function send({ key, name }, signal) {
    const file = files.get(key);
    const started = performance.now();
    const rules = { signal, health: api.health, onWait: (sentence) => store.set({ waitingFor: sentence }) };
    const show = (phase, loaded) => {
      if (state.view === "loading" && state.sid === null && state.tab === "images") store.set({ upload: { name, phase, loaded, total: file.size, started } });
    };
    change(key, { phase: "sending", share: 0, note: "" });
    try {
      const video = uploads.get(key) ?? (await patiently(() => {
        const upload = api.upload(file, (loaded, total) => {
          const share = Math.floor((10 * loaded) / total) / 10; // in steps, so that the strip is not drawn for every packet
          if (find(key) && find(key).share !== share) change(key, { share });
          show(loaded < total ? "sending" : "reading", loaded);
        });
        signal.addEventListener("abort", upload.abort, { once: true });
        return upload.done.finally(() => signal.removeEventListener("abort", upload.abort));
      }, rules).then(stillOf));
      uploads.set(key, video);
      show("opening", file.size);
      const { session_id: sid } = await patiently(() => api.start({ video_id: video }), rules);
      if (!find(key)) return void api.close(sid).catch(() => undefined); // taken out meanwhile
      forget(key);
      change(key, { sid, phase: "ready", objects: 0 });
      if (state.tab === "images" && state.sid === null && aimed === null) await display(key);
    } catch (error) {
      if (signal.aborted) return;
      if (!isFull(error)) uploads.delete(key);
      // Where nothing more may be kept, the others need not be sent to hear the same.
      const over = (i) => i.key === key || (isFull(error) && i.phase === "waiting");
      store.set({ images: state.images.map((i) => (over(i) ? { ...i, phase: "failed", note: error.message } : i)) });
    }
  }

  function stillOf({ video_id: video, video_info: info }) {
    if (info.kind !== "image") throw new Error("It moves. Open it on the Video tab.");
    return video;
  }

  function forget(key) {
    files.delete(key);
    uploads.delete(key);
  }

  /** Give up what has not been sent yet. */
  function stop() {
    sending?.abort(new DOMException("Stopped.", "AbortError"));
    sending = null;
    for (const { key } of state.images.filter((i) => i.sid === null)) forget(key);
    store.set({ images: state.images.filter((i) => i.sid !== null) });
  }

  /** Send one that failed again, or all of them. */
  function retry(key = null) {
    const again = (i) => i.phase === "failed" && files.has(i.key) && (key === null || i.key === key);
    store.set({ images: state.images.map((i) => (again(i) ? { ...i, phase: "waiting", note: "" } : i)) });
    pump();
  }

  // --- which one is on the screen

  async function display(key) {
    const item = find(key);
    if (!item?.sid || (item.sid === state.sid && aimed === null)) return;
    aimed = key;
    store.set({ imageAt: key });
    await app.session.open(item.sid, {
      swap: state.sid !== null && state.info?.kind === "image",
      onError(error) {
        if (error.status === 404) drop(key);
        app.toast.error(`${item.name} could not be opened`, error.status === 404 ? "It is no longer there: its session was closed, or ran out of time." : error.message);
      },
    });
    if (aimed === key) aimed = null;
    store.set({ imageAt: current()?.key ?? null });
  }

  const ready = () => state.images.filter((i) => i.sid !== null);

  /** Go some images on or back; what is not on the server yet is passed over. */
  function step(n) {
    const list = ready();
    const at = list.indexOf(current());
    const next = list[Math.min(list.length - 1, Math.max(0, at + n))];
    if (next) display(next.key);
  }

  /** Go to the next image without masks, that way, around the end too. */
  function untouched(way) {
    const list = ready();
    const at = list.indexOf(current());
    for (let i = 1; i < list.length; i++) {
      const item = list[(((at + way * i) % list.length) + list.length) % list.length];
      if (!item.objects) return void display(item.key);
    }
    app.toast.info("Every other image has masks", "There is none left without.", 3000);
  }

  // --- what happens to them

  function drop(key) {
    forget(key);
    store.set({ images: state.images.filter((i) => i.key !== key) });
  }

  /** Take an image out of the set; its session stays, unless it is to be closed. The next one is shown. */
  async function remove(key, { close = false } = {}) {
    const item = find(key);
    if (!item) return;
    const shown = item.sid !== null && item.sid === state.sid;
    const list = ready();
    const at = list.indexOf(item);
    const next = list[at + 1] ?? list[at - 1];
    leaving = shown ? item.sid : null;
    drop(key);
    if (shown && next) await display(next.key);
    else if (shown) app.session.leave();
    leaving = null;
    if (close && item.sid) await app.session.close(item.sid);
  }

  async function clear({ close = false } = {}) {
    const all = ready();
    stop();
    store.set({ images: [] });
    if (state.info?.kind === "image") app.session.leave();
    if (close) for (const { sid } of all) await app.session.close(sid);
  }

  /** Something is asked of a session's model; call `ended` when it has answered. */
  function began(sid) {
    const item = bySid(sid);
    if (item) change(item.key, { working: item.working + 1 });
  }
  async function ended(sid) {
    const item = bySid(sid);
    if (!item) return;
    change(item.key, { working: Math.max(0, item.working - 1) });
    if (sid === state.sid) return; // what is on the screen is looked after below
    try {
      const status = await api.status(sid);
      const now = bySid(sid);
      if (now) change(now.key, { objects: status.objects.length, looked: now.looked || status.can_undo, version: `${Date.now()}` });
    } catch {
      // The next look at it tells.
    }
  }

  function follow() {
    const still = state.sid !== null && state.info?.kind === "image";
    if (!still || state.sid === leaving) return;
    const version = `${state.sid}:${state.edits.length}:${state.edits.filter((e) => e.undone).length}`;
    const item = bySid(state.sid);
    const now = { objects: state.objects.length, looked: state.edits.some((e) => !e.undone) || Object.keys(item?.finds ?? {}).length > 0, version: state.edits.length ? version : (item?.version ?? "") };
    if (!item) store.set({ images: [...state.images, { ...blank, key: ++keys, sid: state.sid, name: state.info.name, phase: "ready", ...now }] });
    else if (Object.entries(now).some(([k, v]) => item[k] !== v)) change(item.key, now);
    if (aimed === null) store.set({ imageAt: bySid(state.sid)?.key ?? null });
  }

  store.after(["sid", "info", "objects", "edits"], follow);
  store.after(["images"], keep);
  store.on(["tab"], () => state.tab === "images" && check());

  return {
    take,
    stop,
    sending: () => sending !== null,
    retry,
    retriable: (key) => files.has(key),
    find,
    bySid,
    current,
    ready,
    change,
    step,
    remove,
    clear,
    began,
    ended,
    show: display,
    /** The image to show where none was shown yet. */
    first: () => ready()[0]?.sid ?? null,
    /** A key that moves through the set, or starts or stops the search of it. Returns whether it was one. */
    key(event) {
      if (state.tab !== "images" || !state.images.length || event.altKey || app.help.isOpen()) return false;
      if (event.key === "Escape" && state.batch && !state.batch.stopping) return (app.actions.stopWords(), true);
      if (event.ctrlKey || event.metaKey) return event.key === "Enter" && (app.actions.findAll(), true);
      const far = event.shiftKey ? 10 : 1;
      if (event.key === "ArrowLeft") step(-far);
      else if (event.key === "ArrowRight") step(far);
      else if (event.key === "Home") step(-Infinity);
      else if (event.key === "End") step(Infinity);
      else if (event.key === "[") untouched(-1);
      else if (event.key === "]") untouched(1);
      else return false;
      return true;
    },
  };
}
