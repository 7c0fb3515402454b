/* Draws lines with bands over depth or over steps as SVG, with D3. Knows nothing of jobs.
 *
 * spec: {title, x: {label, integer, log, name}, y: {label, log}, lines, limits, band, labels}
 * line: {key, label, short, colour, dash, marker, points: [{x, y, lo, hi, n, bad}], flags: [{x, text}]}
 *   y null where nothing can be drawn; bad: how many values of the point are not finite; predicted:
 *   what theory says of it, drawn as dots.
 */

import { placeTicks, ticks, xTicks, yScale } from './axis.js';
import { symbolPath } from './swatch.js';
import { lack } from './format.js';

export const drawable = (v, log) =>
  typeof v === 'number' && Number.isFinite(v) && (!log || v > 0);

const textWidth = (text) => 6.6 * [...text].length;

function collect(spec) {
  const log = spec.y.log;
  const ys = [];
  const xs = new Set();
  for (const line of spec.lines) {
    for (const p of line.points) {
      xs.add(p.x);
      for (const v of spec.band ? [p.y, p.lo, p.hi, p.predicted] : [p.y, p.predicted]) if (drawable(v, log)) ys.push(v);
    }
  }
  return { ys, xs: [...xs].sort((a, b) => a - b) };
}

/* A limit line is drawn when the data comes within a factor of 32 of it. */
function nearLimits(spec, ys) {
  const top = Math.max(...ys);
  const low = Math.min(...ys);
  return (spec.limits || []).filter((l) => l.above ? top > l.y / 32 : low < l.y * 32);
}

function layout(spec, width, height, yTicks) {
  const left = Math.max(40, 14 + Math.max(0, ...yTicks.map((t) => textWidth(t.text))));
  const right = spec.labels
    ? Math.min(150, 16 + Math.max(0, ...spec.lines.map((l) => textWidth(l.short)))) : 14;
  return { left, right, top: 30, bottom: 42, width, height };
}

function drawAxes(g, spec, x, y, m, tickSet) {
  const w = m.width - m.left - m.right;
  const bottom = m.height - m.bottom;
  const grid = g.append('g').attr('class', 'grid').attr('aria-hidden', 'true');
  for (const v of tickSet.minor) {
    grid.append('line').attr('class', 'minor')
      .attr('x1', m.left - 3).attr('x2', m.left + 0.5).attr('y1', y(v)).attr('y2', y(v));
  }
  const axis = g.append('g').attr('class', 'axis').attr('aria-hidden', 'true');
  for (const t of tickSet.major) {
    const at = Math.round(y(t.value)) + 0.5;
    grid.append('line').attr('class', t.value === 0 && !spec.y.log ? 'zero' : null)
      .attr('x1', m.left - 5).attr('x2', m.left + w).attr('y1', at).attr('y2', at);
    axis.append('text').attr('x', m.left - 8).attr('y', at).attr('dy', '0.35em')
      .attr('text-anchor', 'end').text(t.text);
  }
  axis.append('path').attr('class', 'domain').attr('d', `M${m.left + 0.5},${m.top}V${bottom + 0.5}H${m.left + w}`);
  const room = Math.max(2, Math.floor(w / 60));
  for (const t of spec.x.log ? placeTicks(x, room) : xTicks(x, spec.x.integer, room)) {
    const at = Math.round(x(t.value)) + 0.5;
    axis.append('line').attr('class', 'tick').attr('x1', at).attr('x2', at).attr('y1', bottom).attr('y2', bottom + 5);
    axis.append('text').attr('x', at).attr('y', bottom + 18).attr('text-anchor', 'middle').text(t.text);
  }
  axis.append('text').attr('class', 'title').attr('x', m.left + w).attr('y', m.height - 6)
    .attr('text-anchor', 'end').text(spec.x.label);
  axis.append('text').attr('class', 'title').attr('x', 2).attr('y', 14).text(spec.y.label);
}

function drawLimits(g, limits, y, m) {
  for (const l of limits) {
    const at = y(l.y);
    const row = g.append('g').attr('class', 'limit');
    row.append('line').attr('x1', m.left).attr('x2', m.width - m.right).attr('y1', at).attr('y2', at);
    row.append('text').attr('x', m.left + 6).attr('y', l.above ? at - 5 : at + 13).text(l.label);
  }
}

function drawLine(g, line, spec, x, y, index) {
  const log = spec.y.log;
  const group = g.append('g').attr('class', `arm c${line.colour}`).attr('data-key', line.key);
  const [floor] = y.domain();
  if (spec.band && line.points.some((p) => p.n > 1)) {
    const area = d3.area().x((p) => x(p.x))
      .defined((p) => drawable(p.hi, log) && typeof p.lo === 'number')
      .y0((p) => y(log ? Math.max(p.lo, floor) : p.lo)).y1((p) => y(p.hi));
    group.append('path').attr('class', 'band').attr('d', area(line.points));
  }
  const path = d3.line().x((p) => x(p.x)).y((p) => y(p.y)).defined((p) => drawable(p.y, log));
  group.append('path').attr('class', 'line').attr('d', path(line.points))
    .attr('stroke-dasharray', line.dash || null);
  const theory = line.points.filter((p) => drawable(p.predicted, log));
  if (theory.length) {
    const along = d3.line().x((p) => x(p.x)).y((p) => y(p.predicted));
    group.append('path').attr('class', 'theory').attr('d', along(theory)).attr('stroke-dasharray', '0 4.5');
  }
  const shown = line.points.filter((p) => drawable(p.y, log));
  const spread = shown.length > 1 ? Math.abs(x(shown.at(-1).x) - x(shown[0].x)) / (shown.length - 1) : 99;
  const every = Math.max(1, Math.ceil(26 / spread));
  shown.forEach((p, i) => {
    const alone = shown.length < 3 || i === shown.length - 1;
    if (!alone && (i + index) % every) return;
    group.append('path').attr('class', 'marker').attr('d', symbolPath(line.marker, 38))
      .attr('transform', `translate(${x(p.x).toFixed(2)},${y(p.y).toFixed(2)})`);
  });
  return shown;
}

