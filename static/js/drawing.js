/* The picture of a network: the nodes of its graph in the lanes that the server gave them, what stands
 * before the blocks, each kind of block once, what stands after them. Made of /api/v1/strategies/NAME. */

import { h, svg } from './dom.js';

const LANE = 26;
const LEFT = 17;
const FORK = 15; // room above a node that begins a lane
const GAP = 7;
const LINE = 16;
const CHAR = 6.35; // of the labels' font, wide side

const short = (role) => role.replace(/\.weight$/, '');
const digits = (v) => String(Number(v.toPrecision(4)));
const range = (a, b) => (a === b ? digits(a) : `${digits(a)} … ${digits(b)}`);

/* Norms are coloured, products are boxes, sums are circles; all else is a box without a colour. */
function kindOf(n) {
  if (n.place) return 'norm';
  if (n.products) return 'product';
  if (n.inputs.length > 1) return 'sum';
  return n.parameters.some((p) => p.dims.length === 1) ? 'learned' : 'other';
}

/* [what it is, what more there is to say] */
export function labelOf(n) {
  const vectors = n.parameters.filter((p) => p.dims.length === 1 && !(p.role.endsWith('.bias') && p.start_first === 0 && p.start_last === 0)
    && !(n.place && p.role.endsWith('.weight') && p.start_first === 1 && p.start_last === 1));
  const matrices = n.parameters.filter((p) => p.dims.length === 2).map((p) => short(p.role));
  const biased = n.products && n.parameters.some((p) => p.role.endsWith('.bias'));
  const of = !n.place && n.inputs.length === 1 && n.inputs[0].part ? `of ${short(n.inputs[0].part)}` : '';
  const more = [of, matrices.join(', ') + (biased ? ', biases' : ''),
    ...vectors.map((p) => `${n.place && p.role.startsWith(`${n.place}.`) ? p.role.slice(n.place.length + 1) : p.role} from ${range(p.start_first, p.start_last)}`),
    n.frozen ? 'frozen' : '', n.constants ? 'with constants' : '',
    ...n.numbers.map((q) => `${q.name} ${range(q.first, q.last)}`)].filter(Boolean);
  if (n.place) return [n.what, [n.place, ...more].join(', ')];
  if (n.what === 'p' || !n.what || n.products) return [n.op, more.join(', ')]; // a factor p is a plain gain
  return [n.op === 'activate' ? n.what : `${n.op} ${n.what}`, more.join(', ')];
}

/* Text in lines that fit, broken at spaces. */
function wrap(text, width) {
  const most = Math.max(8, Math.floor(width / CHAR));
  const lines = [];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1];
    if (last !== undefined && last.length + 1 + word.length <= most) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

export function titleOf(part, depth) {
  const [first, last] = [part.layers[0], part.layers[part.layers.length - 1]];
  if (first === 0) return 'Before the blocks';
  if (first > depth) return 'After the blocks';
  if (part.layers.length === 1) return `Block ${first}`;
  if (last - first + 1 === part.layers.length) return `Each of the blocks ${first} to ${last}`;
  return `Each of the blocks ${part.layers.join(', ')}`;
}

const x = (lane) => LEFT + lane * LANE;

/* Where each row is: {top, middle, bottom, fork, box: [left, right], text: left, lines}. */
function layout(part, width) {
  const nodes = part.nodes;
  const sources = (n) => n.inputs.map((i) => (i.node === undefined ? { ...part.streams[i.stream] } : nodes[i.node]));
  const busyAfter = (i) => {
    const ends = (until) => until === null || until > i;
    const lanes = [...part.streams, ...nodes.slice(0, i)].filter((v) => ends(v.until)).map((v) => v.lane);
    return Math.max(-1, ...lanes);
  };
  let y = part.streams.length ? 24 : 4;
  return nodes.map((n, i) => {
    const from = sources(n);
    const begins = from.length > 0 && from.every((s) => s.lane !== n.lane);
    const kind = kindOf(n);
    const right = Math.max(busyAfter(i), ...from.map((s) => (s.until === i ? -1 : s.lane)));
    const merged = Math.max(n.lane, ...from.map((s) => s.lane));
    const wide = kind !== 'sum' && right <= n.lane && merged === n.lane;
    const box = wide ? [x(n.lane) - 11, width - 1] : [x(n.lane) - 11, x(n.lane) + 11];
    const text = wide ? box[0] + 9 : x(Math.max(right, merged)) + 17;
    const [main, more] = labelOf(n);
    const room = (wide ? box[1] - 8 : width - 2) - text;
    const oneLine = `${main}  ${more}`.length * CHAR <= room;
    const lines = oneLine ? [] : wrap(more, room);
    const site = n.sites.filter((s) => /^resid|^embed|_branch$|final_norm/.test(s)).join(', ');
    const height = kind === 'sum' ? Math.max(20, LINE * (1 + lines.length)) : 8 + LINE * (1 + lines.length);
    const fork = begins ? y + 3 : null;
    if (begins) y += FORK;
    const row = { n, i, kind, main, more: oneLine ? more : '', lines, site, fork, top: y, bottom: y + height, middle: kind === 'sum' ? y + 10 : y + height / 2,
      box, text, wide, from };
    y += height + GAP;
    return row;
  });
}

