// COCO run-length codes: the compressed `counts` string that pycocotools writes (rleToString,
// rleFrString), column-major, background first.

/** The run lengths in a compressed string. */
export function parseCounts(counts) {
  const runs = [];
  let i = 0;
  while (i < counts.length) {
    let value = 0;
    let shift = 0;
    let bits;
    do {
      bits = counts.charCodeAt(i++) - 48;
      value |= (bits & 0x1f) << shift;
      shift += 5;
    } while (bits & 0x20);
    if (bits & 0x10) value |= -1 << shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

/** The compressed string of run lengths. */
export function formatCounts(runs) {
  let text = "";
  for (let i = 0; i < runs.length; i++) {
    let value = i > 2 ? runs[i] - runs[i - 2] : runs[i];
    let more = true;
    while (more) {
      let bits = value & 0x1f;
      value >>= 5;
      more = bits & 0x10 ? value !== -1 : value !== 0;
      if (more) bits |= 0x20;
      text += String.fromCharCode(bits + 48);
    }
  }
  return text;
}

/** Calls column(x, top, bottom) for each upright piece of the mask, from left to right; ends exclusive. */
function eachPiece(runs, height, column) {
  let at = 0;
  let on = false;
  for (const run of runs) {
    const stop = at + run;
    while (on && at < stop) {
      const x = Math.floor(at / height);
      const y = at - x * height;
      const bottom = Math.min(height, y + stop - at);
      column(x, y, bottom);
      at += bottom - y;
    }
    at = stop;
    on = !on;
  }
}

/**
 * Decode to { width, height, area, x0, y0, x1, y1, data }: the box is the mask's own in pixels, ends exclusive
 * (all 0 when nothing is set), and `data` its (x1 - x0) × (y1 - y0) pixels row by row. The box alone, because a
 * whole picture's pixels a mask are what a page runs out of memory with.
 */
export function decode(counts, [height, width]) {
  const runs = parseCounts(counts);
  let [x0, y0, x1, y1, area] = [width, height, 0, 0, 0];
  eachPiece(runs, height, (x, top, bottom) => {
    x0 = Math.min(x0, x);
    x1 = Math.max(x1, x + 1);
    y0 = Math.min(y0, top);
    y1 = Math.max(y1, bottom);
    area += bottom - top;
  });
  if (!area) return { width, height, area, x0: 0, y0: 0, x1: 0, y1: 0, data: new Uint8Array(0) };
  const stride = x1 - x0;
  const data = new Uint8Array(stride * (y1 - y0));
  eachPiece(runs, height, (x, top, bottom) => {
    for (let k = (top - y0) * stride + x - x0, end = (bottom - y0) * stride; k < end; k += stride) data[k] = 1;
  });
  return { width, height, area, x0, y0, x1, y1, data };
}

/** Whether a pixel is set, without decoding the mask. */
export function holdsPixel(counts, height, x, y) {
  const wanted = x * height + y;
  let at = 0;
  let on = false;
  for (const run of parseCounts(counts)) {
    at += run;
    if (wanted < at) return on;
    on = !on;
  }
  return false;
}

/** Encode a row-by-row mask (non-zero is set) of width × height. */
export function encode(data, width, height) {
  const runs = [];
  let value = 0;
  let run = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0, k = x; y < height; y++, k += width) {
      const v = data[k] ? 1 : 0;
      if (v !== value) {
        runs.push(run);
        run = 0;
        value = v;
      }
      run++;
    }
  }
  runs.push(run);
  return formatCounts(runs);
}
