// A mask's outline as a path in video pixels: sharp at any zoom, and strokes stay as wide as the screen wants.

const DX = [1, 0, -1, 0]; // east, south, west, north
const DY = [0, 1, 0, -1];

/** The closed outlines of a decoded mask, each a flat [x, y, x, y, …] of edge midpoints where it turns. */
export function outlines({ data, x0, y0, x1, y1 }) {
  const [width, height] = [x1 - x0, y1 - y0];
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[y * width + x] === 1;
  const seen = new Uint8Array(data.length);
  const loops = [];
  for (let k = 0; k < data.length; k++) {
    // A loop holds at least one edge with the mask just below it: those start the walks.
    if (data[k] !== 1 || seen[k] || (k >= width && data[k - width] === 1)) continue;
    const y = Math.floor(k / width);
    loops.push(walk(k - y * width, y));
  }
  return loops;

  // Along the cracks between pixels, the mask on the right hand.
  function walk(startX, startY) {
    const points = [];
    let [x, y, d] = [startX, startY, 0];
    do {
      if (d === 0) seen[y * width + x] = 1;
      const [nx, ny] = [x + DX[d], y + DY[d]];
      // The pixels ahead of the corner (nx, ny), right and left of the direction.
      const [rx, ry] = [nx + (d === 0 || d === 3 ? 0 : -1), ny + (d === 0 || d === 1 ? 0 : -1)];
      const [lx, ly] = [nx + (d === 0 || d === 1 ? 0 : -1), ny + (d === 1 || d === 2 ? 0 : -1)];
      let turn = 0;
      if (!inside(rx, ry)) turn = 1;
      else if (inside(lx, ly)) turn = 3;
      if (turn) points.push(x0 + x + DX[d] / 2, y0 + y + DY[d] / 2);
      d = (d + turn) & 3;
      if (turn) points.push(x0 + nx + DX[d] / 2, y0 + ny + DY[d] / 2);
      [x, y] = [nx, ny];
    } while (x !== startX || y !== startY || d !== 0);
    return points;
  }
}

/**
 * The corners of a closed outline [x, y, …] that matter: what is left out lies within `tolerance` of the lines
 * between the rest (Douglas and Peucker, 1973).
 */
export function simplify(points, tolerance) {
  const n = points.length / 2;
  if (n < 5) return points;
  const keep = new Uint8Array(n + 1);
  const x = (i) => points[2 * (i % n)];
  const y = (i) => points[2 * (i % n) + 1];
  const half = n >> 1;
  keep[0] = keep[half] = 1; // a closed line has no ends of its own
  const spans = [0, half, half, n];
  while (spans.length) {
    const last = spans.pop();
    const first = spans.pop();
    const [dx, dy] = [x(last) - x(first), y(last) - y(first)];
    const square = dx * dx + dy * dy || 1;
    let [far, at] = [tolerance, -1];
    for (let i = first + 1; i < last; i++) {
      const [ax, ay] = [x(i) - x(first), y(i) - y(first)];
      const along = Math.min(1, Math.max(0, (ax * dx + ay * dy) / square));
      const off = Math.hypot(ax - along * dx, ay - along * dy);
      if (off > far) [far, at] = [off, i];
    }
    if (at < 0) continue;
    keep[at] = 1;
    spans.push(first, at, at, last);
  }
  const out = [];
  for (let i = 0; i < n; i++) if (keep[i]) out.push(x(i), y(i));
  return out;
}

const TOLERANCE = 0.5; // of a video pixel

/** A Path2D of the mask in few straight lines, for pictures that are shown small; fill it with "evenodd". */
export function toPath(mask) {
  const path = new Path2D();
  for (const outline of outlines(mask)) {
    const p = simplify(outline, TOLERANCE);
    path.moveTo(p[0], p[1]);
    for (let i = 2; i < p.length; i += 2) path.lineTo(p[i], p[i + 1]);
    path.closePath();
  }
  return path;
}

/** A Path2D of every pixel's corner, the stairs rounded, for pictures that are shown large. */
export function toFinePath(mask) {
  const path = new Path2D();
  for (const p of outlines(mask)) {
    const n = p.length;
    path.moveTo((p[n - 2] + p[0]) / 2, (p[n - 1] + p[1]) / 2);
    for (let i = 0; i < n; i += 2) {
      const j = (i + 2) % n;
      path.quadraticCurveTo(p[i], p[i + 1], (p[i] + p[j]) / 2, (p[i + 1] + p[j + 1]) / 2);
    }
    path.closePath();
  }
  return path;
}
