// The icons as path data, 24 by 24, drawn with strokes in the text's colour.
const SHAPES = {
  point: '<path d="M5 4l6 15 2.2-6.2L19.5 10.5z"/><path d="M18 15.5v6M15 18.5h6"/>',
  box: '<path d="M4 8V5a1 1 0 011-1h3M16 4h3a1 1 0 011 1v3M20 16v3a1 1 0 01-1 1h-3M8 20H5a1 1 0 01-1-1v-3M11 4h2M11 20h2M4 11v2M20 11v2"/>',
  brush: '<path d="M20 4c-4 1.5-8.5 5-11 9l2.5 2.5C15.5 13 19 8.5 20 4z"/><path d="M8.5 14c-2.5 0-3.5 1.8-3.5 3.5 0 1.2-.8 2-1.5 2.5 4 .8 7-.5 7.3-3.5"/>',
  erase: '<path d="M9 20l-5-5a1.5 1.5 0 010-2.2L12.8 4a1.5 1.5 0 012.2 0l5 5a1.5 1.5 0 010 2.2L11.5 20zM8 9l7.5 7.5M9 20h11"/>',
  text: '<path d="M5 7V5h14v2M12 5v14M9 19h6"/>',
  pan: '<path d="M12 3v18M3 12h18M12 3L9.5 5.5M12 3l2.5 2.5M12 21l-2.5-2.5M12 21l2.5-2.5M3 12l2.5-2.5M3 12l2.5 2.5M21 12l-2.5-2.5M21 12l-2.5 2.5"/>',
  undo: '<path d="M8 5L4 9l4 4M4 9h10a5.5 5.5 0 010 11h-4"/>',
  redo: '<path d="M16 5l4 4-4 4M20 9H10a5.5 5.5 0 000 11h4"/>',
  keys: '<rect x="3" y="6" width="18" height="12" rx="2"/><path d="M7 10h.01M11 10h.01M15 10h.01M17 10h.01M8 14h8"/>',
  play: '<path d="M8 5l11 7-11 7z" fill="currentColor"/>',
  next: '<path d="M9 6l6 6-6 6M18 6v12"/>',
  prev: '<path d="M15 6l-6 6 6 6M6 6v12"/>',
  fwd: '<path d="M9 6l6 6-6 6"/>',
  back: '<path d="M15 6l-6 6 6 6"/>',
  eye: '<path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z"/><circle cx="12" cy="12" r="3"/>',
  eyeoff: '<path d="M4 4l16 16M9.5 5.8A9 9 0 0112 5.5c6 0 9.5 6.5 9.5 6.5a16 16 0 01-2.6 3.3M6.2 7.2A16 16 0 002.5 12S6 18.5 12 18.5a9 9 0 004-.9"/>',
  solo: '<circle cx="12" cy="12" r="8.5"/><circle cx="12" cy="12" r="2.4" fill="currentColor" stroke="none"/>',
  check: '<path d="M5 12.5l4.5 4.5L19 7.5"/>',
  boxm: '<rect x="4" y="6" width="16" height="12" rx="1" stroke-width="3"/>',
  x: '<path d="M6 6l12 12M18 6L6 18"/>',
  plus: '<path d="M12 5v14M5 12h14"/>',
  minus: '<path d="M5 12h14"/>',
  warn: '<path d="M12 4L2.8 19.5h18.4z"/><path d="M12 10v4.5M12 17v.01"/>',
  find: '<circle cx="11" cy="11" r="6.5"/><path d="M16 16l4.5 4.5"/>',
  trash: '<path d="M4 7h16M9 7V4.5h6V7M6.5 7l1 13h9l1-13M10 11v5M14 11v5"/>',
  up: '<path d="M12 16V4M7 9l5-5 5 5M4 16v3a1 1 0 001 1h14a1 1 0 001-1v-3"/>',
  down: '<path d="M12 4v12M7 11l5 5 5-5M4 16v3a1 1 0 001 1h14a1 1 0 001-1v-3"/>',
  car: '<path d="M7 10l5 5 5-5"/>',
  sun: '<circle cx="12" cy="12" r="4"/><path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6L7 7M17 17l1.4 1.4M5.6 18.4L7 17M17 7l1.4-1.4"/>',
  stop: '<rect x="6" y="6" width="12" height="12" rx="1.5" fill="currentColor"/>',
  right: '<path d="M4 12h15M13 6l6 6-6 6"/>',
  left: '<path d="M20 12H5M11 6l-6 6 6 6"/>',
  both: '<path d="M3 12h18M8 7l-5 5 5 5M16 7l5 5-5 5"/>',
  film: '<rect x="3" y="5" width="18" height="14" rx="2"/><path d="M8 5v14M16 5v14M3 9.5h5M3 14.5h5M16 9.5h5M16 14.5h5"/>',
  fill: '<path d="M12 4c4 0 8 2.5 8 7s-3 9-8 9-8-3-8-8 4-8 8-8z" fill="currentColor" fill-opacity=".45"/>',
  out: '<path d="M12 4c4 0 8 2.5 8 7s-3 9-8 9-8-3-8-8 4-8 8-8z"/>',
  cut: '<rect x="3" y="3" width="18" height="18" rx="2" fill="currentColor" fill-opacity=".35" stroke="none"/><path d="M12 6c3 0 6 2 6 5.5S16 18 12 18s-6-2.3-6-6 3-6 6-6z" fill="var(--surface)"/>',
  spot: '<path d="M9.5 3h5l1 4.500h-7zM8.500 7.500L3.500 19M15.500 7.500l5 11.500"/><ellipse cx="12" cy="19" rx="8.500" ry="2.500" fill="currentColor" fill-opacity=".35"/>',
  blurin: '<circle cx="12" cy="12" r="8" stroke-dasharray=".1 3.400" stroke-width="2.400"/><circle cx="12" cy="12" r="3.500" fill="currentColor" fill-opacity=".45" stroke="none"/>',
  blurout: '<circle cx="12" cy="12" r="4.500"/><path d="M4 4h.01M8 3.500h.01M12 3.500h.01M16 3.500h.01M20 4h.01M3.500 8h.01M20.500 8h.01M3.500 12h.01M20.500 12h.01M3.500 16h.01M20.500 16h.01M4 20h.01M8 20.500h.01M12 20.500h.01M16 20.500h.01M20 20h.01" stroke-width="2.400"/>',
  pixin: '<path d="M9 6h3v3H9zM12 9h3v3h-3zM6 9h3v3H6zM9 12h3v3H9zM15 12h3v3h-3zM12 15h3v3h-3z" fill="currentColor" stroke="none"/><path d="M9 6h6v3h3v6h-3v3H9v-3H6V9h3z"/>',
  pixout: '<circle cx="12" cy="12" r="4.500"/><path d="M3 3h4v4H3zM10 3h4v3h-4zM17 3h4v4h-4zM3 10h3v4H3zM18 10h3v4h-3zM3 17h4v4H3zM10 18h4v3h-4zM17 17h4v4h-4z" fill="currentColor" fill-opacity=".6" stroke="none"/>',
  side: '<rect x="3" y="5" width="18" height="14" rx="2"/><path d="M12 5v14"/><path d="M12 5h7a2 2 0 012 2v10a2 2 0 01-2 2h-7z" fill="currentColor" fill-opacity=".4" stroke="none"/>',
  sliders: '<path d="M4 7h9M17 7h3M4 17h3M11 17h9"/><circle cx="15" cy="7" r="2"/><circle cx="9" cy="17" r="2"/>',
  loop: '<path d="M4 11a5 5 0 015-5h9M15 3l3 3-3 3M20 13a5 5 0 01-5 5H6M9 21l-3-3 3-3"/>',
  fit: '<path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"/>',
  json: '<path d="M9 4c-3 0-2 3-2 5s-1 3-3 3c2 0 3 1 3 3s-1 5 2 5M15 4c3 0 2 3 2 5s1 3 3 3c-2 0-3 1-3 3s1 5-2 5"/>',
  img: '<rect x="3" y="4" width="18" height="16" rx="2"/><path d="M3 16l5-5 5 5 3-3 5 5"/><circle cx="15.5" cy="9" r="1.5"/>',
  clock: '<circle cx="12" cy="12" r="8.5"/><path d="M12 7.5V12l3 2"/>',
  pause: '<path d="M7.5 5.5h3v13h-3zM13.5 5.5h3v13h-3z" fill="currentColor"/>',
  pen: '<path d="M4 20l1-4L16.5 4.5l3 3L8 19zM14.5 6.5l3 3"/>',
  reset: '<path d="M4.5 12a7.5 7.5 0 107.5-7.5c-2.6 0-5 1.4-6.5 3.5M5 4v4h4"/>',
  link: '<path d="M10 5H5v14h14v-5M14 4h6v6M20 4l-9 9"/>',
  moon: '<path d="M19.5 14.5A8 8 0 019.5 4.5a8 8 0 1010 10z"/>',
  folder: '<path d="M3 7a1 1 0 011-1h5l2 2.5h9a1 1 0 011 1V18a1 1 0 01-1 1H4a1 1 0 01-1-1z"/>',
  dots: '<path d="M6 12h.01M12 12h.01M18 12h.01" stroke-width="2.6"/>',
  split: '<path d="M12 3v18" stroke-dasharray="2.5 2.5"/><path d="M9 6H5a1 1 0 00-1 1v10a1 1 0 001 1h4M15 6h4a1 1 0 011 1v10a1 1 0 01-1 1h-4"/>',
  merge: '<rect x="3.5" y="6" width="11" height="9" rx="2"/><path d="M9.500 15v2a2 2 0 002 2h7a2 2 0 002-2v-6a2 2 0 00-2-2h-4"/>',
  tag: '<path d="M4 5a1 1 0 011-1h6.500L20 12.500 12.500 20 4 11.500z"/><circle cx="8.200" cy="8.200" r="1.200"/>',
  hue: '<path d="M12 3.500s6 6.300 6 10.500a6 6 0 01-12 0c0-4.200 6-10.500 6-10.500z"/>',
  copy: '<rect x="9" y="9" width="11" height="11" rx="2"/><path d="M5 15H4.5A1.5 1.5 0 013 13.5v-9A1.5 1.5 0 014.5 3h9A1.5 1.5 0 0115 4.5V5"/>',
};

