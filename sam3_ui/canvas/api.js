// The public REST interface, as any other client uses it. Errors carry the service's own sentence.

export const OFFLINE = "The server does not answer. Check that it still runs; the page reconnects by itself.";

export class ApiError extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
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
    throw new ApiError(sentence, body.code ?? "error", reply.status);
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
    /** The JPEG of a frame as a Blob. */
    frame: async (sid, n, width, options) => (await send(`${session(sid)}/frame/${n}?width=${width}`, options)).blob(),
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
          return reject(new ApiError(sentence, body.code ?? "error", request.status));
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
