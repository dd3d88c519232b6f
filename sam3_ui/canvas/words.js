// A list of words, looked for on all images of the set or on one: image by image, word by word. What is
// there already is not asked again, so the search can be stopped, gone on with and repeated.

import { count, esc, paint } from "./dom.js";
import { icon } from "./icons.js";
import { patiently } from "./patience.js";

const KEPT = "sam3.words";
const LONGEST = 200; // characters, as the service takes

export function mountWords(app) {
  const { api, store, state, parts, actions } = app;
  parts.words.innerHTML = `<div class="sh"></div><div class="wrds"><div class="chips"></div>
    <textarea rows="1" maxlength="4000" spellcheck="false" aria-label="Words to find, one a line" placeholder="Add words, one a line"></textarea><div class="wgo"></div><div class="wsaid" role="status"></div></div>`;
  const $ = (q) => parts.words.querySelector(q);
  const [title, chips, field, go, said] = [".sh", ".chips", "textarea", ".wgo", ".wsaid"].map($);
  let stopping = null; // AbortController of the search under way

  function read() {
    try {
      return JSON.parse(localStorage.getItem(KEPT) ?? "[]").filter((w) => typeof w === "string");
    } catch {
      return []; // somebody else's words under our key
    }
  }
  store.set({ words: read() });

  /** Add what is written: a word or phrase a line, or by comma. */
  function add() {
    const fresh = field.value.split(/[\n,]/).map((w) => w.trim().slice(0, LONGEST)).filter(Boolean);
    const known = new Set(state.words.map((w) => w.toLowerCase()));
    store.set({ words: [...state.words, ...fresh.filter((w) => !known.has(w.toLowerCase()) && known.add(w.toLowerCase()))] });
    field.value = "";
  }

  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      add();
      start(null);
    } else if (event.key === "Enter") add();
    else if (event.key === "Backspace" && !field.value && state.words.length) store.set({ words: state.words.slice(0, -1) });
    else if (event.key === "Escape") parts.canvas.focus({ preventScroll: true });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  field.addEventListener("paste", () => setTimeout(() => field.value.includes("\n") && add()));
  field.addEventListener("blur", add);

  // --- the search

  /** Look for all words on these images (keys; null: on all). */
  async function start(keys) {
    if (stopping || !state.words.length || !canText()) return;
    stopping = new AbortController();
    const { signal } = stopping;
    const rules = { signal, health: api.health, onWait: (sentence) => tell({ waits: sentence }) };
    const todo = keys ?? state.images.filter((i) => i.phase !== "failed").map((i) => i.key);
    store.set({ batch: { total: todo.length, done: 0, name: "", word: "", waits: null, stopping: false } });
    while (todo.length && !signal.aborted) {
      const at = todo.findIndex((key) => app.images.find(key)?.sid);
      if (at < 0) {
        const coming = todo.filter((key) => ["waiting", "sending"].includes(app.images.find(key)?.phase));
        tell({ done: state.batch.total - coming.length, waits: "Waiting for images that are on their way." });
        todo.splice(0, todo.length, ...coming);
        if (coming.length) await changed(signal);
        continue;
      }
      const [key] = todo.splice(at, 1);
      await look(app.images.find(key), rules);
      tell({ done: state.batch.done + 1, waits: null });
    }
    const { done, total } = state.batch;
    app.say(signal.aborted ? `Stopped after ${done} of ${count(total, "image")}.` : `Looked through ${count(total, "image")}.`);
    stopping = null;
    store.set({ batch: null });
  }

  const tell = (patch) => store.set({ batch: { ...state.batch, ...patch } });

  /** Until the set changes, or the search is stopped. */
  let wake = () => undefined;
  store.after(["images"], () => wake());
  const changed = (signal) => new Promise((resolve) => {
    wake = resolve;
    signal.addEventListener("abort", resolve, { once: true });
  });

  async function look({ key, sid, name }, rules) {
    app.images.change(key, { trouble: null });
    app.images.began(sid);
    try {
      const there = found(await patiently(() => api.log(sid), rules));
      for (const word of [...state.words]) {
        if (rules.signal.aborted) return;
        tell({ name, word });
        const known = there.get(word.toLowerCase());
        if (known) note(key, word, known, "");
        else await ask(key, sid, word, rules);
      }
    } catch (error) {
      if (!rules.signal.aborted) app.images.change(key, { trouble: error.message });
    } finally {
      await app.images.ended(sid);
    }
  }

  async function ask(key, sid, word, rules) {
    try {
      const reply = await patiently(() => api.prompt(sid, { frame_index: 0, prompts: [{ type: "text", text: word }] }), rules);
      // The service's sentence begins with what the row says already.
      note(key, word, reply.obj_ids.length, (reply.message ?? "").replace(`No “${word}” on frame 0.`, "").trim());
      if (sid === state.sid) await app.session.renew();
    } catch (error) {
      // Words that the engine refuses are this word's trouble; anything else is the image's.
      if (error.status !== 422 && error.status !== 501) throw error;
      note(key, word, 0, error.message);
    }
  }

  function note(key, word, n, why) {
    const item = app.images.find(key);
    if (item) app.images.change(key, { looked: true, finds: { ...item.finds, [word]: n }, whys: { ...item.whys, [word]: why } });
  }

  /** Words that were looked for in a session and found: by lower case, how many of their objects are there still. */
  function found({ edits }) {
    const live = edits.filter((e) => !e.undone);
    const after = live.findLastIndex((e) => e.kind === "reset") + 1;
    const removed = new Set(live.filter((e) => e.kind === "remove").map((e) => e.obj_id));
    const out = new Map();
    for (const edit of live.slice(after)) {
      const word = edit.kind === "prompt" && edit.prompts.length === 1 && edit.prompts[0].type === "text" && edit.prompts[0].text.toLowerCase();
      if (word) out.set(word, (edit.obj_ids ?? []).filter((id) => !removed.has(id)).length);
    }
    return out;
  }

  // --- what is shown

  const canText = () => state.model?.capabilities?.text !== false;

  function drawGo() {
    const b = state.batch;
    if (b) {
      const share = b.total ? b.done / b.total : 0;
      const where = b.waits ?? (b.word ? `“${b.word}” in ${b.name}` : "Starting");
      return paint(go, `<div class="bar" role="progressbar" aria-valuenow="${Math.round(share * 100)}" aria-valuemin="0" aria-valuemax="100" aria-label="Search"><i style="width:${(share * 100).toFixed(1)}%"></i></div>
        <div class="kv sm"><span class="clip" title="${esc(where)}">${esc(where)}</span><span class="grow"></span><span class="mono muted">${b.done}/${b.total}</span></div>
        <button class="btn big stop" data-do="stopWords" data-key="stopwords" ${b.stopping ? "disabled" : ""}>${icon("stop", "s")}${b.stopping ? "Stopping after this one" : "Stop and keep what was found"}<kbd class="hide-s">Esc</kbd></button>`);
    }
    const n = state.images.filter((i) => i.phase !== "failed").length;
    const off = state.words.length && canText() ? "" : "disabled";
    return paint(go, `<button class="btn pri big" data-do="findAll" data-key="findall" ${off}>Find in ${n === 1 ? "this image" : `all ${n} images`}<kbd class="hide-s">Ctrl Enter</kbd></button>
      ${n > 1 ? `<button class="btn" data-do="findHere" data-key="findhere" ${off || (state.imageAt === null ? "disabled" : "")}>Only in this one</button>` : ""}`);
  }

  /** What became of each word, and of each image that failed. */
  function drawSaid() {
    const rows = state.words.map((word) => {
      const looked = state.images.filter((i) => word in i.finds);
      if (!looked.length) return "";
      const hits = looked.filter((i) => i.finds[word]);
      const objects = hits.reduce((n, i) => n + i.finds[word], 0);
      const none = looked.length - hits.length;
      const why = looked.map((i) => i.whys?.[word]).find(Boolean) ?? "";
      const here = app.images.current();
      const absent = here && here.finds[word] === 0 && hits.length ? " · not in this one" : "";
      const line = hits.length ? `${count(objects, "object")} in ${count(hits.length, "image")}${none ? `, none in ${none}` : ""}${absent}` : `not found in ${looked.length === 1 ? "1 image" : `any of ${looked.length} images`}`;
      return `<div class="wrow" title="${esc(why)}">${icon(hits.length ? "check" : "minus", "s")}<span class="clip"><b class="b">${esc(word)}</b> <span class="muted">${line}</span></span></div>${!hits.length && why ? `<small class="muted">${esc(why)}</small>` : ""}`;
    });
    const failed = state.images.filter((i) => i.trouble);
    const troubles = failed.slice(0, 4).map((i) => `<div class="wrow bad">${icon("warn", "s")}<span><b class="b">${esc(i.name)}</b> <span class="muted">${esc(i.trouble)}</span></span><button class="btn" data-do="findAgain" data-id="${i.key}" data-key="again${i.key}" ${state.batch ? "disabled" : ""}>Try again</button></div>`);
    if (failed.length > 4) troubles.push(`<small class="muted">and ${failed.length - 4} more</small>`);
    if (failed.length > 1) troubles.push(`<button class="btn" data-do="findAgain" data-key="againall" ${state.batch ? "disabled" : ""}>Try all ${failed.length} again</button>`);
    paint(said, rows.join("") + troubles.join(""));
  }

  function draw() {
    const on = state.tab === "images" && state.images.length > 0;
    parts.words.hidden = !on;
    if (!on) return;
    field.disabled = !canText();
    field.placeholder = canText() ? "Add words, one a line" : "Finding by words needs SAM 3";
    const known = state.model?.capabilities?.words ?? [];
    field.title = known.length ? `This engine knows: ${known.join(", ")}` : "";
    paint(title, `Words <span class="n">${state.words.length || ""}</span><span class="grow"></span>${state.words.length ? `<button class="ib" data-do="clearWords" title="Clear the list" aria-label="Clear the list of words">${icon("trash", "s")}</button>` : ""}`);
    paint(chips, state.words.map((word, i) => `<span class="wchip" data-key="w${esc(word)}"><span class="clip">${esc(word)}</span><button data-do="dropWord" data-i="${i}" aria-label="Remove ${esc(word)}">${icon("x", "s")}</button></span>`).join(""));
    chips.hidden = !state.words.length;
    drawGo();
    drawSaid();
  }

  store.on(["tab", "images", "imageAt", "words", "batch", "model"], draw);
  store.after(["words"], () => localStorage.setItem(KEPT, JSON.stringify(state.words)));

  Object.assign(actions, {
    dropWord: (b) => store.set({ words: state.words.filter((_, i) => i !== Number(b.dataset.i)) }),
    clearWords: () => store.set({ words: [] }),
    findAll: () => start(null),
    findHere: () => start([state.imageAt]),
    findAgain: (b) => start(b.dataset.id ? [Number(b.dataset.id)] : state.images.filter((i) => i.trouble).map((i) => i.key)),
    stopWords() {
      stopping?.abort(new DOMException("Stopped.", "AbortError"));
      tell({ stopping: true });
    },
  });
}
