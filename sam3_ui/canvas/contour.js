// A mask's outline as a path in video pixels: sharp at any zoom, and strokes stay as wide as the screen wants.

const DX = [1, 0, -1, 0]; // east, south, west, north
const DY = [0, 1, 0, -1];

/** The closed outlines of a decoded mask, each a flat [x, y, x, y, …] of edge midpoints where it turns. */
export function outlines(mask) {
  const { data, width, height, x0, y0, x1, y1 } = mask;
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[y * width + x] === 1;
  const seen = new Uint8Array((x1 - x0 + 1) * (y1 - y0 + 1));
  const stride = x1 - x0 + 1;
  const loops = [];
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      // A loop holds at least one edge with the mask just below it: those start the walks.
      if (data[y * width + x] !== 1 || (y > 0 && data[(y - 1) * width + x] === 1)) continue;
      if (seen[(y - y0) * stride + x - x0]) continue;
      loops.push(walk(x, y));
    }
  }
  return loops;

  // Along the cracks between pixels, the mask on the right hand.
  function walk(startX, startY) {
    const points = [];
    let [x, y, d] = [startX, startY, 0];
    do {
      if (d === 0) seen[(y - y0) * stride + x - x0] = 1;
      const [nx, ny] = [x + DX[d], y + DY[d]];
      // The pixels ahead of the corner (nx, ny), right and left of the direction.
      const [rx, ry] = [nx + (d === 0 || d === 3 ? 0 : -1), ny + (d === 0 || d === 1 ? 0 : -1)];
      const [lx, ly] = [nx + (d === 0 || d === 1 ? 0 : -1), ny + (d === 1 || d === 2 ? 0 : -1)];
      let turn = 0;
      if (!inside(rx, ry)) turn = 1;
      else if (inside(lx, ly)) turn = 3;
      if (turn) points.push(x + DX[d] / 2, y + DY[d] / 2);
      d = (d + turn) & 3;
      if (turn) points.push(nx + DX[d] / 2, ny + DY[d] / 2);
      [x, y] = [nx, ny];
    } while (x !== startX || y !== startY || d !== 0);
    return points;
  }
}

/** A Path2D of the mask, its stairs rounded; fill it with "evenodd". */
export function toPath(mask) {
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
