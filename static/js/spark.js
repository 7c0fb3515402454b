/* A very small picture on log-log axes without labels: lines over the same positions. Where a value is
 * not finite there is a cross at the top. */

import { svg } from './dom.js';

const W = 96;
const H = 34;

/* xs: positive positions; lines: [{values, colour}]. slopeOf: the frame always spans the same number of
 * decades up as along, so that a slope of 1 looks like one in every row. */
export function spark(xs, lines) {
  const drawable = (v) => typeof v === 'number' && Number.isFinite(v) && v > 0;
  const logs = lines.flatMap((l) => l.values.filter(drawable).map(Math.log10));
  const [x0, x1] = [Math.log10(Math.min(...xs)), Math.log10(Math.max(...xs))];
  const middle = logs.length ? (Math.min(...logs) + Math.max(...logs)) / 2 : 0;
  const span = Math.max(logs.length ? Math.max(...logs) - Math.min(...logs) : 0, x1 - x0, 0.1);
  const x = (v) => 4 + ((W - 8) * (Math.log10(v) - x0)) / (x1 - x0 || 1);
  const y = (v) => H / 2 - ((H - 8) * (Math.log10(v) - middle)) / span;
  const path = (values) => values.map((v, i) => (drawable(v) ? `${i && drawable(values[i - 1]) ? 'L' : 'M'}${x(xs[i]).toFixed(1)},${y(v).toFixed(1)}` : '')).join('');
  return svg('svg', { class: 'spark', viewBox: `0 0 ${W} ${H}`, width: W, height: H, 'aria-hidden': 'true' },
    lines.map((l) => [svg('path', { class: `line c${l.colour}`, d: path(l.values) }),
      l.values.map((v, i) => (typeof v === 'number' && !Number.isFinite(v)
        ? svg('path', { class: `line c${l.colour}`, d: `M${x(xs[i]) - 3},2l6,6m0,-6l-6,6` }) : null))]));
}
