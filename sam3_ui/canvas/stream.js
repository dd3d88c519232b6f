// A run's frames as they are computed: over the WebSocket, again after a lost connection, and through
// Gradio's generator where a proxy lets no WebSocket through.

const BACKOFF = [500, 1000, 2000, 4000, 8000];

/**
 * Follow a run. `request` is the body of a propagate request, or null to join the session's run.
 * Calls on.frame(message), on.end(message) once with "complete", "cancelled" or "error", and
 * on.connection("ok" | "lost"). Returns { cancel, leave }.
 */
export function followRun(app, sid, request, on) {
  let next = 0; // the seq to go on from
  let socket = null;
  let left = false;
  let tries = 0;
  let everOpen = false;
  let timer = 0;

  const address = (path) => {
    const url = app.api.url(`api/v1/video/ws/${path}/${encodeURIComponent(sid)}`);
    url.protocol = url.protocol.replace("http", "ws");
    return url;
  };

  function end(message) {
    left = true;
    clearTimeout(timer);
    on.connection("ok");
    on.end(message);
  }

  function take(message) {
    if (left) return;
    if (message.type === "frame") {
      next = (message.seq ?? next) + 1;
      on.frame(message);
    } else end(message);
  }

  function open(path, first) {
    try {
      socket = new WebSocket(address(path));
    } catch {
      return generator();
    }
    let opened = false;
    socket.onopen = () => {
      opened = everOpen = true;
      tries = 0;
      on.connection("ok");
      socket.send(JSON.stringify(first));
    };
    socket.onmessage = (event) => take(JSON.parse(event.data));
    socket.onclose = () => {
      if (left) return undefined;
      if (!opened && !everOpen && path === "propagate") return generator();
      on.connection("lost");
      timer = setTimeout(() => open("follow", { from_seq: next }), BACKOFF[Math.min(tries++, BACKOFF.length - 1)]);
      return undefined;
    };
    return undefined;
  }

  async function generator() {
    const body = request ?? {};
    try {
      const call = await fetch(app.api.url("gradio_api/call/propagate"), {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          data: [sid, body.direction ?? "both", body.start_frame_index ?? null, body.max_frames ?? null, body.end_frame_index ?? null, body.obj_ids ?? null, false, body.resume ?? false, "fill", null],
        }),
      });
      if (!call.ok) throw new Error(`The server refused the run (${call.status}).`);
      const { event_id: id } = await call.json();
      const reply = await fetch(app.api.url(`gradio_api/call/propagate/${id}`));
      await readEvents(reply, (event, data) => {
        const [item] = data?.flat?.() ?? [];
        if (event === "generating" && item) take({ type: "frame", seq: next, ...item });
        else if (event === "error") throw new Error(data?.error ?? "The run ended with an error.");
      });
      if (!left) end({ type: "complete" });
    } catch (error) {
      if (!left) end({ type: "error", error: error.message, code: "stream_failed" });
    }
  }

  if (request) open("propagate", request);
  else {
    everOpen = true;
    open("follow", { from_seq: 0 });
  }
  return {
    cancel() {
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "cancel" }));
      // The service is told as well: the socket may be the one that is lost.
      return app.api.cancel(sid);
    },
    leave() {
      left = true;
      clearTimeout(timer);
      socket?.close();
    },
  };
}

/** Server-sent events of a reply: calls take(event, data) for each. */
async function readEvents(reply, take) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => block.split("\n").find((l) => l.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = field("data");
      take(field("event"), data ? JSON.parse(data) : null);
    }
  }
}
