/* Growth per arm: the measured laws over depth (metric group "fit"), one row per arm. */

import { h, clear, scrollBox } from './dom.js';
import { get, records, arm as armOf } from './api.js';
import { cell, decode, number, reasonText } from './format.js';
import { armsOf, keyOf, styles } from './arms.js';
import { average } from './aggregate.js';
import { swatch } from './swatch.js';

const LAWS = ['flat', 'linear', 'exponential', 'power'];
const METRICS = ['var_growth', 'var_growth_law', 'var_growth_r2_linear', 'var_growth_r2_exponential', 'var_growth_r2_power',
  'grad_growth', 'grad_growth_law', 'grad_growth_r2_linear', 'grad_growth_r2_exponential', 'grad_growth_r2_power',
  'angle_exponent', 'fp16_overflow_layer', 'fp16_grad_flush_layer'];

function collect(table) {
  const arms = new Map();
  for (const row of records(table)) {
    const key = keyOf(armOf(row.arm));
    if (!arms.has(key)) arms.set(key, {});
    (arms.get(key)[row.metric] ||= []).push({ value: decode(row.value), reason: row.reason });
  }
  return arms;
}

const finite = (list) => (list || []).map((v) => v.value).filter((v) => typeof v === 'number' && Number.isFinite(v));

function slope(list) {
  const values = finite(list);
  const lost = (list || []).length - values.length;
  if (!values.length) return h('td', { class: 'num faint', text: list?.length ? reasonText(list[0].reason) : '–' });
  const [lo, hi] = [Math.min(...values), Math.max(...values)];
  return h('td', { class: 'num' }, cell(average(values), 3),
    h('span', { class: 'range', text: values.length > 1 ? `${cell(lo, 2)} … ${cell(hi, 2)}` : '' }),
    lost ? h('span', { class: 'range warn', text: `${lost} undefined` }) : null);
}

/* The law most seeds agree on, with its R^2 and how many agree. */
function law(measured, of) {
  const votes = finite(measured[`${of}_law`]);
  if (!votes.length) return h('td', { class: 'faint', text: '–' });
  const tally = LAWS.map((_, i) => votes.filter((v) => v === i).length);
  const best = tally.indexOf(Math.max(...tally));
  const r2 = best ? average(finite(measured[`${of}_r2_${LAWS[best]}`])) : null;
  const parts = [tally[best] < votes.length ? `${tally[best]} of ${votes.length} seeds` : '', r2 === null ? '' : `R² ${number(r2, 3)}`].filter(Boolean);
  return h('td', {}, LAWS[best], parts.length ? h('span', { class: 'range', text: parts.join(', ') }) : null);
}

function firstLayer(list) {
  if (!list?.length) return h('td', { class: 'num faint', text: '–' });
  const values = finite(list);
  if (!values.length) return h('td', { class: 'num faint', text: list.every((v) => v.reason === 'ABSENT') ? 'nowhere' : 'undefined' });
  const [lo, hi] = [Math.min(...values), Math.max(...values)];
  return h('td', { class: 'num warn', text: `layer ${lo === hi ? lo : `${lo}–${hi}`}${values.length < list.length ? ` (${values.length} of ${list.length} seeds)` : ''}` });
}

/* A column is there when some arm has its first metric. */
const COLUMNS = [
  { head: 'ln var per block', of: 'var_growth', num: true, cell: (m) => slope(m.var_growth) },
  { head: 'law of var', of: 'var_growth', cell: (m) => law(m, 'var_growth') },
  { head: 'ln ‖grad‖ per block', of: 'grad_growth', num: true, cell: (m) => slope(m.grad_growth) },
  { head: 'law of ‖grad‖', of: 'grad_growth', cell: (m) => law(m, 'grad_growth') },
  { head: 'ln (1 − token corr) per block', of: 'angle_exponent', num: true, cell: (m) => slope(m.angle_exponent) },
  { head: 'stream leaves fp16', of: 'fp16_overflow_layer', num: true, cell: (m) => firstLayer(m.fp16_overflow_layer) },
  { head: 'gradient flushed in fp16', of: 'fp16_grad_flush_layer', num: true, cell: (m) => firstLayer(m.fp16_grad_flush_layer) },
];

export function growthPanel() {
  const box = h('div');
  const root = h('section', { class: 'card', hidden: true, 'aria-labelledby': 'growth-title' },
    h('h2', { id: 'growth-title', text: 'Growth per arm' }), box,
    h('p', { class: 'definition', text: 'Least-squares slope over the blocks at resid_out; below it the smallest … largest over seeds. A negative gradient slope means that the gradient grows toward the input. The law is the one of flat, linear, exponential and power with the largest R².' }));
  let loaded = '';
  return {
    root,
    async update(job, runs, step) {
      const done = runs.filter((r) => r.state === 'done').length;
      const key = `${job.id} ${done} ${step}`;
      if (key === loaded) return;
      loaded = key;
      const arms = collect(await get(`jobs/${job.id}/series`, { metric: METRICS.join(','), site: 'run', step }));
      const all = armsOf(runs);
      const look = styles(all.map((a) => a.arm), all.map((a) => a.label)).filter((s) => arms.has(s.key));
      root.hidden = !look.length;
      const columns = COLUMNS.filter((c) => look.some((s) => arms.get(s.key)[c.of]));
      const rows = look.map((s) => {
        const m = arms.get(s.key);
        return h('tr', {}, h('th', { scope: 'row' }, swatch(s), ' ', s.label), columns.map((c) => c.cell(m)));
      });
      const table = h('table', { class: 'data growth' }, h('caption', { text: `Measured after step ${step ?? 0}` }),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col', text: 'Arm' }),
          columns.map((c) => h('th', { scope: 'col', class: c.num ? 'num' : null, text: c.head })))),
        h('tbody', {}, rows));
      clear(box).append(scrollBox(table, 'Growth per arm'));
    },
  };
}