/* Crosses at the top edge: here a value is not finite, so the line cannot go on. */
function drawBad(g, line, x, top, row) {
  const group = g.append('g').attr('class', `bad c${line.colour}`);
  for (const p of line.points) {
    if (!p.bad) continue;
    const at = [x(p.x), top + 5 + row * 9];
    group.append('path').attr('d', 'M-3.2,-3.2L3.2,3.2M-3.2,3.2L3.2,-3.2').attr('transform', `translate(${at})`)
      .append('title').text(`${line.label}, ${p.name}: ${lack(p)}`);
  }
  for (const f of line.flags || []) {
    group.append('path').attr('class', 'flag').attr('d', `M${x(f.x)},${top}v12l-4,-6z`)
      .append('title').text(`${line.label}: ${f.text}`);
  }
}

/* Labels at the line ends, moved apart where they would overlap. Those of lines that end inside the
 * plot are left out when they would have to move far: the legend has them too. */
function drawLabels(g, ends, top, bottom) {
  ends.sort((a, b) => a.y - b.y);
  const clash = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w;
  for (let pass = 0; pass < 60; pass++) {
    let moved = false;
    for (let i = 0; i < ends.length; i++) {
      for (let j = i + 1; j < ends.length; j++) {
        const [a, b] = [ends[i], ends[j]];
        const gap = 13 - (b.y - a.y);
        if (gap > 0.01 && clash(a, b)) {
          a.y = Math.max(top, a.y - gap / 2);
          b.y = Math.min(bottom, a.y + 13);
          moved = true;
        }
      }
    }
    if (!moved) break;
  }
  const group = g.append('g').attr('class', 'end-labels').attr('aria-hidden', 'true');
  const readable = ends.filter((e) => !e.inside || Math.abs(e.y - e.at) <= 8);
  for (const e of readable) {
    group.append('text').attr('class', `c${e.line.colour}`).attr('data-key', e.line.key)
      .attr('x', e.x).attr('y', e.y).attr('dy', '0.35em').text(e.line.short);
  }
}

/* Draws into box (an element) and returns what a cursor needs: {svg, xs, x, left, right, top, bottom}. */
export function plot(box, spec, width, height) {
  const log = spec.y.log;
  const { ys, xs } = collect(spec);
  const limits = ys.length ? nearLimits(spec, ys) : [];
  const all = ys.concat(limits.map((l) => l.y));
  const room = Math.max(3, Math.floor(height / 55));
  const tickSet = all.length ? ticks(yScale(all, log, [height - 42, 30]), log, room) : { major: [], minor: [] };
  const m = layout(spec, width, height, tickSet.major);
  const y = yScale(all, log, [height - m.bottom, m.top]);
  let [x0, x1] = xs.length ? [xs[0], xs.at(-1)] : [0, 1];
  if (x0 === x1) [x0, x1] = spec.x.log ? [x0 / 2, x1 * 2] : [x0 - 1, x1 + 1];
  const x = (spec.x.log ? d3.scaleLog : d3.scaleLinear)([x0, x1], [m.left + 6, m.width - m.right - 6]);
  x.places = xs;

  box.replaceChildren();
  const root = d3.select(box).append('svg').attr('class', 'plot').attr('role', 'img')
    .attr('aria-label', spec.title).attr('viewBox', `0 0 ${width} ${height}`)
    .attr('width', width).attr('height', height);
  drawAxes(root, spec, x, y, m, tickSet);
  drawLimits(root, limits, y, m);
  const cursor = root.append('line').attr('class', 'cursor').attr('y1', m.top).attr('y2', height - m.bottom)
    .attr('visibility', 'hidden');
  const ends = [];
  spec.lines.forEach((line, i) => {
    const shown = drawLine(root, line, spec, x, y, i);
    if (spec.labels && shown.length) {
      const last = shown.at(-1);
      const inside = last.x < xs.at(-1);
      const at = y(last.y) - (inside ? 11 : 0);
      ends.push({ line, inside, x: x(last.x) + (inside ? 2 : 9), y: at, at, w: textWidth(line.short) });
    }
  });
  spec.lines.forEach((line, i) => drawBad(root, line, x, m.top, i % 4));
  drawLabels(root, ends, m.top - 8, height - m.bottom - 4);
  const move = (v) => {
    if (v === null) cursor.attr('visibility', 'hidden');
    else cursor.attr('visibility', 'visible').attr('x1', x(v)).attr('x2', x(v));
  };
  return { svg: root.node(), xs, x, move, left: m.left, right: width - m.right, top: m.top,
    bottom: height - m.bottom };
}
