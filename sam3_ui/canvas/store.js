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

  images: [], // the Images tab's set, see images.js
  imageAt: null, // the key of the one that is shown, or on its way to the screen
  waitingFor: null, // why the uploads of the set wait
  words: [], // looked for on the images of the set, see words.js
  batch: null, // that search while it goes on

  sid: null,
  info: null, // video_info of the open session
  timestamps: [0], // seconds by frame
  objects: [],
  concepts: [], // the words that are looked for on every frame of a run
  problems: [], // frames to look at: { frame_index, obj_id, kind, detail }, by frame
  edits: [],
  canUndo: false,
  canRedo: false,
  run: null, // the current or last run, as status tells it

  frame: 0, // where the playhead is
  shown: -1, // the frame whose picture is on the canvas
  playing: false,
  scrubbing: false, // the playhead is under the pointer
  speed: 1,
  loop: false,

  selected: null, // the object the next click refines; null: a new one
  born: null, // promise of the id of an object whose first prompt is on its way
  pending: [], // prompts without an answer yet: { key, frame, id, prompts }
  waiting: 0, // requests to the model without an answer yet
  hidden: new Set(),
  solo: null,
  renaming: null,
  splitting: null, // the object of which the next click makes a part its own
  maskView: "fill", // the look: fill | outline | cutout | spotlight | blur_object | …, see looks.js
  opacity: { fill: 0.34, spotlight: 0.72 }, // of the colour, and of the dark
  sideBySide: false, // the source at the left of it
  tool: "point", // point | box | brush | erase | pan
  brush: 24, // diameter in pixels of the screen
  answer: null, // { title, text } under the find field

  direction: null, // null: the page's own choice
  range: null, // [first, last] set by hand, else null
  target: null, // null: the page's own choice; "all" or an object's id
  following: false, // the playhead goes with the run
  rate: null, // frames a second of the last run
  zoom: 1, // screen pixels by video pixel, for the status line
  timeZoom: 0, // of the timeline: 0 is the whole video, 1 as near as its slider goes
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
    state.objects.find((o) => o.id === id) ?? { id, name: `Object ${id}`, color: PALETTE[(id - 1 + 8) % 8], frames: [], computed: [], stale: [], approved: [], prompts: [] }
  );
}

export { frameCount } from "./ranges.js";

export const isVisible = (state, id) => (state.solo === null ? !state.hidden.has(id) : state.solo === id);

export const isRunning = (state) => state.run?.state === "queued" || state.run?.state === "running";

/** Active prompt edits that name the object, oldest first. */
export const promptsOf = (state, id) =>
  state.edits.filter((e) => e.kind === "prompt" && !e.undone && editObjects(e).includes(id));

export const editObjects = (edit) => edit.obj_ids ?? (edit.obj_id == null ? [] : [edit.obj_id]);
