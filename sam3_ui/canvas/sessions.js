// The page of sessions: what there is, how a run stands, what each costs; open, export, import, close.

import { count, esc, paint } from "./dom.js";
import { ago } from "./empty.js";
import { icon } from "./icons.js";

const RUNNING = 1500; // ms between looks at the list while something runs
const QUIET = 5000; // and while nothing does
const MANY = 8; // from so many on there is a field to search them
const KINDS = [["all", "All"], ["video", "Videos"], ["image", "Images"]];

/** Megabytes in three digits at most: "0.4 MB", "38 MB", "1.2 GB". */
export function megabytes(mb) {
  if (mb >= 1000) return `${(mb / 1000).toFixed(1)} GB`;
  return `${mb >= 10 || mb === 0 ? Math.round(mb) : Math.max(0.1, mb).toFixed(1)} MB`;
}

const goesOn = (run) => run?.state === "queued" || run?.state === "running";
const isStill = (s) => s.video_info?.kind === "image";

export function mountSessions(app) {
  const { store, state, parts, api, actions } = app;
  let list = null; // as the service lists them, last changed first; null: not asked yet
  let problem = "";
  let kind = "all";
  let query = "";
  let asked = null; // the id of the session that is about to be closed
  let sending = null; // { name, share } of a session's file on its way
  let fresh = new Set(); // ids that were imported just now
  let timer = 0;
  let loading = false;

  const picker = document.createElement("input");
  picker.type = "file";
  picker.accept = ".zip";
  picker.multiple = true;
  picker.hidden = true;
  picker.dataset.part = "sessionFile";
  parts.root.append(picker);
  picker.addEventListener("change", () => {
    bring([...picker.files]);
    picker.value = "";
  });

  // --- one row

  /** How a session stands: markup of its column. */
  function standing(s) {
    const run = s.run;
    if (goesOn(run)) {
      const share = run.total ? Math.min(1, run.done / run.total) : 0;
      const queued = run.state === "queued" || !run.total;
      const words = queued ? "Waiting in line" : `Propagating, frame <span class="mono">${run.frame_index ?? "–"}</span>`;
      return `<span class="line"><span class="pulse"></span><span class="clip">${words}</span><span class="grow"></span><span class="mono muted">${queued ? "" : `${Math.floor(share * 100)}%`}</span></span>
        <span class="bar ${queued ? "wait" : ""}" role="progressbar" aria-valuenow="${Math.round(share * 100)}" aria-valuemin="0" aria-valuemax="100" aria-label="Propagation of ${esc(s.name)}"><i style="width:${(share * 100).toFixed(1)}%"></i></span>`;
    }
    if (run?.resumable && run.state !== "complete") {
      const what = { interrupted: "Interrupted", error: "Failed" }[run.state] ?? "Stopped";
      return `<span class="line">${icon(run.state === "cancelled" ? "pause" : "warn", "s")}<span class="clip">${what} after <span class="mono">${run.done}</span> of <span class="mono">${run.total}</span></span></span><small>Open it to resume</small>`;
    }
    const [words, more] = {
      processing: ["At work", ""],
      queued: ["Waiting in line", ""],
      interrupted: ["Interrupted", "Open it to resume"],
      parked: ["Asleep", "Wakes when it is used"],
      error: ["Last run failed", "What it computed is kept"],
    }[s.status] ?? ["Ready", ""];
    return `<span>${words}</span>${more ? `<small>${more}</small>` : ""}`;
  }

  function row(s) {
    const { total_frames: frames, resolution: r } = s.video_info ?? {};
    const what = [isStill(s) ? `${r.width} × ${r.height}` : count(frames ?? 0, "frame"), count(s.objects_count ?? 0, "object")].join(" · ");
    const id = esc(s.session_id);
    const name = esc(s.name ?? s.session_id);
    const here = s.session_id === state.sid;
    const ends = asked === s.session_id
      ? `<span class="sure" role="group" aria-label="Close ${name}?"><span class="clip">Its masks and history are deleted.</span><button class="btn pri" data-do="closeSession" data-id="${id}" data-key="yes${id}">Close for good</button><button class="btn" data-do="keepSession" data-key="no${id}">Keep</button></span>`
      : `<span class="acts"><button class="btn" data-do="openSession" data-id="${id}" data-key="open${id}">${here ? "Go on" : "Open"}</button><a class="ib" download href="${esc(api.exportUrl(s.session_id, "session"))}" title="Download it as a file, to go on elsewhere" aria-label="Download ${name} as a file">${icon("down", "s")}</a><button class="ib" data-do="askClose" data-id="${id}" data-key="ask${id}" title="Close: delete it from the server" aria-label="Close ${name}">${icon("trash", "s")}</button></span>`;
    return `<li class="srow ${here ? "here" : ""} ${fresh.has(s.session_id) ? "fresh" : ""}" data-key="s${id}" data-id="${id}">
      <button class="sthumb" data-do="openSession" data-id="${id}" tabindex="-1" aria-hidden="true"><img src="${esc(api.thumbnailUrl(s.session_id, s.changed_at))}" alt="" loading="lazy" decoding="async">${icon(isStill(s) ? "img" : "film", "s")}</button>
      <span class="swho"><span class="b clip" title="${name}">${name}</span><small>${what}${s.memory_mb ? `<span class="narrow"> · ${megabytes(s.memory_mb)} memory</span>` : ""}</small></span>
      <span class="show">${standing(s)}</span>
      <span class="scost"><span class="mono" title="Engine memory it holds now">${s.memory_mb ? megabytes(s.memory_mb) : "–"}</span><small title="Its masks, and its video where that is its own">${s.disk_mb === undefined ? "" : `${megabytes(s.disk_mb)} disk`}</small></span>
      <span class="swhen"><span>${ago(s.changed_at ?? s.created_at)}</span><small class="mono" title="The session's id, for programs">${esc(s.session_id.slice(0, 8))}</small></span>
      ${ends}</li>`;
  }

  // --- the page

  function body() {
    if (!list && problem) return `<div class="box"><div class="nothing">${icon("warn", "big")}<h2>The sessions could not be read</h2><p class="muted">${esc(problem)}</p><div class="links"><button class="btn pri" data-do="reloadSessions">Try again</button></div></div></div>`;
    if (!list) return `<div class="box" aria-busy="true"><ol class="srows">${'<li class="srow"><span class="sthumb skel"></span><span class="swho"><span class="skel" style="width:180px"></span><span class="skel" style="width:110px"></span></span></li>'.repeat(3)}</ol></div>`;
    if (!list.length) return `<div class="box"><div class="nothing">${icon("film", "big")}<h2>No sessions yet</h2><p class="muted">Open a video or some images; they wait for you here until you close them.</p><div class="links"><button class="btn pri" data-do="tab" data-tab="video">Open a video</button><button class="btn" data-do="tab" data-tab="images">Open images</button></div></div></div>`;
    const shown = list.filter((s) => (kind === "all" || isStill(s) === (kind === "image")) && (s.name ?? "").toLowerCase().includes(query.toLowerCase()));
    const note = problem ? `<p class="warned">${icon("warn", "s")}<span>${esc(problem)} This is how it was before.</span></p>` : "";
    const rows = shown.length ? `<ol class="srows">${shown.map(row).join("")}</ol>` : `<div class="nothing"><p class="muted">No session ${query ? `is named like “${esc(query)}”` : "of this kind"}.</p></div>`;
    return `${note}<div class="box"><div class="srow shead" aria-hidden="true"><span>Session</span><span></span><span>State</span><span>Memory</span><span>Changed</span><span></span></div>${rows}</div>`;
  }

  function tools() {
    if (!list?.length) return "";
    const both = list.some(isStill) && !list.every(isStill);
    const seg = both ? `<div class="seg" role="radiogroup" aria-label="Kind">${KINDS.map(([id, label]) => `<button role="radio" aria-checked="${kind === id}" class="${kind === id ? "on" : ""}" data-do="sessionKind" data-kind="${id}" data-key="k${id}">${label}</button>`).join("")}</div>` : "";
    const search = list.length >= MANY ? `<label class="field">${icon("find", "s")}<input data-key="q" value="${esc(query)}" placeholder="Search by name" aria-label="Search by name" autocomplete="off" spellcheck="false"></label>` : "";
    return `<div class="stools">${seg}${search}</div>`;
  }

  function summary() {
    if (!list?.length) return "A session is a video or image with its objects and masks. It stays on the server when this tab closes.";
    const sum = (key) => list.reduce((n, s) => n + (s[key] ?? 0), 0);
    const busy = list.filter((s) => goesOn(s.run)).length;
    const disk = sum("disk_mb");
    return [count(list.length, "session"), busy && `${busy} at work`, `${megabytes(sum("memory_mb"))} of engine memory`, disk && `${megabytes(disk)} on disk`].filter(Boolean).join(" · ");
  }

  function draw() {
    if (state.tab !== "sessions") return;
    const coming = sending ? `<div class="box coming" role="status"><span class="line"><span class="clip">Reading ${esc(sending.name)}</span><span class="grow"></span><span class="mono muted">${sending.share < 1 ? `${Math.floor(sending.share * 100)}%` : "checking it"}</span></span><div class="bar ${sending.share < 1 ? "" : "wait"}"><i style="width:${(sending.share * 100).toFixed(0)}%"></i></div></div>` : "";
    paint(parts.sheet, `<div class="page sess-page"><div class="stitle"><div><h1>Sessions</h1><p class="muted">${summary()}</p></div><button class="btn" data-do="importSession" data-key="import" ${sending ? "disabled" : ""} title="Open what was downloaded as a session's file, here or elsewhere. Dropping it works too.">${icon("up", "s")}Open a session file</button></div>${tools()}${coming}${body()}</div>`);
  }

  async function load() {
    clearTimeout(timer);
    if (loading || state.tab !== "sessions" || document.hidden) return;
    loading = true;
    const began = performance.now();
    try {
      const got = (await api.sessions()).sessions;
      list = got.sort((a, b) => (b.changed_at ?? b.created_at).localeCompare(a.changed_at ?? a.created_at));
      problem = "";
      if (asked && !list.some((s) => s.session_id === asked)) asked = null;
    } catch (error) {
      problem = error.message;
    }
    loading = false;
    draw();
    if (state.tab === "sessions") {
      // A long list that takes the server long is asked for less often.
      const took = performance.now() - began;
      timer = setTimeout(load, Math.max(list?.some((s) => goesOn(s.run)) ? RUNNING : QUIET, 4 * took));
    }
  }

  // --- files of sessions

  async function bring(files) {
    for (const file of files) {
      sending = { name: file.name, share: 0 };
      draw();
      try {
        const reply = await api.upload(file, (loaded, total) => {
          sending = { name: file.name, share: total ? loaded / total : 0 };
          draw();
        }, api.importPath).done;
        fresh.add(reply.session_id);
        app.say(`${file.name} is open as a session.`);
      } catch (error) {
        app.toast.error(`${file.name} could not be opened`, error.message);
      }
    }
    sending = null;
    await load();
    parts.sheet.querySelector(".fresh")?.scrollIntoView({ block: "nearest" });
  }

  store.on(["tab"], () => {
    if (state.tab !== "sessions") {
      clearTimeout(timer);
      fresh = new Set();
      asked = null;
      return;
    }
    draw();
    load();
  });
  store.after(["sid"], draw);
  document.addEventListener("visibilitychange", load);
  parts.sheet.addEventListener("input", (event) => {
    if (event.target.dataset.key !== "q") return;
    query = event.target.value;
    draw();
  });
  parts.sheet.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && asked) {
      actions.keepSession();
      event.stopPropagation();
    }
  });
  for (const kindOf of ["error", "load"]) parts.sheet.addEventListener(kindOf, (event) => event.target.matches("img") && event.target.classList.toggle("none", kindOf === "error"), true);

  const focus = (key) => parts.sheet.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();

  Object.assign(actions, {
    reloadSessions: () => {
      problem = "";
      draw();
      load();
    },
    sessionKind(button) {
      kind = button.dataset.kind;
      draw();
    },
    importSession: () => picker.click(),
    async openSession(button) {
      const { id } = button.dataset;
      store.set({ tab: "video" });
      if (id !== state.sid) await app.session.open(id);
      else store.set({ tab: state.info?.kind === "image" ? "images" : "video" });
    },
    askClose(button) {
      asked = button.dataset.id;
      draw();
      focus(`no${asked}`);
    },
    keepSession() {
      const id = asked;
      asked = null;
      draw();
      focus(`ask${id}`);
    },
    async closeSession(button) {
      const { id } = button.dataset;
      button.disabled = true;
      const item = app.images.bySid(id);
      asked = null;
      if (item) await app.images.remove(item.key, { close: true });
      else await app.session.close(id);
      list = list?.filter((s) => s.session_id !== id) ?? null;
      draw();
      load();
    },
  });

  return {
    /** Take dropped files if they are sessions' files. */
    take(files) {
      if (!files.every((f) => f.name.toLowerCase().endsWith(".zip"))) {
        store.set({ tab: "video" });
        return false;
      }
      bring(files);
      return true;
    },
  };
}
