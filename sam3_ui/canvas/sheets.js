// The page beside the workspace that says how programs do the same. The list of sessions: sessions.js.

import { esc, paint } from "./dom.js";
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
  const code = (title, text) => `<div class="box"><div class="pad"><h2>${title}</h2><div class="code"><button class="btn" data-do="copy">${icon("copy", "s")}Copy</button><pre tabindex="0">${esc(text)}</pre></div></div></div>`;

  function apiPage() {
    const origin = app.base.href.replace(/\/$/, "");
    return `<h1>API</h1><p class="muted">Everything on this page goes over the same public interface: REST, a WebSocket for frames as they are computed, and Gradio's own API. A program and a person can share a session.</p>
      <div class="links"><a class="btn pri" href="${esc(app.api.url("docs").href)}" target="_blank" rel="noopener">${icon("link", "s")}REST reference</a><button class="btn" data-do="gradioApi">${icon("link", "s")}Gradio's API view</button></div>
      ${code("Python, with gradio_client", PYTHON(origin))}${code("Shell, with curl", CURL(origin))}`;
  }

  store.on(["tab"], () => {
    const on = state.tab === "sessions" || state.tab === "api";
    parts.sheet.hidden = !on;
    parts.ws.hidden = on;
    // What is said is to be seen on these pages too.
    (on ? parts.root : parts.mat).append(parts.toasts);
    if (state.tab === "api") paint(parts.sheet, `<div class="page">${apiPage()}</div>`);
  });

  Object.assign(actions, {
    gradioApi: () => openGradioApi(),
    copy(button) {
      const text = button.parentElement.querySelector("pre").textContent;
      navigator.clipboard?.writeText(text).then(() => app.toast.info("Copied", "", 2000), () => undefined);
      button.lastChild.textContent = "Copied";
    },
  });
}
