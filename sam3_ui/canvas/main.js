// Puts the page together. Each module draws one part of it from the state and adds its actions.

import { mountAim } from "./aim.js";
import { createApi } from "./api.js";
import { createBrush } from "./brush.js";
import { mountClasses } from "./classes.js";
import { createConnection } from "./connection.js";
import { delegate } from "./dom.js";
import { createDrawer } from "./drawer.js";
import { createEmpty } from "./empty.js";
import { mountExports } from "./exports.js";
import { mountFind } from "./find.js";
import { mountFocus } from "./focus.js";
import { createFrames } from "./frames.js";
import { mountHelp } from "./help.js";
import { mountHistory } from "./history.js";
import { createImages } from "./images.js";
import { mountImageStrip } from "./imagestrip.js";
import { mountInspection } from "./inspect.js";
import { mountKeys } from "./keys.js";
import { mountLooks } from "./looks.js";
import { mountObjects } from "./objects.js";
import { createOverlay } from "./overlay.js";
import { createPlayer } from "./player.js";
import { mountPointer } from "./pointer.js";
import { createPopover } from "./popover.js";
import { mountProblems } from "./problems.js";
import { mountRail } from "./rail.js";
import { mountRepair } from "./repair.js";
import { createResults } from "./results.js";
import { mountRunBox } from "./runbox.js";
import { createRuns } from "./runs.js";
import { createSession } from "./session.js";
import { mountSessions } from "./sessions.js";
import { mountSheets, openGradioApi } from "./sheets.js";
import { createStage } from "./stage.js";
import { createStore } from "./store.js";
import { createTheme } from "./theme.js";
import { mountTimeline } from "./timeline.js";
import { createToast } from "./toast.js";
import { mountTopBar } from "./topbar.js";
import { createTour } from "./tour.js";
import { mountTransport } from "./transport.js";
import { createTrouble } from "./trouble.js";
import { mountUpload } from "./upload.js";
import { mountWords } from "./words.js";

/** Bring the page to life inside gr.HTML's element. */
export function mount(element, { base }) {
  const root = element.querySelector(".s3");
  const parts = { root };
  for (const part of root.querySelectorAll("[data-part]")) parts[part.dataset.part] = part;
  const store = createStore();
  const app = { base, parts, store, state: store.state, actions: {} };
  app.say = (text) => (parts.live.textContent = text);
  app.api = createApi(base, (connection) => app.connection.told(connection), () => location.reload());
  app.connection = createConnection(app);

  app.toast = createToast(app);
  app.trouble = createTrouble(app);
  app.popover = createPopover(app);
  app.theme = createTheme(app);
  app.frames = createFrames(app);
  app.results = createResults(app);
  app.stage = createStage(app);
  app.overlay = createOverlay(app);
  app.player = createPlayer(app);
  app.runs = createRuns(app);
  app.session = createSession(app);
  app.repair = mountRepair(app);
  app.classes = mountClasses(app);
  mountProblems(app);
  app.images = createImages(app);
  app.brush = createBrush(app);
  app.empty = createEmpty(app);
  app.help = mountHelp(app);
  mountTransport(app);
  app.timeline = mountTimeline(app);
  mountObjects(app);
  mountRunBox(app);
  mountHistory(app);
  mountExports(app);
  mountFind(app);
  app.looks = mountLooks(app);
  mountTopBar(app);
  mountRail(app);
  app.sessions = mountSessions(app);
  mountSheets(app);
  mountUpload(app);
  mountImageStrip(app);
  mountWords(app);
  app.drawer = createDrawer(app);
  app.tour = createTour(app);
  app.pointer = mountPointer(app);
  app.aim = mountAim(app);
  mountKeys(app);
  mountFocus(app);
  mountInspection(app);
  delegate(root, app.actions);
  if (new URLSearchParams(location.search).get("view") === "api") openGradioApi();
  app.goTab = (tab) => goTab(app, tab);
  app.begin = () => begin(app);
  app.begin();
}

async function begin(app) {
  const { store, api } = app;
  try {
    const [config, models] = await Promise.all([api.config(), api.models()]);
    store.set({ config, model: models.models[0] ?? null, trouble: null });
    const rate = Number(localStorage.getItem(`sam3.rate.${models.models[0]?.name}`));
    if (rate) store.set({ rate });
    pollModel(app);
  } catch (error) {
    app.trouble.show("The page could not ask the server", error, app.begin);
    return;
  }
  const sid = /session=([\w-]+)/.exec(location.hash)?.[1] ?? app.session.slot("video");
  if (!sid || !(await app.session.open(sid, { quiet: true }))) store.set({ view: "empty" });
}

/** While a model loads, ask how far it is. */
function pollModel(app) {
  if (app.state.model?.state !== "loading") return;
  setTimeout(async () => {
    try {
      app.store.set({ model: (await app.api.models()).models[0] ?? null });
    } catch {
      // The connection badge says it; the next round asks again.
    }
    pollModel(app);
  }, 1500);
}

/** Each of Video and Images keeps its own session. */
async function goTab(app, tab) {
  const { store, state } = app;
  if (tab === state.tab) return;
  const kind = state.info?.kind === "image" ? "images" : "video";
  store.set({ tab });
  app.player.pause();
  if (tab !== "video" && tab !== "images") return;
  if ((state.view === "loading" && !app.images.sending()) || (state.sid && kind === tab)) return;
  const other = app.session.slot(tab) ?? (tab === "images" ? app.images.first() : null);
  if (other && (await app.session.open(other, { quiet: true }))) return;
  app.session.leave({ keep: true });
  store.set({ tab });
}
