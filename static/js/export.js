/* Saving a chart: SVG with all styles written out, and PNG drawn from that SVG onto a canvas. Always
 * in the light theme, with title and legend, so that the file stands alone.
 *
 * The PNG is drawn by walking the SVG (lines, paths, text) instead of loading it as an image: that
 * would need blob: in the Content-Security-Policy. */

import { h, svg } from './dom.js';
import { saveBlob } from './api.js';
import { swatch } from './swatch.js';

/* What is written out, with the value that need not be: what SVG assumes anyway. */
const SHAPE = [['fill', ''], ['fill-opacity', '1'], ['stroke', 'none'], ['stroke-width', '1px'], ['stroke-dasharray', 'none'],
  ['stroke-linecap', 'butt'], ['stroke-linejoin', 'miter']];
const TEXT = [...SHAPE, ['font-size', ''], ['font-weight', '400'], ['text-anchor', 'start'], ['paint-order', 'normal']];

/* color(srgb 0.1 0.2 0.3), which a mixed colour computes to, as old readers of SVG know it. */
function plain(value) {
  const m = /^color\(srgb ([\d.e-]+) ([\d.e-]+) ([\d.e-]+)\)$/.exec(value);
  return m ? `rgb(${m.slice(1).map((v) => Math.round(255 * Number(v))).join(', ')})` : value;
}

function legendRows(lines, width) {
  const rows = [];
  let x = 8;
  let y = 0;
  for (const line of lines) {
    const w = 46 + 6.8 * [...line.label].length + 14;
    if (x + w > width && x > 8) {
      x = 8;
      y += 18;
    }
    const mark = swatch(line);
    rows.push(svg('g', { class: mark.getAttribute('class'), transform: `translate(${x},${y})` },
      [...mark.childNodes], svg('text', { class: 'legend-text', x: 42, y: 10, text: line.label })));
    x += w;
  }
  return { rows, height: y + 24 };
}

/* A free-standing copy, laid out in a hidden light-themed box so that computed styles can be read. */
function compose(chart, spec, lines) {
  const [, , width, height] = chart.getAttribute('viewBox').split(' ').map(Number);
  const legend = legendRows(lines, width);
  const body = svg('g', { transform: 'translate(0,44)' }, [...chart.cloneNode(true).childNodes]);
  const total = 44 + height + legend.height + 6;
  const out = svg('svg', { xmlns: 'http://www.w3.org/2000/svg', class: 'plot', width, height: total,
    viewBox: `0 0 ${width} ${total}` },
  svg('rect', { class: 'paper', width, height: total }),
  svg('text', { class: 'export-title', x: 8, y: 20, text: spec.title }),
  svg('text', { class: 'export-sub', x: 8, y: 36, text: spec.subtitle || '' }), body,
  svg('g', { transform: `translate(0,${44 + height})` }, legend.rows));
  const box = h('div', { class: 'export-box', 'data-theme': 'light' }, out);
  document.body.append(box);
  for (const el of out.querySelectorAll('[visibility="hidden"]')) el.remove();
  const all = [...out.querySelectorAll('*')];
  for (const el of all) {
    const style = getComputedStyle(el);
    for (const [name, usual] of { text: TEXT, path: SHAPE, line: SHAPE, rect: SHAPE }[el.tagName] || []) {
      const value = style.getPropertyValue(name);
      if (value && value !== usual) el.setAttribute(name, plain(value));
    }
  }
  /* Only now, for what an element looks like depends on the classes around it. */
  for (const el of all) for (const name of ['class', 'data-key', 'aria-hidden']) el.removeAttribute(name);
  out.setAttribute('font-family', getComputedStyle(out).fontFamily);
  out.removeAttribute('class');
  box.remove();
  return { out, width, height: total };
}

function fileName(spec, kind) {
  const base = (spec.file || spec.title).toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 80);
  return `${base || 'chart'}.${kind}`;
}

export function saveSvg(chart, spec, lines) {
  const { out } = compose(chart, spec, lines);
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(out)}\n`;
  saveBlob(new Blob([text], { type: 'image/svg+xml' }), fileName(spec, 'svg'));
}

function setPen(c, el) {
  const of = (name, otherwise) => el.getAttribute(name) ?? otherwise;
  c.lineWidth = parseFloat(of('stroke-width', '1'));
  c.lineCap = of('stroke-linecap', 'butt');
  c.lineJoin = of('stroke-linejoin', 'miter');
  const dash = of('stroke-dasharray', '');
  c.setLineDash(dash && dash !== 'none' ? dash.split(/[\s,]+/).map(parseFloat) : []);
  return { fill: of('fill', '#000'), stroke: of('stroke', 'none'),
    fillAlpha: Number(of('fill-opacity', 1)), strokeAlpha: Number(of('stroke-opacity', 1)) };
}

function paint(c, pen, fill, stroke) {
  const alpha = c.globalAlpha;
  if (pen.fill !== 'none' && fill) {
    c.globalAlpha = alpha * pen.fillAlpha;
    c.fillStyle = pen.fill;
    fill();
  }
  if (pen.stroke !== 'none' && stroke) {
    c.globalAlpha = alpha * pen.strokeAlpha;
    c.strokeStyle = pen.stroke;
    stroke();
  }
}

function drawText(c, el, pen) {
  c.font = `${el.getAttribute('font-weight') || 400} ${el.getAttribute('font-size')} ${el.closest('[font-family]').getAttribute('font-family')}`;
  c.textAlign = { middle: 'center', end: 'right' }[el.getAttribute('text-anchor')] || 'left';
  const size = parseFloat(el.getAttribute('font-size'));
  const at = [Number(el.getAttribute('x')), Number(el.getAttribute('y')) + (el.getAttribute('dy') ? 0.35 * size : 0)];
  if (pen.stroke !== 'none') paint(c, { ...pen, fill: 'none' }, null, () => c.strokeText(el.textContent, ...at));
  paint(c, { ...pen, stroke: 'none' }, () => c.fillText(el.textContent, ...at));
}

function drawElement(c, el) {
  if (el.tagName === 'title') return;
  c.save();
  const shift = /translate\(([-\d.e]+)[ ,]+([-\d.e]+)\)/.exec(el.getAttribute('transform') || '');
  if (shift) c.translate(Number(shift[1]), Number(shift[2]));
  const pen = setPen(c, el);
  const n = (name) => Number(el.getAttribute(name) || 0);
  if (el.tagName === 'path') {
    const path = new Path2D(el.getAttribute('d') || '');
    paint(c, pen, () => c.fill(path), () => c.stroke(path));
  } else if (el.tagName === 'line') {
    const path = new Path2D();
    path.moveTo(n('x1'), n('y1'));
    path.lineTo(n('x2'), n('y2'));
    paint(c, pen, null, () => c.stroke(path));
  } else if (el.tagName === 'rect') {
    paint(c, pen, () => c.fillRect(n('x'), n('y'), n('width'), n('height')));
  } else if (el.tagName === 'text') {
    drawText(c, el, pen);
  }
  for (const child of el.children) drawElement(c, child);
  c.restore();
}

export function savePng(chart, spec, lines) {
  const { out, width, height } = compose(chart, spec, lines);
  const canvas = h('canvas', { width: width * 2, height: height * 2 });
  const c = canvas.getContext('2d');
  c.scale(2, 2);
  for (const child of out.children) drawElement(c, child);
  canvas.toBlob((blob) => saveBlob(blob, fileName(spec, 'png')), 'image/png');
}
