// What the Propagate button would do: which objects, which way, which frames. The page chooses from
// what is missing or out of date; what a person sets by hand wins.

import { frameCount, within } from "./ranges.js";
import { isRunning, promptsOf } from "./store.js";

/** Where a run of this object should start, or null when nothing of it is missing (in the range, if there is one). */
function need(state, object) {
  const last = state.info.total_frames - 1;
  const [low, high] = state.range ?? [0, last];
  const prompts = promptsOf(state, object.id);
  const newest = prompts.findLast((e) => low <= e.frame_index && e.frame_index <= high) ?? prompts.at(-1);
  const prompted = newest?.frame_index ?? object.prompts?.[0]?.frame_index ?? null;
  const stale = within(object.stale, [low, high]);
  if (stale.length) {
    const at = prompted ?? stale[0][0];
    const [before, after] = [stale[0][0] < at, stale.at(-1)[1] > at];
    return { at, way: before && after ? "both" : before ? "backward" : "forward" };
  }
  if (state.range) return needInRange(object, prompts.map((e) => e.frame_index), [low, high]);
  if (frameCount(object.computed) > last) return null;
  if (prompted === null) return null;
  const first = Math.min(...prompts.map((e) => e.frame_index), prompted);
  const covered = object.computed.find(([a, b]) => a <= first && first <= b) ?? [first, first];
  if (covered[1] < last && covered[0] > 0 && frameCount(object.computed) <= prompts.length) return { at: first, way: "both" };
  if (covered[1] < last) return { at: covered[1] > first ? covered[1] : first, way: "forward" };
  return { at: covered[0] < first ? covered[0] : first, way: "backward" };
}

/** The same for a range that a person chose, where nothing is out of date. */
function needInRange(object, prompted, [low, high]) {
  if (frameCount(within(object.computed, [low, high])) > high - low) return null;
  const at = prompted.findLast((f) => low <= f && f <= high);
  if (at === undefined) return null; // what there is outside does not say which way
  return { at, way: low < at && at < high ? "both" : at === high ? "backward" : "forward" };
}

/**
 * The objects that a run is for if nobody chose: null for all. Finished ones are left alone: a correction is
 * propagated by itself, and so is an object that was added late, unless its words are looked for everywhere.
 */
function due(state, needs) {
  const { objects, selected } = state;
  const stale = objects.filter((o) => within(o.stale, state.range ?? [0, Infinity]).length).map((o) => o.id);
  if (stale.length && stale.length < objects.length) return stale.includes(selected) ? [selected] : stale;
  if (stale.length) return null;
  const open = objects.filter((o) => needs.get(o.id));
  const late = open.filter((o) => frameCount(o.computed) <= (o.prompts?.length ?? 0));
  const ids = (late.length ? late : open).map((o) => o.id);
  const searched = (state.concepts ?? []).some((c) => !c.obj_ids.length || c.obj_ids.some((id) => ids.includes(id)));
  return ids.length && ids.length < objects.length && !searched ? ids : null;
}

/** { possible, ids (null: all), approved (frames of them that stay as they are), direction, at, first, last, frames, requests, reason }. */
export function plan(state) {
  if (!state.info) return { possible: false, reason: "", frames: 0, first: 0, last: 0, direction: "forward", requests: [] };
  const end = state.info.total_frames - 1;
  const objects = state.objects;
  const needs = new Map(objects.map((o) => [o.id, need(state, o)]));
  const ids = state.target === "all" ? null : needs.has(state.target) ? [state.target] : due(state, needs);
  const open = objects.filter((o) => (ids === null || ids.includes(o.id)) && needs.get(o.id)).map((o) => needs.get(o.id));
  const chosen = objects.filter((o) => ids === null || ids.includes(o.id));
  const prompted = chosen.flatMap((o) => promptsOf(state, o.id).map((e) => e.frame_index));
  // Words that found nothing yet are looked for all the same.
  const asked = ids === null ? (state.concepts ?? []).flatMap((c) => c.frames) : [];
  const backward = state.model?.capabilities?.backward !== false;

  const ways = new Set(open.map((n) => n.way));
  let direction = state.direction ?? (ways.size === 1 ? [...ways][0] : ways.size ? (ways.has("both") || ways.has("backward") ? "both" : "forward") : "forward");
  if (!backward) direction = "forward";
  const starts = open.length ? open.map((n) => n.at) : prompted.length ? prompted : asked;
  const at = starts.length ? (direction === "backward" ? Math.max(...starts) : Math.min(...starts)) : 0;

  let [first, last] = direction === "forward" ? [at, end] : direction === "backward" ? [0, at] : [0, end];
  if (state.range) [first, last] = state.range;
  const start = Math.min(Math.max(at, first), last);
  const legs = [];
  const leg = (way, from, to) => legs.push({ direction: way, start_frame_index: from, end_frame_index: to, ...(ids ? { obj_ids: ids } : {}) });
  if (direction === "forward") leg("forward", state.range ? first : start, last);
  else if (direction === "backward") leg("backward", state.range ? last : start, first);
  else if (first === 0 && last === end) legs.push({ direction: "both", start_frame_index: start, ...(ids ? { obj_ids: ids } : {}) });
  else {
    // A part of the video both ways: the contract's far end is one-sided, so it takes two runs.
    leg("forward", start, last);
    leg("backward", start, first);
  }
  const reason = isRunning(state) ? "" : !objects.length && !asked.length ? "Add an object first" : end === 0 ? "A still image has nothing to propagate" : "";
  const approved = chosen.reduce((n, o) => n + frameCount(within(o.approved ?? [], [first, last])), 0);
  return { possible: !reason && objects.length + asked.length > 0, reason, ids, approved, direction, at: start, first, last, frames: last - first + 1, requests: legs, done: objects.length > 0 && !open.length };
}
