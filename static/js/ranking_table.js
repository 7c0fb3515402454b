/* The ranked arms as a table, sorted by any column. */

import { h, scrollBox, button } from './dom.js';
import { cell, number, reasonText, si } from './format.js';
import { SIZES } from './ranking_data.js';
import { swatch } from './swatch.js';

export const confounded = (metric) => /size-confounded/.test(metric.summary);

export const sizeChip = () => h('span', { class: 'chip', title: 'Most of what this number knows is the size of the network', text: 'size-confounded' });

/** Columns that are there whatever was measured: key, head, title, value of an arm, as text.
 * @returns {{key: string, head: string, title: string, value: (arm: any) => any, text: (v: any) => string}[]} */
function fixed(data, shown) {
  const robot = data.method === 'robot';
  const columns = !data.ranked ? [] : [
    { key: 'rank', head: 'Rank', title: robot ? 'by the weighted sum, more is better' : 'by the mean rank, less is better', value: (a) => a.rank, text: number },
    { key: 'score', head: robot ? 'Weighted sum' : 'Mean rank', title: robot ? 'weights times values scaled to 0 … 1 over the arms' : 'Borda: the mean of the ranks by each term',
      value: (a) => a.score, text: (v) => cell(v, 3) }];
  const has = (name) => shown.some((m) => m.name === name);
  if (!has('param_count')) columns.push({ key: 'parameters', head: 'Parameters', title: 'of the network', value: (a) => a.parameters, text: (v) => si(v) });
  if (!has('pass_flops')) columns.push({ key: 'flops', head: 'FLOPs', title: 'of the whole run', value: (a) => a.flops, text: (v) => si(v) });
  if (data.arms.some((a) => a.loss !== null)) {
    columns.push({ key: 'loss', head: 'Final loss', title: 'mean over seeds, where the job has trained; less is better', value: (a) => a.loss, text: (v) => cell(v, 4) });
  }
  return columns;
}

const meanOf = (name) => (a) => a.cells.get(name)?.mean ?? null;

/* The way up that a reader wants first: the best on top. */
const best = (data, key) => (key === 'score' ? (data.method === 'robot' ? 'down' : 'up')
  : data.columns.find((m) => m.name === key)?.direction === 'higher' ? 'down' : 'up');

function sorted(data, columns, sort) {
  const column = columns.find((c) => c.key === sort.key);
  if (!column) return data.arms;
  const sign = sort.way === 'down' ? -1 : 1;
  const value = (a) => {
    const v = column.value(a);
    return typeof v === 'number' && Number.isFinite(v) ? v : null;
  };
  return [...data.arms].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    return sign * (x - y) || (a.rank ?? 0) - (b.rank ?? 0);
  });
}

/* "score-down" of the address; by rank where there is no such column. */
export function parseSort(text, data, shown) {
  const [, key, way] = /^(\w+?)(?:-(up|down))?$/.exec(text || '') || [];
  const known = [...fixed(data, shown).map((c) => c.key), ...shown.map((m) => m.name)].includes(key);
  return known ? { key, way: way || best(data, key) } : { key: 'rank', way: 'up' };
}

function head(column, data, sort, onSort) {
  const on = sort.key === column.key;
  const next = on ? (sort.way === 'up' ? 'down' : 'up') : best(data, column.key);
  return h('th', { scope: 'col', class: 'num', 'aria-sort': on ? (sort.way === 'up' ? 'ascending' : 'descending') : null },
    button([column.head, h('span', { class: 'sort-mark', 'aria-hidden': 'true', text: on ? (sort.way === 'up' ? '▲' : '▼') : '' })],
      () => onSort(`${column.key}-${next}`), { class: 'sort', title: column.title, 'data-sort': column.key }),
    column.below ? h('span', { class: 'below' }, column.below) : null);
}

function valueCell(c, arms, metric) {
  if (!c) return h('td', { class: 'num faint', text: '–' });
  const place = typeof c.scaled === 'number' ? `scaled ${number(c.scaled, 3)}` : c.rank ? `rank ${number(c.rank, 3)} of ${arms}` : '';
  const rank = place ? h('span', { class: 'range', text: place }) : null;
  if (!Number.isFinite(c.mean)) return h('td', { class: 'num' }, h('span', { class: 'lacking warn', text: reasonText(c.reason) }), rank);
  return h('td', { class: 'num', title: String(c.mean) }, SIZES.includes(metric.name) ? si(c.mean) : cell(c.mean), c.std > 0 ? h('span', { class: 'range', text: `± ${number(c.std, 2)}` }) : null,
    rank);
}

const plain = (column, a) => {
  const v = column.value(a);
  return h('td', { class: 'num', title: typeof v === 'number' ? String(v) : null, text: column.text(v ?? null) });
};

/* How far each number can be believed: Kendall's tau with the final losses. */
function agreement(data, columns, shown) {
  const of = (m) => data.taus.get(m.name);
  if (!data.columns.some((m) => typeof of(m) === 'number')) return null;
  return h('tfoot', {}, h('tr', {}, h('th', { scope: 'row', title: 'Kendall\'s tau with the final losses: 1, it ranks as training does; −1, the other way round', text: 'Agrees with the final loss (τ)' }),
    columns.map(() => h('td')), shown.map((m) => h('td', { class: 'num', text: typeof of(m) === 'number' ? number(of(m), 2) : '' }))));
}

/* shown: registry rows that are columns. */
export function rankingTable(data, shown, sort, onSort) {
  const columns = fixed(data, shown);
  const metrics = shown.map((m) => ({ key: m.name, head: m.name, title: m.summary, value: meanOf(m.name), below: confounded(m) ? sizeChip() : null }));
  const rows = sorted(data, [...columns, ...metrics], sort);
  return scrollBox(h('table', { class: 'data pinned ranking' }, h('caption', { class: 'visually-hidden', text: 'Arms ranked by the initial network' }),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col', text: 'Arm' }), [...columns, ...metrics].map((c) => head(c, data, sort, onSort)))),
    h('tbody', {}, rows.map((a) => h('tr', {}, h('th', { scope: 'row' }, a.look ? swatch(a.look) : null, ' ', a.label),
      columns.map((c) => plain(c, a)), shown.map((m) => valueCell(a.cells.get(m.name), data.arms.length, m))))),
    agreement(data, columns, shown)), 'Ranking of the arms');
}
