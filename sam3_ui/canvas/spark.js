// An object's scores along the video, as a line: where it dips is where to look.

const [WIDTH, HEIGHT, LOW] = [72, 16, 0.5];

/** `scores`: the lowest score of each of some equal parts of the video, null where there is no mask. */
export function spark(scores, dips) {
  if (!scores?.some((s) => s !== null)) return "";
  const x = (i) => ((i / Math.max(1, scores.length - 1)) * WIDTH).toFixed(1);
  const y = (s) => (1 + ((1 - Math.max(LOW, s)) / (1 - LOW)) * (HEIGHT - 2)).toFixed(1);
  let path = "";
  scores.forEach((s, i) => {
    if (s === null) return;
    const alone = scores[i - 1] == null && scores[i + 1] == null;
    path += `${scores[i - 1] == null ? "M" : "L"}${x(i)} ${y(s)}${alone ? "h1" : ""}`;
  });
  const signs = dips.map((share) => `<path class="lo" d="M${(share * WIDTH).toFixed(1)} 1V${HEIGHT - 1}"/>`).join("");
  return `<svg class="spark" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true"><path d="${path}"/>${signs}</svg>`;
}