/* The line of a value from where it is made to where it is read last, and its turns into other lanes. */
function wires(part, rows, bottom) {
  const out = [];
  const start = (v) => (v.n ? (v.kind === 'sum' ? v.middle : v.bottom) : 15);
  const values = [...part.streams.map((s) => ({ s, lane: s.lane, until: s.until, main: true })),
    ...rows.map((r) => ({ ...r, lane: r.n.lane, until: r.n.until, main: r.n.lane < Math.max(1, part.streams.length) && (r.n.until === null || part.streams.length > 0) }))];
  for (const v of values) {
    const last = v.until === null ? null : rows[v.until];
    if (last && v.n && v.until <= v.i) continue;
    const stays = last && last.n.lane === v.lane;
    const end = last === null ? bottom : stays ? (last.kind === 'sum' ? last.middle : last.top) : last.fork !== null ? last.fork : last.middle - 9;
    out.push(svg('path', { class: `wire${v.main ? ' main' : ''}`, d: `M${x(v.lane)},${start(v)}V${end}` }));
  }
  for (const r of rows) {
    const own = x(r.n.lane);
    const turns = [];
    for (const lane of new Set(r.from.map((s) => s.lane))) {
      if (lane === r.n.lane) continue;
      const ends = r.from.some((s) => s.lane === lane && s.until === r.i);
      const to = lane < r.n.lane ? -1 : 1;
      const away = -to * 5;
      if (r.fork !== null) {
        turns.push({ joint: [x(lane), r.fork], from: `M${x(lane)}`, halo: `M${x(lane) + away}`, d: `,${r.fork}H${own - 9}Q${own},${r.fork} ${own},${r.fork + 9}V${r.top}` });
      } else if (ends) {
        turns.push({ from: `M${x(lane)}`, halo: `M${x(lane)}`, d: `,${r.middle - 9}Q${x(lane)},${r.middle} ${x(lane) - to * 9},${r.middle}H${own + to * 10}` });
      } else {
        turns.push({ joint: [x(lane), r.middle], from: `M${x(lane)}`, halo: `M${x(lane) + away}`, d: `,${r.middle}H${own + to * 10}` });
      }
    }
    out.push(turns.map((t) => svg('path', { class: 'wire halo', d: t.halo + t.d })), turns.map((t) => svg('path', { class: 'wire', d: t.from + t.d })),
      turns.flatMap(({ joint }) => (joint ? [svg('circle', { class: 'joint', cx: joint[0], cy: joint[1], r: 3.2 })] : [])));
  }
  return out;
}

function label(r) {
  const first = r.kind === 'sum' ? r.middle + 4 : r.top + LINE;
  return svg('text', { x: r.text, y: first, class: 'node-text' },
    svg('tspan', { class: 'node-main', text: r.main }),
    r.more ? svg('tspan', { class: 'node-more', dx: 7, text: r.more }) : null,
    r.lines.map((line) => svg('tspan', { class: 'node-more', x: r.text, dy: LINE, text: line })));
}

function shape(r) {
  if (r.kind === 'sum') {
    const own = x(r.n.lane);
    return [svg('circle', { class: 'sum', cx: own, cy: r.middle, r: 9 }),
      svg('path', { class: 'plus', d: `M${own - 5},${r.middle}h10M${own},${r.middle - 5}v10` })];
  }
  return svg('rect', { class: `node ${r.kind}`, x: r.box[0], y: r.top, width: r.box[1] - r.box[0], height: r.bottom - r.top, rx: 4 });
}

function streamNames(part) {
  return part.streams.map((s, i) => svg('text', { class: 'stream-name', x: x(s.lane) + (i ? 6 : 0), y: 11, 'text-anchor': i ? 'start' : 'middle', text: s.name }));
}

function partPicture(part, width, title, isLast) {
  const rows = layout(part, width);
  const bottom = rows.length ? rows[rows.length - 1].bottom + (isLast ? 4 : 22) : 30;
  const sites = rows.filter((r) => r.site && r.kind === 'sum').map((r) => svg('text', { class: 'node-site', x: width - 2, y: r.middle + 4, 'text-anchor': 'end', text: r.site }));
  return svg('svg', { class: 'network', role: 'img', width, height: bottom, viewBox: `0 0 ${width} ${bottom}`,
    'aria-label': `${title}: ${rows.map((r) => r.main).join(', ')}` },
  wires(part, rows, bottom), rows.map(shape), rows.map(label), sites, streamNames(part));
}

/* The same in words: what each node is, and which earlier ones it reads. */
function words(part) {
  const name = (i) => (i.node === undefined ? part.streams[i.stream].name : `step ${i.node + 1}`);
  return h('ol', { class: 'steps' }, part.nodes.map((n) => {
    const [main, more] = labelOf(n);
    const reads = n.inputs.map((i) => `${name(i)}${i.part ? ` (${short(i.part)})` : ''}`).join(' and ');
    return h('li', {}, h('strong', { text: main }), more ? ` ${more}` : '', reads ? `, reads ${reads}` : '',
      n.sites.length ? h('span', { class: 'faint', text: `; measured as ${n.sites.join(', ')}` }) : null);
  }));
}

/* The whole network; width in pixels. */
export function networkView(drawing, width) {
  const parts = drawing.parts.map((part, i) => {
    const title = titleOf(part, drawing.depth);
    return { title, part, picture: partPicture(part, width, title, i === drawing.parts.length - 1) };
  });
  const cells = parts.map((p) => h('figure', { class: 'network-part' }, h('figcaption', { text: p.title }), p.picture));
  return h('div', { class: 'network-box' },
    h('div', {}, cells.slice(0, 2)), cells.slice(2).map((c) => h('div', {}, c)),
    h('details', { class: 'in-words' }, h('summary', { text: 'The same in words' }), parts.map((p) => [h('h3', { text: p.title }), words(p.part)])));
}
