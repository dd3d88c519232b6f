// The stage without a picture: where to drop a video, a file on its way, and the first-step banner.

import { count, esc, paint } from "./dom.js";
import { icon } from "./icons.js";
import { duration } from "./runbox.js";
import { isRunning, objectOf } from "./store.js";
import { troubleCard } from "./trouble.js";

const STEPS = [
  ["Say or click what you want", "Type a word, click it, or draw a box. Text, clicks and boxes mix freely."],
  ["Propagate", "The masks follow through the video. Stop any time; what is done is kept."],
  ["Fix and export", "Correct any frame, run again only what changed, then export masks, video or annotations."],
];

const IMAGE_STEPS = [
  ["Open all your images", "Files, or folders of them. They line up below the picture; the arrow keys go from one to the next."],
  ["Say or click what you want", "A list of words is looked for in all images. Clicks, boxes and strokes put right what is not."],
  ["Export all", "One file for the whole set. It waits for you here, also after a reload."],
];

// Ways to begin on the sample clip: a picture, and the prompt that its card sends.
const EXAMPLES = [
  { title: "Star", how: "One click", picture: "star.jpg", prompt: { type: "point", points: [[0.723, 0.21]], point_labels: [1] } },
  { title: "Box", how: "A box around it", picture: "box.jpg", prompt: { type: "box", box: [0.35, 0.28, 0.235, 0.41], label: true } },
  { title: "Ball", how: "One click; it hides and comes back", picture: "ball.jpg", prompt: { type: "point", points: [[0.157, 0.72]], point_labels: [1] } },
];

