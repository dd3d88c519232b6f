// The page's state: one flat object. Renderers subscribe to the fields they show and run once a tick.

export const PALETTE = ["#45B0FF", "#FFA21A", "#E07FC8", "#0FA77A", "#E8421A", "#FFEF78", "#4B5CF0", "#E6EAEE"];

export const initialState = () => ({
  tab: "video", // video | images | sessions | api
  view: "boot", // boot | empty | loading | work
  config: null, // GET /config
  model: null, // the first of GET /models/info
  connection: "ok", // ok | lost
  trouble: null, // { title, text, code } of what could not be opened, in the empty view
  upload: null, // { name, loaded, total, phase, started } while a file is on its way

  sid: null,
  info: null, // video_info of the open session
  timestamps: [0], // seconds by frame
  objects: [],
  concepts: [], // the words that are looked for on every frame of a run
  edits: [],
  canUndo: false,
  canRedo: false,
  run: null, // the current or last run, as status tells it

  frame: 0, // where the playhead is
  shown: -1, // the frame whose picture is on the canvas
  playing: false,
  speed: 1,
  loop: false,

  selected: null, // the object the next click refines; null: a new one
  born: null, // promise of the id of an object whose first prompt is on its way
  pending: [], // prompts without an answer yet: { key, frame, id, prompts }
  waiting: 0, // requests to the model without an answer yet
  hidden: new Set(),
  solo: null,
  renaming: null,
  maskView: "fill", // fill | outline | cutout
  tool: "point", // point | box | brush | erase | pan
  brush: 24, // diameter in pixels of the screen
  answer: null, // { title, text } under the find field

  direction: null, // null: the page's own choice
  range: null, // [first, last] set by hand, else null
  target: null, // null: the page's own choice; "all" or an object's id
  following: false, // the playhead goes with the run
  rate: null, // frames a second of the last run
  zoom: 1, // screen pixels by video pixel, for the status line
});

export function createStore() {
  const state = initialState();
  const subscribers = [];
  let dirty = new Set();
  let queued = false;

  function flush() {
    queued = false;
    const changed = dirty;
    dirty = new Set();
    for (const [keys, fn] of subscribers) if (keys.some((k) => changed.has(k))) fn(changed);
  }

  return {
    state,
    /** Change fields; renderers of the changed ones run at the end of this tick. */
    set(patch) {
      for (const [key, value] of Object.entries(patch)) {
        if (Object.is(state[key], value)) continue;
        state[key] = value;
        dirty.add(key);
      }
      if (dirty.size && !queued) {
        queued = true;
        queueMicrotask(flush);
      }
    },
    /** Run fn now and whenever one of the fields changes. */
    on(keys, fn) {
      subscribers.push([keys, fn]);
      fn(new Set(keys));
    },
    /** Run fn whenever one of the fields changes, not now. */
    after(keys, fn) {
      subscribers.push([keys, fn]);
    },
  };
}

/** The object with that id; one that the status does not list yet gets its number's colour. */
export function objectOf(state, id) {
  return (
    state.objects.find((o) => o.id === id) ?? { id, name: `Object ${id}`, color: PALETTE[(id - 1 + 8) % 8], frames: [], computed: [], stale: [], prompts: [] }
  );
}

export const isVisible = (state, id) => (state.solo === null ? !state.hidden.has(id) : state.solo === id);

export const isRunning = (state) => state.run?.state === "queued" || state.run?.state === "running";

/** How many frames the ranges hold, ends inclusive. */
export const frameCount = (ranges) => ranges.reduce((n, [a, b]) => n + b - a + 1, 0);

/** Active prompt edits that name the object, oldest first. */
export const promptsOf = (state, id) =>
  state.edits.filter((e) => e.kind === "prompt" && !e.undone && editObjects(e).includes(id));

export const editObjects = (edit) => edit.obj_ids ?? (edit.obj_id == null ? [] : [edit.obj_id]);
