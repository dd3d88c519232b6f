// The open session: opening, prompts, undo and the rest. The service is the truth; the page keeps a copy.

import { initialState, isRunning } from "./store.js";

const SLOT = (tab) => `sam3.session.${tab === "images" ? "images" : "video"}`;
const FRESH = ["info", "timestamps", "objects", "concepts", "problems", "edits", "canUndo", "canRedo", "run", "frame", "shown", "playing", "selected", "born",
  "pending", "waiting", "hidden", "solo", "renaming", "splitting", "answer", "direction", "range", "target", "following", "zoom", "trouble"];

export function createSession(app) {
  const { api, store, state } = app;
  let refreshing = null;
  let again = false;
  let keys = 0;
  // Changes are answered in the order they are asked for, but answers may overtake each other on the way.
  let asked = 0;
  let answered = 0;
  let opening = 0; // an opening that was overtaken by another comes to nothing

  function forget() {
    const fresh = initialState();
    [asked, answered] = [0, 0];
    app.frames.clear();
    app.results.clear();
    app.runs.leave();
    store.set({ sid: null, ...Object.fromEntries(FRESH.map((k) => [k, fresh[k]])) });
  }

  function take(status, log) {
    const info = status.video_info ?? state.info;
    store.set({
      info,
      objects: status.objects ?? [],
      concepts: status.concepts ?? [],
      canUndo: Boolean(status.can_undo),
      canRedo: Boolean(status.can_redo),
      run: app.runs.streaming(status.run ?? null),
      edits: log.edits ?? [],
    });
    const ids = new Set(state.objects.map((o) => o.id));
    if (state.selected !== null && !ids.has(state.selected)) store.set({ selected: null });
    if (state.solo !== null && !ids.has(state.solo)) store.set({ solo: null });
    if (state.splitting !== null && !ids.has(state.splitting)) store.set({ splitting: null });
  }

  /** Fetch status and log; calls that overlap share one more round. */
  function refresh() {
    if (refreshing) {
      again = true;
      return refreshing;
    }
    const sid = state.sid;
    refreshing = (async () => {
      do {
        again = false;
        const [status, log] = await Promise.all([api.status(sid), api.log(sid)]);
        if (sid !== state.sid) return;
        take(status, log);
      } while (again);
    })()
      .catch((error) => {
        if (sid === state.sid) lost(error);
      })
      .finally(() => {
        refreshing = null;
      });
    return refreshing;
  }

  function lost(error) {
    if (error.status === 404) {
      leave();
      app.toast.error("This session is no longer there", "It was closed or ran out of time. Open a video to start another.");
    } else if (error.code !== "offline") app.toast.error("The session could not be read", error.message);
  }

  function troubled(sid, error) {
    app.trouble.show("The session could not be opened", error, (byItself) =>
      open(sid, byItself ? { swap: true, onError: (e) => (e.status === 404 ? lost(e) : troubled(sid, e)) } : {}));
  }

  /** Open a session. `swap`: what is shown stays until the other is there; `onError`: told instead of a toast. */
  async function open(sid, { quiet = false, swap = false, onError = null } = {}) {
    const mine = ++opening;
    const from = state.tab;
    if (!swap) {
      forget();
      store.set({ view: "loading", upload: { name: "", phase: "opening" } });
    }
    try {
      const [status, log, times] = await Promise.all([api.status(sid), api.log(sid), api.timestamps(sid)]);
      // Its picture is fetched first, so that the stage is never bare between two.
      if (swap) await api.frame(sid, 0, Math.min(app.frames.width(), status.video_info.resolution.width)).catch(() => undefined);
      if (mine !== opening) return false;
      if (swap) forget();
      const tab = status.video_info?.kind === "image" ? "images" : "video";
      // Whoever went to the list or the API page meanwhile stays there.
      const away = state.tab !== from && (state.tab === "sessions" || state.tab === "api");
      store.set({ sid, tab: away ? state.tab : tab, timestamps: times.timestamps, view: "work", upload: null });
      take(status, log);
      sessionStorage.setItem(SLOT(tab), sid);
      history.replaceState(null, "", `#session=${sid}`);
      store.set({ selected: state.objects[0]?.id ?? null });
      app.stage.fit();
      app.player.seek(state.edits.findLast((e) => e.kind === "prompt" && !e.undone)?.frame_index ?? 0);
      if (isRunning(state)) app.runs.rejoin();
      return true;
    } catch (error) {
      if (mine !== opening) return false;
      // Only what is gone is given up: a server that is away for a while may have it still.
      const gone = error.status === 404;
      if (!swap) leave({ keep: !gone });
      if (onError) onError(error);
      else if (!gone && !swap) {
        history.replaceState(null, "", `#session=${sid}`);
        troubled(sid, error);
      } else if (!quiet) app.toast.error("The session could not be opened", error.message);
      return false;
    }
  }

  /** Go back to the empty page; the session itself stays. `keep`: the tab will come back to it. */
  function leave({ keep = false } = {}) {
    opening += 1;
    if (!keep) sessionStorage.removeItem(SLOT(state.tab));
    history.replaceState(null, "", location.pathname + location.search);
    forget();
    store.set({ view: "empty", upload: null });
  }

  /** What a failed change says; the page then shows what the service holds. */
  function failed(title, error) {
    if (error.status === 404 && error.code !== "object_not_found") lost(error);
    else app.toast.error(title, error.message);
    refresh();
  }

  /**
   * Send prompts for a frame. `to`: an object's id, "new", or "target" (what the find bar says).
   * The marks show at once; several may be under way, the service takes them in order.
   */
  async function prompt(frame, prompts, to = "target") {
    if (busy()) return null;
    const sid = state.sid;
    let turn = 0;
    let id = to === "new" ? null : to === "target" ? state.selected : to;
    const parent = to === "target" && id === null ? state.born : null;
    app.images.began(sid);
    const done = pend(frame, prompts, id);
    const work = (async () => {
      if (parent) id = await parent.catch(() => null);
      turn = ++asked;
      return api.prompt(sid, { frame_index: frame, prompts, ...(id === null ? {} : { obj_id: id }) });
    })();
    const birth = id === null && !parent && to === "target" ? work.then((r) => r.obj_id) : null;
    if (birth) {
      birth.catch(() => undefined);
      store.set({ born: birth });
    }
    try {
      const reply = await work;
      if (sid !== state.sid) return reply;
      const objects = reply.obj_ids.map((o, i) => ({ id: o, mask: reply.masks[i], box: reply.boxes[i], score: reply.scores[i] }));
      app.results.invalidate();
      // What a later change was answered before is no longer what the frame looks like.
      if (turn > answered) {
        answered = turn;
        app.results.merge(reply.frame_index, objects, reply.size);
      }
      if (birth && state.born === birth) store.set({ selected: reply.obj_id, born: null });
      else if (to === "new" && reply.obj_id !== null) store.set({ selected: reply.obj_id, born: null });
      // A span that a person chose stays, as long as they work in it.
      const { range, target } = state;
      if (!range || frame < range[0] || frame > range[1]) store.set({ range: null, target: null });
      else if (target !== null && target !== "all" && !reply.obj_ids.includes(target)) store.set({ target: null });
      app.stage.draw();
      app.say(summary(reply));
      return reply;
    } catch (error) {
      if (birth && state.born === birth) store.set({ born: null });
      if (sid === state.sid) failed("That did not work", error);
      return null;
    } finally {
      if (sid === state.sid) {
        await refresh();
        done();
        // More was asked for since: in which order it was taken only the service knows.
        if (turn !== asked) app.results.invalidate();
        app.results.need(state.frame);
      }
      app.images.ended(sid);
    }
  }

  /** Show the marks of prompts until the function that is returned is called. */
  function pend(frame, prompts, id) {
    const [sid, key] = [state.sid, ++keys];
    store.set({ pending: [...state.pending, { key, frame, id, prompts }], waiting: state.waiting + 1, answer: null });
    return () => {
      // Left and opened again meanwhile, the session has forgotten its marks.
      if (sid !== state.sid || !state.pending.some((p) => p.key === key)) return;
      store.set({ pending: state.pending.filter((p) => p.key !== key), waiting: state.waiting - 1 });
    };
  }

  /** During a run the service takes no changes: say so instead of asking it. */
  function busy() {
    if (!isRunning(state)) return false;
    app.toast.info("A run is under way", "Stop it first; what it computed is kept.");
    return true;
  }

  function summary(reply) {
    const n = reply.obj_ids.length;
    if (!n) return "Nothing was found.";
    const scores = reply.scores.map((s) => s.toFixed(2)).join(", ");
    return `Mask on frame ${reply.frame_index} for ${n === 1 ? "one object" : `${n} objects`}, score ${scores}.`;
  }

  /** Ask for a change and show what came of it. The service's reply, or null where it was refused. */
  async function change(title, call, said) {
    const sid = state.sid;
    if (sid === null) return null;
    const turn = ++asked;
    try {
      const reply = await call(sid);
      if (sid !== state.sid) return null;
      answered = Math.max(answered, turn);
      app.results.invalidate();
      await refresh();
      app.results.need(state.frame);
      app.stage.draw();
      if (said) app.say(said);
      return reply;
    } catch (error) {
      if (sid === state.sid) failed(title, error);
      return null;
    }
  }

  /** Show the frame that a step was about, if another one is on the screen. */
  function goTo(edit) {
    if (edit?.frame_index !== undefined && edit.frame_index !== state.frame) app.player.seek(edit.frame_index);
  }

  const lastActive = () => state.edits.findLast((e) => !e.undone);
  const firstUndone = () => state.edits.find((e) => e.undone);

  return {
    open,
    leave,
    refresh,
    prompt,
    change,
    pend,
    busy,
    /** Somebody else changed the session: fetch what there is now. */
    renew: () => change("The session could not be read", async () => undefined),
    slot: (tab) => sessionStorage.getItem(SLOT(tab)),
    undo() {
      if (!state.canUndo || busy()) return undefined;
      goTo(lastActive());
      return change("Nothing was undone", api.undo, "Undone.");
    },
    redo() {
      if (!state.canRedo || busy()) return undefined;
      goTo(firstUndone());
      return change("Nothing was redone", api.redo, "Redone.");
    },
    /** Undo or redo until the edit with this seq is the last active one. */
    async backTo(seq) {
      if (busy()) return;
      const undone = state.edits.filter((e) => e.undone && e.seq <= seq).length;
      const steps = undone || state.edits.filter((e) => !e.undone && e.seq > seq).length;
      const step = undone ? api.redo : api.undo;
      await change("The step could not be reached", async (sid) => {
        for (let i = 0; i < steps; i++) await step(sid);
      }, "Went back to that step.");
      goTo(state.edits.find((e) => e.seq === seq));
    },
    async rename(id, name) {
      store.set({ renaming: null, objects: state.objects.map((o) => (o.id === id ? { ...o, name } : o)) });
      await change("The name was not kept", (sid) => api.rename(sid, id, { name }), `Renamed to ${name}.`);
    },
    async remove(id) {
      if (busy()) return;
      app.results.drop(id);
      store.set({ objects: state.objects.filter((o) => o.id !== id), ...(state.selected === id ? { selected: null } : {}) });
      app.stage.draw();
      await change("The object was not removed", (sid) => api.remove(sid, id), "Removed. Undo brings it back.");
      if (state.selected === null) store.set({ selected: state.objects[0]?.id ?? null });
    },
    reset: () => busy() || change("The session was not cleared", api.reset, "All objects removed. Undo brings them back."),
    async close(sid = state.sid) {
      // Left first, so that nothing more is asked of it.
      if (sid === state.sid) leave();
      try {
        await api.close(sid);
      } catch (error) {
        if (error.status !== 404) return app.toast.error("The session was not closed", error.message);
      }
      return undefined;
    },
    select(id) {
      store.set({ selected: id, born: null });
      app.stage.draw();
    },
  };
}
