// Frames as sorted inclusive ranges, [[from, to], …]: what lanes draw and plans are made of.

/** Sorted inclusive ranges that cover both. */
export function union(ranges, others) {
  const out = [];
  for (const [a, b] of [...ranges, ...others].sort((p, q) => p[0] - q[0])) {
    const end = out.at(-1);
    if (end && a <= end[1] + 1) end[1] = Math.max(end[1], b);
    else out.push([a, b]);
  }
  return out;
}

/** The parts of sorted inclusive ranges that none of the others cover. */
export function minus(ranges, others) {
  const out = [];
  for (const [a, b] of ranges) {
    let at = a;
    for (const [c, d] of others) {
      if (d < at || c > b) continue;
      if (c > at) out.push([at, c - 1]);
      at = Math.max(at, d + 1);
    }
    if (at <= b) out.push([at, b]);
  }
  return out;
}

/** The parts of sorted inclusive ranges that lie in [first, last]. */
export const within = (ranges, [first, last]) =>
  ranges.filter(([a, b]) => b >= first && a <= last).map(([a, b]) => [Math.max(a, first), Math.min(b, last)]);

export const holds = (ranges, frame) => ranges.some(([a, b]) => a <= frame && frame <= b);

/** How many frames the ranges hold. */
export const frameCount = (ranges) => ranges.reduce((n, [a, b]) => n + b - a + 1, 0);

/** "12", or "12–40". */
export const spanText = ([a, b]) => (a === b ? String(a) : `${a}–${b}`);
