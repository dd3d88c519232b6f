// Brush and eraser: a stroke is drawn at the video's size and sent as a mask prompt.

import { encode } from "./rle.js";
import { objectOf } from "./store.js";

export function createBrush(app) {
  const { state } = app;
  let layer = null; // the stroke at the video's size
  let last = null;
  let fading = []; // strokes without an answer yet

  const color = () => (state.tool === "erase" ? "#FFFFFF" : state.selected === null ? "#ECEEF0" : objectOf(state, state.selected).color);

  function dab(point) {
    const { width, height } = state.info.resolution;
    const ctx = layer.getContext("2d");
    const [x, y] = [point.x * width, point.y * height];
    ctx.strokeStyle = ctx.fillStyle = layer.s3color;
    ctx.lineCap = ctx.lineJoin = "round";
    ctx.lineWidth = Math.max(1, state.brush / app.stage.view().scale);
    ctx.beginPath();
    ctx.moveTo(...(last ?? [x, y]));
    ctx.lineTo(x, y);
    ctx.stroke();
    last = [x, y];
    app.stage.draw();
  }

  app.stage.addPainter((ctx) => {
    ctx.globalAlpha = 0.55;
    for (const stroke of fading) if (stroke.frame === state.shown) ctx.drawImage(stroke.layer, 0, 0);
    if (layer) ctx.drawImage(layer, 0, 0);
    ctx.globalAlpha = 1;
  });

  return {
    begin(point) {
      if (state.tool === "erase" && state.selected === null) {
        app.toast.info("Choose an object first", "The eraser takes away from the selected object.");
        return false;
      }
      const { width, height } = state.info.resolution;
      layer = document.createElement("canvas");
      [layer.width, layer.height] = [width, height];
      layer.s3color = color();
      last = null;
      dab(point);
      return true;
    },
    move: dab,
    async end() {
      const stroke = { layer, frame: state.shown };
      layer = null;
      fading.push(stroke);
      const { width, height } = stroke.layer;
      const pixels = stroke.layer.getContext("2d").getImageData(0, 0, width, height).data;
      const mask = new Uint8Array(width * height);
      for (let i = 0; i < mask.length; i++) mask[i] = pixels[4 * i + 3] > 127 ? 1 : 0;
      const mode = state.tool === "erase" ? "subtract" : "add";
      await app.session.prompt(stroke.frame, [{ type: "mask", mask: encode(mask, width, height), mode }]);
      fading = fading.filter((s) => s !== stroke);
      app.stage.draw();
    },
    drop() {
      layer = null;
      app.stage.draw();
    },
  };
}
