// The pages beside the workspace: the list of sessions, and how programs do the same.

import { count, esc, paint } from "./dom.js";
import { ago } from "./empty.js";
import { icon } from "./icons.js";

const PYTHON = (origin) => `from gradio_client import Client

client = Client("${origin}", download_files=False)
session = client.predict(video_path="sample.mp4", api_name="/start_session")
client.predict(session_id=session["session_id"], frame_index=0,
               prompts=[{"type": "point", "points": [[0.5, 0.5]], "point_labels": [1]}],
               api_name="/add_prompt")
for item, _ in client.submit(session_id=session["session_id"], direction="forward",
                             api_name="/propagate"):
    if item["type"] == "frame":
        print(item["frame_index"], [o["score"] for o in item["objects"]])`;

/** Open Gradio's own API view over the page. Its button lies in the footer, which is not shown. */
export function openGradioApi(tries = 100) {
  const button = document.querySelector("button.show-api");
  if (!button) {
    // Gradio puts its footer in after our part of the page.
    if (tries) setTimeout(() => openGradioApi(tries - 1), 50);
    return;
  }
  button.click();
  // Where the address said so already, Gradio took the press as a wish to close the view.
  if (new URLSearchParams(location.search).get("view") !== "api") button.click();
}

const CURL = (origin) => `S=$(curl -s ${origin}/api/v1/video/session/start -H 'Content-Type: application/json' \\
  -d '{"video_path": "sample.mp4"}' | python3 -c 'import json,sys; print(json.load(sys.stdin)["session_id"])')
curl -s ${origin}/api/v1/video/session/$S/prompt -H 'Content-Type: application/json' \\
  -d '{"frame_index": 0, "prompts": [{"type": "point", "points": [[0.5, 0.5]], "point_labels": [1]}]}'
curl -s ${origin}/api/v1/video/session/$S/propagate -H 'Content-Type: application/json' \\
  -d '{"direction": "forward"}' -o masks.json`;

export function mountSheets(app) {
  const { store, state, parts, actions } = app;
  let sessions = null;
  let problem = "";

  function sessionList() {
    if (problem) return `<div class="box"><div class="pad"><p>${esc(problem)}</p></div></div>`;
    if (!sessions) return '<div class="box"><div class="pad"><div class="skel" style="height:40px"></div></div></div>';
    if (!sessions.length) return '<div class="box"><div class="pad"><p class="muted">No session is open. Open a video to start one.</p><div class="links"><button class="btn pri" data-do="tab" data-tab="video">Open a video</button></div></div></div>';
    return `<div class="box">${sessions.map((s) => `<div class="srow">${icon(s.video_info?.kind === "image" ? "img" : "film")}<span class="clip"><span class="b">${esc(s.name ?? s.session_id)}</span><small>${count(s.objects_count ?? 0, "object")} · ${esc(s.status)} · opened ${ago(s.created_at)}</small></span><span class="mono muted hide-xs">${esc(s.session_id.slice(0, 8))}</span><span class="acts"><button class="btn" data-do="openSession" data-id="${esc(s.session_id)}">${s.session_id === state.sid ? "Go on" : "Open"}</button><button class="btn lo" data-do="closeSession" data-id="${esc(s.session_id)}">Close</button></span></div>`).join("")}</div>`;
  }

  const code = (title, text) => `<div class="box"><div class="pad"><h2>${title}</h2><div class="code"><button class="btn" data-do="copy">${icon("copy", "s")}Copy</button><pre tabindex="0">${esc(text)}</pre></div></div></div>`;

  function apiPage() {
    const origin = app.base.href.replace(/\/$/, "");
    return `<h1>API</h1><p class="muted">Everything on this page goes over the same public interface: REST, a WebSocket for frames as they are computed, and Gradio's own API. A program and a person can share a session.</p>
      <div class="links"><a class="btn pri" href="${esc(app.api.url("docs").href)}" target="_blank" rel="noopener">${icon("link", "s")}REST reference</a><button class="btn" data-do="gradioApi">${icon("link", "s")}Gradio's API view</button></div>
      ${code("Python, with gradio_client", PYTHON(origin))}${code("Shell, with curl", CURL(origin))}`;
  }

  function draw() {
    const on = state.tab === "sessions" || state.tab === "api";
    parts.sheet.hidden = !on;
    parts.ws.hidden = on;
    if (on) paint(parts.sheet, `<div class="page">${state.tab === "api" ? apiPage() : `<h1>Sessions</h1><p class="muted">A session is a video with its objects and masks. It stays on the server when this tab closes.</p>${sessionList()}`}</div>`);
  }

  async function load() {
    try {
      sessions = (await app.api.sessions()).sessions.sort((a, b) => b.created_at.localeCompare(a.created_at));
      problem = "";
    } catch (error) {
      problem = error.message;
    }
    draw();
  }

  store.on(["tab", "sid"], () => {
    draw();
    if (state.tab === "sessions") load();
  });

  Object.assign(actions, {
    gradioApi: () => openGradioApi(),
    async openSession(button) {
      store.set({ tab: "video" });
      if (button.dataset.id !== state.sid) await app.session.open(button.dataset.id);
      else store.set({ tab: state.info?.kind === "image" ? "images" : "video" });
    },
    async closeSession(button) {
      button.disabled = true;
      await app.session.close(button.dataset.id);
      load();
    },
    copy(button) {
      const text = button.parentElement.querySelector("pre").textContent;
      navigator.clipboard?.writeText(text).then(() => app.toast.info("Copied", "", 2000), () => undefined);
      button.lastChild.textContent = "Copied";
    },
  });
}
