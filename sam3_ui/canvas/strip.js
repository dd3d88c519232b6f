// The row of thumbnails: few, small, fetched two at a time after everything else. A video is read forward at best,
// so while the playhead moves nothing is fetched from elsewhere: what passes by is made smaller instead.

const WIDTH = 160;
const NEAR = 1; // frames that a picture may be away from the one that a thumbnail is for

export function thumbnails(app, strip) {
  const { state, store } = app;
  const moving = () => state.following || state.playing || state.scrubbing;
  const cache = new Map(); // frame_index → object URL
  let owner = null;
  let wanted = [];
  let busy = 0;
  let leaving = new AbortController();

  function forget() {
    for (const url of cache.values()) URL.revokeObjectURL(url);
    cache.clear();
    leaving.abort();
    leaving = new AbortController();
    owner = state.sid;
    // Its pictures are gone now, and a hidden strip may be shown before it is drawn again.
    strip.replaceChildren();
    delete strip.dataset.key;
  }

  function pump() {
    while (!moving() && busy < 2 && wanted.length && state.sid !== null) {
      const cell = wanted.shift();
      const n = Number(cell.dataset.frame);
      if (cache.has(n)) {
        fill(cell, n);
        continue;
      }
      const sid = state.sid;
      busy += 1;
      app.api
        .frame(sid, n, WIDTH, { priority: "low", signal: leaving.signal })
        .then((blob) => {
          if (sid !== state.sid) return;
          cache.set(n, URL.createObjectURL(blob));
          fill(cell, n);
        })
        .catch(() => undefined) // a thumbnail that is missing says so by being grey
        .finally(() => {
          busy -= 1;
          pump();
        });
    }
  }

  function fill(cell, n) {
    cell.style.backgroundImage = `url(${cache.get(n)})`;
    cell.classList.remove("skel");
  }

  /** A picture that was shown: the thumbnail of about that frame is made of it. */
  async function offer(n, bitmap) {
    const at = wanted.findIndex((cell) => Math.abs(Number(cell.dataset.frame) - n) <= NEAR);
    if (at < 0) return;
    const [cell] = wanted.splice(at, 1);
    const [sid, frame] = [state.sid, Number(cell.dataset.frame)];
    const small = new OffscreenCanvas(WIDTH, Math.max(1, Math.round((WIDTH * bitmap.height) / bitmap.width)));
    small.getContext("2d").drawImage(bitmap, 0, 0, small.width, small.height);
    const blob = await small.convertToBlob({ type: "image/jpeg" });
    if (sid !== state.sid) return;
    cache.set(frame, URL.createObjectURL(blob));
    fill(cell, frame);
  }

  store.after(["following", "playing", "scrubbing"], pump);

  return {
    offer,
    /** Ask again for what is missing. */
    retry() {
      wanted = [...strip.querySelectorAll(".skel")];
      pump();
    },
    draw([first, last]) {
      if (owner !== state.sid) forget();
      const width = strip.clientWidth;
      if (!width) return;
      const aspect = state.info ? state.info.resolution.width / state.info.resolution.height : 16 / 9;
      const cells = Math.max(4, Math.min(60, Math.round(width / (strip.clientHeight * Math.max(0.6, aspect)))));
      const total = state.info?.total_frames ?? 1;
      const key = `${state.sid}:${state.view}:${cells}:${first.toFixed(2)}:${last.toFixed(2)}:${total}`;
      if (strip.dataset.key === key) return;
      strip.dataset.key = key;
      const frames = Array.from({ length: cells }, (_, i) => Math.min(total - 1, Math.round(first + ((i + 0.5) / cells) * (last - first))));
      strip.innerHTML = frames.map((f) => `<i class="skel" data-frame="${f}"></i>`).join("");
      wanted = state.view === "work" && state.info ? [...strip.children] : [];
      for (const cell of wanted) if (cache.has(Number(cell.dataset.frame))) fill(cell, Number(cell.dataset.frame));
      wanted = wanted.filter((cell) => cell.classList.contains("skel"));
      pump();
    },
  };
}
