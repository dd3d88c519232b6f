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

/**
 * Decode to { data: Uint8Array(width × height) row by row, x0, y0, x1, y1, area }; the box is the
 * mask's own in pixels, ends exclusive (all 0 when nothing is set).
 */
export function decode(counts, [height, width]) {
  const data = new Uint8Array(width * height);
  let [x0, y0, x1, y1, area] = [width, height, 0, 0, 0];
  let at = 0;
  let on = false;
  for (const run of parseCounts(counts)) {
    if (on && run) {
      area += run;
      const stop = at + run;
      let x = Math.floor(at / height);
      let y = at - x * height;
      if (x < x0) x0 = x;
      while (at < stop) {
        const bottom = Math.min(height, y + stop - at);
        if (y < y0) y0 = y;
        if (bottom > y1) y1 = bottom;
        for (let k = y * width + x, end = bottom * width; k < end; k += width) data[k] = 1;
        at += bottom - y;
        x += 1;
        y = 0;
      }
      if (x > x1) x1 = x;
    } else at += run;
    on = !on;
  }
  return area ? { data, x0, y0, x1, y1, area, width, height } : { data, x0: 0, y0: 0, x1: 0, y1: 0, area: 0, width, height };
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
