// What a person does to objects that are there: approve, split, merge, class and colour. Each shows at once and is
// then asked for; what the service holds is shown when it has answered.

import { frameCount, holds, minus, spanText, union, within } from "./ranges.js";
import { objectOf } from "./store.js";

/** The frames that Approve is about: the chosen span if it is this object's, else the frame that is shown. */
export function spanFor(state, id) {
  const { range, target } = state;
  if (range && (target === null || target === "all" || target === id)) return range;
  const frame = Math.max(0, state.shown);
  return [frame, frame];
}

/** What Approve would do now: { span, frames (that have a result), done (all of them are approved) }. */
export function approval(state, id) {
  const span = spanFor(state, id);
  const object = objectOf(state, id);
  const frames = within(object.computed, span);
  return { span, frames, done: frames.length > 0 && !minus(frames, object.approved ?? []).length };
}

export function mountRepair(app) {
  const { store, state, actions, session } = app;

  const patch = (id, fields) => store.set({ objects: state.objects.map((o) => (o.id === id ? { ...o, ...fields } : o)) });

  function approve(id, [start, stop], approved) {
    if (session.busy()) return;
    const object = objectOf(state, id);
    const frames = within(object.computed, [start, stop]);
    if (!frames.length) {
      app.toast.info("There is nothing to approve here", `${object.name} has no mask on ${start === stop ? `frame ${start}` : `frames ${start} to ${stop}`} yet.`);
      return;
    }
    const now = object.approved ?? [];
    patch(id, approved ? { approved: union(now, frames), stale: minus(object.stale, frames) } : { approved: minus(now, frames) });
    store.set({ problems: approved ? state.problems.filter((p) => p.obj_id !== id || !holds(frames, p.frame_index)) : state.problems, range: null, target: null });
    const n = frameCount(frames);
    session.change("The approval was not kept", (sid) => app.api.approve(sid, id, { start, stop, approved }),
      approved ? `Approved ${object.name} on ${n === 1 ? `frame ${frames[0][0]}` : `${n} frames`}.` : `Approval of ${object.name} taken back.`);
  }

  function toggle(id) {
    const { span, done } = approval(state, id);
    approve(id, span, !done);
  }

  /** A click while splitting: the part under it becomes an object of its own. */
  async function splitAt(frame, point) {
    const id = state.splitting;
    store.set({ splitting: null });
    if (session.busy()) return;
    const prompts = [{ type: "point", points: [[point.x, point.y]], point_labels: [1] }];
    const [start, stop] = splitSpan(id);
    const done = session.pend(frame, prompts, null);
    const reply = await session.change("Nothing was split off", (sid) => app.api.split(sid, id, { frame_index: frame, prompts, start, stop }));
    done();
    if (!reply) return;
    session.select(reply.new_obj_id);
    app.say(`Split ${objectOf(state, reply.new_obj_id).name} off ${objectOf(state, id).name} on ${frameCount(reply.frames)} frames.`);
  }

  /** The chosen span, else the whole video: the parts of an object are rarely one on the other frames. */
  const splitSpan = (id) => (state.range && spanFor(state, id)[1] > spanFor(state, id)[0] ? state.range : [0, state.info.total_frames - 1]);

  async function merge(id, into) {
    if (session.busy()) return;
    const [mine, other] = [objectOf(state, id), objectOf(state, into)];
    session.select(into);
    await session.change("The objects were not merged", (sid) => app.api.merge(sid, into, { obj_id: id }), `Merged ${mine.name} into ${other.name}. Undo takes them apart.`);
  }

  function classify(id, label) {
    const object = objectOf(state, id);
    if (label === object.label) return;
    patch(id, { label });
    session.change("The class was not kept", (sid) => app.api.rename(sid, id, { label }), label ? `${object.name} is a ${label}.` : `${object.name} has no class.`);
  }

  function recolor(id, color) {
    if (color.toLowerCase() === objectOf(state, id).color.toLowerCase()) return;
    patch(id, { color });
    session.change("The colour was not kept", (sid) => app.api.rename(sid, id, { color }), "Colour changed.");
  }

  Object.assign(actions, {
    approve: (button) => toggle(Number(button.dataset.id)),
    stopSplit: () => store.set({ splitting: null }),
  });

  return {
    toggle,
    approve,
    splitAt,
    merge,
    classify,
    recolor,
    /** Begin to split an object: the next click says where. */
    split(id) {
      if (session.busy()) return;
      app.player.pause();
      session.select(id);
      const [start, stop] = splitSpan(id);
      store.set({ splitting: id, tool: "point" });
      app.say(`Click the part of ${objectOf(state, id).name} that becomes an object of its own, on frames ${spanText([start, stop])}.`);
    },
    /** What a split is about, in words. */
    splitWords: () => (state.range && splitSpan(state.splitting) === state.range ? `on frames ${spanText(state.range)}` : state.info.total_frames > 1 ? "on all its frames" : ""),
  };
}