export function createEmpty(app) {
  const { store, state, parts } = app;
  const veil = document.createElement("div");
  veil.className = "veil";
  veil.hidden = true;
  parts.root.append(veil);
  let recent = [];

  function drop() {
    const images = state.tab === "images";
    const most = state.config?.max_upload_size_mb ?? 100;
    const what = images ? `JPEG, PNG, WebP or BMP, up to ${most} MB each. They stay on this server.` : `MP4, MOV, WebM or MKV, up to ${most} MB. It stays on this server.`;
    const sample = !images && state.config?.sample;
    return `<div class="empty"><div class="drop">${icon(images ? "img" : "film", "big")}<h1>${images ? "Drop images to start" : "Drop a video to start"}</h1><p class="muted">${what}</p>
      <div class="line"><button class="btn pri" data-do="choose">${images ? "Choose images" : "Choose a video"}</button>${images ? '<button class="btn" data-do="chooseFolder">A folder of images</button>' : sample ? '<button class="btn" data-do="sample">Try the sample</button>' : ""}</div>
      ${images ? "" : '<p class="muted sm">A GIF, an image, or a zip of numbered frames works too, and so does <a href="#" data-do="chooseFolder" style="text-decoration:underline;white-space:nowrap">a folder of frames</a>.</p>'}</div>${sample === "sample.mp4" ? cards() : ""}</div>`;
  }

  function cards() {
    const card = (e, i) => `<button class="card" data-do="example" data-example="${i}"><img class="pic" src="${esc(new URL(`canvas/examples/${e.picture}`, app.base).href)}" alt="" width="464" height="244"><span class="cap"><span class="b">${e.title}</span><small>${e.how}</small></span></button>`;
    return `<div><p class="b" style="margin-bottom:10px">Examples</p><div class="smp">${EXAMPLES.map(card).join("")}</div></div>`;
  }

  function loading() {
    const u = state.upload ?? { name: "", phase: "opening" };
    const sending = u.phase === "sending" && u.total;
    const share = sending ? u.loaded / u.total : 0;
    const seconds = sending ? (performance.now() - u.started) / 1000 : 0;
    const left = sending && seconds > 0.7 && share > 0.02 ? ` · ${duration((seconds / share) * (1 - share))} left` : "";
    const mb = (n) => (n / 1e6).toFixed(n < 1e7 ? 1 : 0);
    const line = sending ? `${mb(u.loaded)} of ${mb(u.total)} MB${left}` : { reading: "Looking at every frame", packing: "Packing the frames", opening: "Opening" }[u.phase] ?? "Opening";
    return `<div class="load"><div class="line"><span class="b clip">Reading ${esc(u.name || "the session")}</span><span class="grow"></span><span class="mono">${sending ? `${Math.floor(share * 100)}%` : ""}</span></div><div class="bar ${sending ? "" : "wait"}"><i style="width:${(share * 100).toFixed(1)}%"></i></div><div class="line muted sm"><span>${line}</span><span class="grow"></span><button class="btn lo" data-do="cancelUpload" style="height:28px;margin-right:-12px;color:var(--text)">Cancel</button></div></div>`;
  }

  function banner() {
    const m = state.model;
    if (state.connection === "lost") return `<div class="banner" role="alert"><span class="dot off"></span><span><b class="b">Connection lost.</b> <span class="muted">${isRunning(state) ? "The run goes on; reconnecting." : "Reconnecting."}</span></span></div>`;
    if (m?.state === "loading") return `<div class="banner"><span class="spin"></span><span><b class="b">${esc(m.title)} is loading${m.stage ? ` (${esc(m.stage)})` : ""}.</b> <span class="muted">You can play and prompt now; prompts wait in line.</span></span></div>`;
    if (m?.state === "failed") return `<div class="banner">${icon("warn")}<span><b class="b">${esc(m.title)} could not be loaded.</b> <span class="muted">${esc(m.note ?? "The server's log says why.")}</span></span></div>`;
    const where = state.splitting !== null && app.repair.splitWords();
    if (state.splitting !== null) return `<div class="banner">${icon("split", "s")}<span><b class="b">Click the part of ${esc(objectOf(state, state.splitting).name)}</b> <span class="muted">that becomes an object of its own${where ? `, ${where}` : ""}.</span></span><button class="btn" data-do="stopSplit">Cancel</button></div>`;
    if (state.objects.length || state.pending.length || state.edits.length || state.shown < 0) return "";
    const text = m?.capabilities?.text === false ? "or drag a box around it." : "or type its name above.";
    return `<div class="banner low">${icon("point")}<span><b class="b">Click something to start,</b> <span class="muted">${text}</span></span></div>`;
  }

  function draw() {
    parts.root.dataset.state = state.view;
    parts.root.toggleAttribute("data-still", state.view === "work" && state.info?.total_frames === 1);
    parts.canvas.hidden = state.view !== "work";
    paint(parts.center, state.view === "empty" ? (state.trouble ? troubleCard(state.trouble) : drop()) : state.view === "loading" ? loading() : state.view === "work" ? banner() : "");
    const bare = state.view === "empty" || state.view === "boot";
    for (const part of ["objects", "run", "history", "foot"]) parts[part].style.display = bare ? "none" : "";
    parts.history.style.visibility = parts.foot.style.visibility = state.view === "work" ? "" : "hidden";
    parts.welcome.hidden = !bare;
    if (bare) drawWelcome();
  }

  function drawWelcome() {
    const rows = recent.map((s) => `<button class="rec" data-do="openSession" data-id="${esc(s.session_id)}">${icon(s.video_info?.kind === "image" ? "img" : "film", "s")}<span class="clip">${esc(s.name ?? s.session_id)}<small>${count(s.objects_count ?? 0, "object")} · ${ago(s.created_at)}</small></span></button>`).join("");
    paint(parts.welcome, `<div class="sh" style="height:48px">How it works<span class="grow"></span>${app.tour?.offered() ? '<button class="btn lo" data-do="tour" data-key="tour">Take the tour</button>' : ""}</div><ol class="steps">${(state.tab === "images" ? IMAGE_STEPS : STEPS).map(([a, b]) => `<li><span class="b">${a}</span><small>${b}</small></li>`).join("")}</ol>${rows ? `<div class="sh" style="margin-top:22px">Recent sessions</div>${rows}` : ""}<span class="grow"></span><div class="foot muted sm">Scripts and agents: the same session over REST, WebSocket and Python. See API.</div>`);
  }

  async function recall() {
    if (state.view !== "empty") return;
    try {
      recent = (await app.api.sessions()).sessions.sort((a, b) => b.created_at.localeCompare(a.created_at)).slice(0, 4);
      drawWelcome();
    } catch {
      recent = []; // the list is an extra; a real problem shows in the connection badge
    }
  }

  app.actions.example = async (button) => {
    const { prompt } = EXAMPLES[Number(button.dataset.example)];
    if (await app.actions.sample()) app.session.prompt(0, [prompt]);
  };

  store.on(["view", "upload", "tab", "config", "model", "objects", "pending", "edits", "shown", "info", "connection", "splitting", "trouble"], draw);
  store.on(["view"], recall);
  const VEIL = {
    images: ["Drop to add", "Images, or folders of them."],
    sessions: ["Drop to open", "A session's file, or a video."],
  };

  return {
    veil(on) {
      veil.hidden = !on;
      const [title, text] = VEIL[state.tab] ?? ["Drop to open", "This session stays in the list of sessions."];
      paint(veil, `<div class="drop">${icon("up", "big")}<h1>${title}</h1><p class="muted">${text}</p></div>`);
    },
  };
}

/** A time in words: "just now", "14 min ago", "yesterday", or the date. */
export function ago(iso) {
  const minutes = (Date.now() - new Date(iso).getTime()) / 60000;
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${Math.round(minutes)} min ago`;
  if (minutes < 24 * 60) return `${Math.round(minutes / 60)} h ago`;
  if (minutes < 48 * 60) return "yesterday";
  return new Date(iso).toLocaleDateString();
}
