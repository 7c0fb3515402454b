/* The sample of a line: colour, dash and marker. */

import { svg } from './dom.js';

const DOWN = {
  draw(path, size) {
    const r = Math.sqrt(size / 1.3);
    path.moveTo(0, r * 0.85);
    path.lineTo(r * 0.87, -r * 0.65);
    path.lineTo(-r * 0.87, -r * 0.65);
    path.closePath();
  },
};

export function symbolPath(marker, size) {
  const types = { circle: d3.symbolCircle, square: d3.symbolSquare, triangle: d3.symbolTriangle, diamond: d3.symbolDiamond,
    cross: d3.symbolCross, star: d3.symbolStar, wye: d3.symbolWye, down: DOWN };
  return d3.symbol().type(types[marker]).size(size)();
}

export function swatch(line) {
  return svg('svg', { class: `swatch c${line.colour}`, viewBox: '0 0 34 12', 'aria-hidden': 'true' },
    svg('path', { d: 'M1,6H33', class: 'line', 'stroke-dasharray': line.dash || undefined }),
    svg('path', { d: symbolPath(line.marker, 30), class: 'marker', transform: 'translate(17,6)' }));
}
