/* Rows of the API (one per run, seed and position) as lines: mean and min..max over seeds per arm. */

import { arm as armOf, records } from './api.js';
import { decode } from './format.js';
import { keyOf } from './arms.js';

/* Mean of the finite values; geometric when asked and all are positive, as on a log axis. */
export function average(values, geometric) {
  if (!values.length) return null;
  if (geometric && values.every((v) => v > 0)) {
    return Math.exp(values.reduce((a, v) => a + Math.log(v), 0) / values.length);
  }
  return values.reduce((a, v) => a + v, 0) / values.length;
}

/* {columns, rows} grouped to [{arm, key, points: [{x, y, lo, hi, n, bad}]}]; x and y name columns. */
export function byArm(table, x, y, geometric) {
  const arms = new Map();
  for (const row of records(table)) {
    const arm = armOf(row.arm);
    const key = keyOf(arm);
    if (!arms.has(key)) arms.set(key, { arm, key, at: new Map() });
    const { at } = arms.get(key);
    const where = row[x];
    if (!at.has(where)) at.set(where, []);
    at.get(where).push(decode(row[y]));
  }
  return [...arms.values()].map(({ arm, key, at }) => ({ arm, key,
    points: [...at].sort((a, b) => a[0] - b[0]).map(([where, values]) => point(where, values, geometric)) }));
}

const reasonOf = (v) => (Number.isNaN(v) ? 'NAN' : v > 0 ? 'POS_INF' : 'NEG_INF');

export function point(x, values, geometric) {
  const finite = values.filter((v) => typeof v === 'number' && Number.isFinite(v));
  const bad = values.filter((v) => typeof v === 'number' && !Number.isFinite(v)).length;
  const reasons = {};
  for (const v of values) if (typeof v === 'number' && !Number.isFinite(v)) reasons[reasonOf(v)] = (reasons[reasonOf(v)] || 0) + 1;
  return { x, y: average(finite, geometric), lo: finite.length ? Math.min(...finite) : null,
    hi: finite.length ? Math.max(...finite) : null, n: finite.length, bad, reasons };
}
