/* The table twin of a chart: the same numbers, one row per position, one column per arm. */

import { h } from './dom.js';
import { cell, lack, number } from './format.js';
import { swatch } from './swatch.js';

function valueCell(p) {
  if (!p) return h('td', { class: 'num faint', text: '' });
  const main = typeof p.y === 'number' ? cell(p.y) : lack(p);
  const seeds = p.n > 1 && typeof p.lo === 'number' && p.lo !== p.hi
    ? h('span', { class: 'range', text: `${cell(p.lo, 3)} … ${cell(p.hi, 3)}` }) : null;
  const partial = p.bad && typeof p.y === 'number' ? h('span', { class: 'range warn', text: lack(p) }) : null;
  const theory = typeof p.predicted === 'number' ? h('span', { class: 'range', text: `theory ${cell(p.predicted, 3)}` }) : null;
  return h('td', { class: 'num', title: typeof p.y === 'number' ? String(p.y) : undefined,
    'data-value': typeof p.y === 'number' ? String(p.y) : '' }, main, seeds, theory, partial);
}

export function twin(spec, lines) {
  const at = new Map();
  lines.forEach((line, i) => {
    for (const p of line.points) {
      if (!at.has(p.x)) at.set(p.x, { name: p.label ?? number(p.x, 4), cells: [] });
      at.get(p.x).cells[i] = p;
    }
  });
  const xs = [...at.keys()].sort((a, b) => a - b);
  const head = h('tr', {}, h('th', { scope: 'col', text: spec.x.name }),
    lines.map((line) => h('th', { scope: 'col', class: 'num', 'data-key': line.key }, swatch(line), ' ', line.label)));
  const body = xs.map((x) => h('tr', {}, h('th', { scope: 'row', text: at.get(x).name }),
    lines.map((_, i) => valueCell(at.get(x).cells[i]))));
  const many = lines.some((l) => l.points.some((p) => p.n > 1));
  return h('table', { class: 'data' },
    h('caption', { text: `${spec.title}${many ? `; ${spec.average || 'mean'} over seeds, smallest … largest below` : ''}` }),
    h('thead', {}, head), h('tbody', {}, body));
}
