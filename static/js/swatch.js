/* The sample of a line: colour, dash and marker. */

import { svg } from './dom.js';

const SYMBOLS = {
  circle: 'symbolCircle', square: 'symbolSquare', triangle: 'symbolTriangle', diamond: 'symbolDiamond',
  cross: 'symbolCross', star: 'symbolStar', wye: 'symbolWye', plus: 'symbolAsterisk',
};

export function symbolPath(marker, size) {
  return d3.symbol(d3[SYMBOLS[marker]] || d3.symbolCircle, size)();
}

export function swatch(line) {
  return svg('svg', { class: `swatch c${line.colour}`, viewBox: '0 0 34 12', 'aria-hidden': 'true' },
    svg('path', { d: 'M1,6H33', class: 'line', 'stroke-dasharray': line.dash || undefined }),
    svg('path', { d: symbolPath(line.marker, 30), class: 'marker', transform: 'translate(17,6)' }));
}
