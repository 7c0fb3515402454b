/* The cursor over a chart: a vertical line and the values of every arm there. By pointer, by touch,
 * and by keyboard as a slider, which a screen reader reads out. */

import { h, clear } from './dom.js';
import { lack, number } from './format.js';
import { swatch } from './swatch.js';

const ROWS = 14;

function rowsAt(lines, x) {
  const rows = [];
  for (const line of lines) {
    const p = line.points.find((q) => q.x === x);
    if (p) rows.push({ line, p });
  }
  const rank = (r) => (typeof r.p.y === 'number' ? r.p.y : Infinity);
  return rows.sort((a, b) => rank(b) - rank(a));
}

function nearest(xs, v) {
  const i = Math.min(xs.length - 1, Math.max(1, d3.bisectLeft(xs, v)));
  return i > 0 && v - xs[i - 1] < xs[i] - v ? i - 1 : i;
}

export function valueText(p) {
  if (typeof p.y === 'number') return number(p.y);
  return lack(p);
}

function spread(p) {
  if (!(p.n > 1) || typeof p.lo !== 'number') return '';
  return `${number(p.lo, 3)} … ${number(p.hi, 3)}`;
}

function panel(spec, lines, x) {
  const rows = rowsAt(lines, x);
  const name = rows[0]?.p.name || `${spec.x.name} ${number(x, 3)}`;
  const body = rows.slice(0, ROWS).map(({ line, p }) => h('tr', {},
    h('td', {}, swatch(line)), h('td', { text: line.short }),
    h('td', { class: 'num', text: valueText(p) }), h('td', { class: 'num faint', text: spread(p) }),
    h('td', { class: 'num faint', text: typeof p.predicted === 'number' ? `theory ${number(p.predicted, 3)}` : '' })));
  return [h('p', { class: 'readout-head', text: name }), h('table', {}, h('tbody', {}, body)),
    rows.length > ROWS ? h('p', { class: 'hint', text: `and ${rows.length - ROWS} more, in the table` }) : null];
}

function spoken(spec, lines, x) {
  const rows = rowsAt(lines, x);
  const name = rows[0]?.p.name || `${spec.x.name} ${number(x, 3)}`;
  return `${name}: ${rows.slice(0, ROWS).map(({ line, p }) => `${line.short} ${valueText(p)}`).join(', ')}`;
}

/* resume: the position the keyboard was at when the chart was drawn anew, or -1; onMove is told it. */
export function readout(box, geometry, spec, lines, resume, onMove) {
  const { xs, x, move, left, right, top, bottom } = geometry;
  clear(box);
  if (!xs.length) return;
  let at = -1;
  const tip = h('div', { class: 'readout', hidden: true });
  const slider = h('div', { class: 'slider', tabindex: '0', role: 'slider',
    'aria-label': `${spec.title}. Arrow keys read the values`, 'aria-orientation': 'horizontal',
    'aria-valuemin': xs[0], 'aria-valuemax': xs.at(-1), 'aria-valuenow': xs[0], 'aria-valuetext': spoken(spec, lines, xs[0]) });
  Object.assign(slider.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
  const show = (i) => {
    at = i;
    onMove(i);
    const v = xs[i];
    move(v);
    clear(tip).append(...panel(spec, lines, v).filter(Boolean));
    tip.hidden = false;
    const full = box.clientWidth;
    const width = tip.offsetWidth;
    const px = x(v);
    const place = px + 14 + width <= full ? px + 14 : px - 14 - width >= 0 ? px - 14 - width : Math.max(0, full - width);
    Object.assign(tip.style, { left: `${place}px`, top: `${top + 4}px` });
    slider.setAttribute('aria-valuenow', v);
    slider.setAttribute('aria-valuetext', spoken(spec, lines, v));
  };
  const hide = () => {
    at = -1;
    move(null);
    tip.hidden = true;
  };
  slider.addEventListener('pointermove', (event) => {
    const v = x.invert(event.clientX - box.getBoundingClientRect().left);
    const i = nearest(xs, v);
    if (i !== at) show(i);
  });
  slider.addEventListener('pointerleave', () => { if (document.activeElement !== slider) hide(); });
  slider.addEventListener('focus', () => { if (at < 0 && slider.matches(':focus-visible')) show(0); });
  slider.addEventListener('blur', hide);
  slider.addEventListener('keydown', (event) => {
    const step = event.shiftKey ? 5 : 1;
    const to = { ArrowLeft: at - step, ArrowDown: at - step, ArrowRight: at + step, ArrowUp: at + step,
      PageDown: at - 10, PageUp: at + 10, Home: 0, End: xs.length - 1 }[event.key];
    if (event.key === 'Escape') hide();
    if (to === undefined) return;
    event.preventDefault();
    show(Math.min(xs.length - 1, Math.max(0, to)));
  });
  box.append(slider, tip);
  if (resume >= 0) {
    slider.focus({ preventScroll: true });
    show(Math.min(resume, xs.length - 1));
  }
}