/** An icon as markup. `size` "s" is 16 px, else 18. */
export function icon(name, size = "") {
  return `<svg class="i ${size}" viewBox="0 0 24 24" aria-hidden="true">${SHAPES[name]}</svg>`;
}

/** The product's mark: an object with its selection around it. */
export const LOGO = '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M12 2.500c5 0 9.500 3 9.500 8.500 0 6-4 10.500-9.500 10.500S2.500 17.500 2.500 12 7 2.500 12 2.500z" fill="none" stroke="currentColor" stroke-width="1.600" stroke-dasharray="3.200 2.400"/><path d="M12 7c3 0 5 1.600 5 4.500S15 17 12 17s-5-2-5-5 2-5 5-5z" fill="currentColor"/></svg>';

/** A frame to look at, on a lane. */
export const TRIANGLE = '<svg viewBox="0 0 18 16" aria-hidden="true"><path d="M9 1.500L17 15H1z" fill="#FFC24B" stroke="#17191C" stroke-width="1.500" stroke-linejoin="round"/><path d="M9 6v4.200M9 12.300v.2" stroke="#17191C" stroke-width="1.700" stroke-linecap="round" fill="none"/></svg>';

export const STRIPES = '<svg viewBox="0 0 15 15" aria-hidden="true"><path d="M0 15L15 0M-4 11L11 -4M4 19L19 4" stroke="currentColor" stroke-width="2" opacity=".7"/></svg>';
