// The pointer on the timeline. A click goes to its frame. A drag on the thumbnails or the playhead scrubs; on the
// ruler or a lane it chooses a span, an object's on its lane, with the picture at the end that moves. Two fingers
// hold the frames under them: apart they bring them nearer, together they shift them.

import { isRunning } from "./store.js";
import { plan } from "./plan.js";

const CLICK = 4; // pixels a click may wander

/** `frameOf(event)`: the frame under the pointer. `view`: { get(), set(first, last) } of the frames in view. */
export function mountScrub(app, root, frameOf, view) {
  const { state, store } = app;
  const fingers = new Map(); // pointerId → clientX
  let pinch = null; // { view, xs } as the second finger came down
  let drag = null; // { kind: "scrub" | "span" | "end", id, from, x, moved, end }

  const ordered = (a, b) => (a <= b ? [a, b] : [b, a]);

  function pinched() {
    const rect = root.querySelector(".ruler").getBoundingClientRect();
    const [a, b] = [...fingers.values()].sort((x, y) => x - y).map((x) => (x - rect.left) / rect.width);
    const [p, q] = pinch.xs.map((x) => (x - rect.left) / rect.width);
    const width = pinch.view[1] - pinch.view[0];
    // The frames that were under the fingers stay under them.
    const wide = (width * Math.max(0.02, q - p)) / Math.max(0.02, b - a);
    const first = pinch.view[0] + p * width - a * wide;
    view.set(first, first + wide);
  }

  function begin(event) {
    if (event.pointerType === "touch" && event.target.closest(".tracks")) {
      fingers.set(event.pointerId, event.clientX);
      if (fingers.size === 2) {
        pinch = { view: view.get(), xs: [...fingers.values()].sort((x, y) => x - y) };
        if (drag?.kind === "span") store.set({ range: drag.before });
        end();
        return;
      }
    }
    if (pinch || event.button !== 0 || state.view !== "work" || event.target.closest(".pm,.pb,.lh")) return;
    if (!event.target.closest(".ruler,.strip,.ln,.ph")) return;
    const lane = event.target.closest(".ln");
    const id = lane ? Number(lane.dataset.id) : null;
    root.setPointerCapture(event.pointerId);
    if (event.target.dataset.end !== undefined) {
      const { first, last } = plan(state);
      drag = { kind: "end", range: state.range ?? [first, last], end: Number(event.target.dataset.end) };
      return;
    }
    if (id !== null && id !== state.selected) app.session.select(id);
    const spans = (lane || event.target.closest(".ruler")) && !event.target.closest(".ph") && !isRunning(state);
    drag = { kind: spans ? "span" : "scrub", id, from: frameOf(event), x: event.clientX, moved: false, before: state.range };
    store.set({ scrubbing: true });
    app.player.pause();
    app.player.seek(drag.from);
  }

  function move(event) {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event.clientX);
    if (pinch && fingers.size === 2) pinched();
    if (!drag) return;
    const frame = frameOf(event);
    if (drag.kind === "end") {
      const range = [...drag.range];
      range[drag.end] = frame;
      store.set({ range: ordered(...range) });
      return;
    }
    drag.moved ||= Math.abs(event.clientX - drag.x) >= CLICK;
    if (drag.kind === "span") {
      if (!drag.moved) return;
      store.set({ range: ordered(drag.from, frame), ...(drag.id === null ? {} : { target: drag.id }) });
    }
    app.player.seek(frame);
  }

  function end() {
    if (drag?.kind === "span" && drag.moved && state.range) {
      const [first, last] = state.range;
      app.say(`Frames ${first} to ${last} chosen.`);
    }
    drag = null;
    store.set({ scrubbing: false });
  }

  root.addEventListener("pointerdown", begin);
  root.addEventListener("pointermove", move);
  function lift(event) {
    fingers.delete(event.pointerId);
    if (!fingers.size) pinch = null;
    end();
  }
  root.addEventListener("pointerup", lift);
  root.addEventListener("pointercancel", lift);
  // A double click on a piece of a lane chooses that piece.
  root.addEventListener("dblclick", (event) => {
    // The pointer is captured while it is down, so the event itself is the timeline's.
    const piece = document.elementFromPoint(event.clientX, event.clientY)?.closest(".sp,.none,.low");
    if (!piece || isRunning(state)) return;
    store.set({ range: [Number(piece.dataset.from), Number(piece.dataset.to)], target: Number(piece.closest(".ln").dataset.id) });
  });
}
