// The public REST interface, as any other client uses it. Errors carry the service's own sentence.

export const OFFLINE = "The server does not answer. Check that it still runs; the page reconnects by itself.";

export class ApiError extends Error {
  constructor(message, code, status, retryAfter = null) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfter = retryAfter; // seconds, where the server says when to try again
  }
}

export function createApi(base, onConnection, onLocked) {
  const url = (path) => new URL(path, base);

  async function send(path, options = {}) {
    let reply;
    try {
      reply = await fetch(url(path), options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      onConnection("lost");
      throw new ApiError(OFFLINE, "offline", 0);
    }
    onConnection("ok");
    if (reply.ok) return reply;
    const body = await reply.json().catch(() => ({}));
    if (reply.status === 401) onLocked();
    const sentence = typeof body.detail === "string" ? body.detail : `The server answered with an error (${reply.status}).`;
    throw new ApiError(sentence, body.code ?? "error", reply.status, Number(reply.headers.get("Retry-After")) || null);
  }

  const json = async (path, options) => (await send(path, options)).json();
  const post = (path, body) =>
    json(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });
  const session = (sid) => `api/v1/video/session/${encodeURIComponent(sid)}`;

  return {
    url,
    importPath: "api/v1/video/session/import",
    config: () => json("api/v1/config"),
    models: () => json("models/info"),
    health: () => json("health"),
    sessions: () => json("api/v1/video/sessions"),
    start: (body) => post("api/v1/video/session/start", body),
    status: (sid) => json(`${session(sid)}/status`),
    log: (sid) => json(`${session(sid)}/log`),
    timestamps: (sid) => json(`${session(sid)}/timestamps`),
    results: (sid, start, stop) => json(`${session(sid)}/results?start=${start}&stop=${stop}`),
    prompt: (sid, body) => post(`${session(sid)}/prompt`, body),
    cancel: (sid) => post(`${session(sid)}/cancel`),
    undo: (sid) => post(`${session(sid)}/undo`),
    redo: (sid) => post(`${session(sid)}/redo`),
    reset: (sid) => post(`${session(sid)}/reset`),
    close: (sid) => json(session(sid), { method: "DELETE" }),
    rename: (sid, id, patch) =>
      json(`${session(sid)}/object/${id}`, { method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify(patch) }),
    remove: (sid, id) => json(`${session(sid)}/object/${id}`, { method: "DELETE" }),
    approve: (sid, id, body) => post(`${session(sid)}/object/${id}/approve`, body),
    split: (sid, id, body) => post(`${session(sid)}/object/${id}/split`, body),
    merge: (sid, id, body) => post(`${session(sid)}/object/${id}/merge`, body),
    problems: (sid) => json(`${session(sid)}/problems`),
    labels: () => json("api/v1/video/labels"),
    putLabel: (label, color) =>
      json("api/v1/video/labels", { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ label, color }) }),
    dropLabel: (label) => json(`api/v1/video/labels/${encodeURIComponent(label)}`, { method: "DELETE" }),
    /** The JPEG of a frame as a Blob. */
    frame: async (sid, n, width, options) => (await send(`${session(sid)}/frame/${n}?width=${width}`, options)).blob(),
    thumbnailUrl: (sid, version) => url(`${session(sid)}/thumbnail?v=${encodeURIComponent(version)}`).href,
    /** Several sessions' results as { blob, name }. */
    exportMany: async (sids, name) => {
      const body = JSON.stringify({ session_ids: sids });
      const reply = await send(`api/v1/video/sessions/export/${name}`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      return { blob: await reply.blob(), name: /filename="?([^";]+)/.exec(reply.headers.get("Content-Disposition"))?.[1] ?? name };
    },
    exportUrl: (sid, name) => url(`${session(sid)}/export/${name}`).href,

    /** Send a file, a session's too (`path`); `onProgress(loaded, total)`. Returns { done: Promise, abort }. */
    upload(file, onProgress, path = "api/v1/video/upload") {
      const request = new XMLHttpRequest();
      const done = new Promise((resolve, reject) => {
        request.open("POST", url(path));
        request.responseType = "json";
        request.upload.onprogress = (e) => onProgress(e.loaded, e.total);
        request.onload = () => {
          if (request.status < 400 && request.response) return resolve(request.response);
          if (request.status === 401) onLocked();
          const body = request.response ?? {};
          const sentence = typeof body.detail === "string" ? body.detail : `The server refused the file (${request.status}).`;
          return reject(new ApiError(sentence, body.code ?? "error", request.status, Number(request.getResponseHeader("Retry-After")) || null));
        };
        request.onerror = () => reject(new ApiError("The upload broke off. Check the connection and try again.", "offline", 0));
        request.onabort = () => reject(new ApiError("Upload cancelled.", "aborted", 0));
        const form = new FormData();
        form.append("file", file, file.name);
        request.send(form);
      });
      return { done, abort: () => request.abort() };
    },
  };
}
