// The session's pictures: the wanted frame first, its neighbours after it, a bounded cache of bitmaps.

const BYTES = 320e6; // of decoded pixels kept
const WIDTHS = [320, 480, 640, 854, 1280, 1920, 2560, 3840];

/** The width to ask for so that `pixels` of the screen are filled, at most the video's own. */
export function pictureWidth(pixels, own) {
  return Math.min(own, WIDTHS.find((w) => w >= pixels) ?? own);
}

export function createFrames(app) {
  const { api, state } = app;
  let cache = new Map(); // frame_index → { bitmap, width }, oldest use first
  let loading = new Map(); // frame_index → AbortController
  let failures = new Map(); // frame_index → how often
  let wanted = -1;
  let ahead = []; // frames to fetch when nothing is wanted
  let width = 640;
  let generation = 0;
  let offline = false; // nothing is asked for until retry()

  const limit = () => Math.max(24, Math.floor(BYTES / (width * width * 0.5625 * 4)));

  function keep(n, bitmap, w) {
    cache.get(n)?.bitmap.close();
    cache.delete(n);
    cache.set(n, { bitmap, width: w });
    for (const [old, entry] of cache) {
      if (cache.size <= limit()) break;
      if (old === state.shown || old === wanted) continue;
      entry.bitmap.close();
      cache.delete(old);
    }
  }

  async function load(n, priority) {
    const controller = new AbortController();
    const mine = generation;
    const w = width;
    loading.set(n, controller);
    try {
      const blob = await api.frame(state.sid, n, w, { signal: controller.signal, priority });
      const bitmap = await createImageBitmap(blob);
      if (mine !== generation) return bitmap.close();
      keep(n, bitmap, w);
      app.timeline.offer(n, bitmap);
      failures.delete(n);
      app.stage.arrived(n);
    } catch (error) {
      if (mine !== generation || error.name === "AbortError") return undefined;
      if (error.code === "offline") {
        offline = true;
        return undefined;
      }
      failures.set(n, (failures.get(n) ?? 0) + 1);
      if (n === wanted && failures.get(n) === 3) app.toast.error("This frame could not be read", error.message);
    } finally {
      if (mine === generation) {
        loading.delete(n);
        pump();
      }
    }
    return undefined;
  }

  const missing = (n) => !(cache.get(n)?.width >= width) && !loading.has(n) && (failures.get(n) ?? 0) < 3;

  function pump() {
    if (state.sid === null || offline) return;
    // A run must not slow down for being looked at: one picture on its way, one being drawn.
    const most = state.following ? 2 : 4;
    if (wanted >= 0 && missing(wanted) && loading.size < most) load(wanted, "high");
    const lanes = state.playing ? 4 : 2;
    for (const n of ahead) {
      if (loading.size >= lanes) return;
      if (missing(n)) load(n, "low");
    }
  }

  return {
    /** The bitmap of a frame, or undefined while there is none. */
    get(n) {
      const entry = cache.get(n);
      if (!entry) return undefined;
      cache.delete(n);
      cache.set(n, entry);
      return entry.bitmap;
    },
    has: (n) => cache.has(n),
    /** Fetch this frame next, then the `ahead` ones in order. */
    want(n, next = []) {
      wanted = n;
      ahead = next;
      pump();
    },
    width: () => width,
    /** The width that pictures are asked for from now on; larger ones replace smaller ones. */
    resize(w) {
      if (w === width) return;
      width = w;
      pump();
    },
    /** The server answers again: go on. */
    retry() {
      offline = false;
      pump();
    },
    clear() {
      offline = false;
      generation += 1;
      for (const controller of loading.values()) controller.abort();
      for (const { bitmap } of cache.values()) bitmap.close();
      cache = new Map();
      loading = new Map();
      failures = new Map();
      [wanted, ahead] = [-1, []];
    },
  };
}
