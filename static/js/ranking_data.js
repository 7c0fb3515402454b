/* What the ranking of a job is made of: the arms as the server ranked them, and beside its terms every
 * other metric of the initial network that the job has measured. */

import { arm as armOf, get, records } from './api.js';
import { decode } from './format.js';
import { average } from './aggregate.js';
import { armsOf, keyOf, styles } from './arms.js';

/* What most of the others are confounded with: these stand first. */
export const SIZES = ['param_count', 'pass_flops'];

/* Metrics of the group proxy that the job measures, rows of the registry. */
export function proxiesOf(job, metrics) {
  const measure = job.resolved?.measure || job.resolved?.base?.measure || {};
  const named = new Set(measure.metrics || []);
  return metrics.filter((m) => m.group === 'proxy' && named.has(m.name));
}

function deviation(values) {
  if (values.length < 2) return null;
  const mean = average(values);
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1));
}

/* Place among all: 1 is the best, equal ones share the mean of their places, undefined ones come last;
 * none where the registry gives no direction. */
function rankAll(arms, metric) {
  if (metric.direction !== 'higher' && metric.direction !== 'lower') return;
  const sign = metric.direction === 'higher' ? -1 : 1;
  const value = (arm) => {
    const { mean } = arm.cells.get(metric.name) || {};
    return Number.isFinite(mean) ? sign * mean : Infinity;
  };
  const all = arms.map(value);
  for (const arm of arms) {
    const cell = arm.cells.get(metric.name);
    const mine = value(arm);
    if (cell) cell.rank = 1 + all.filter((v) => v < mine).length + (all.filter((v) => v === mine).length - 1) / 2;
  }
}

/* Adds what the server's terms do not have: means over seeds of the values of the whole network. */
function addProxies(arms, table, metrics) {
  const found = new Map();
  for (const row of records(table)) {
    if (row.layer !== -1) continue;
    const key = `${keyOf(armOf(row.arm))} ${row.metric}`;
    if (!found.has(key)) found.set(key, []);
    found.get(key).push({ value: decode(row.value), reason: row.reason });
  }
  for (const metric of metrics) {
    for (const arm of arms) {
      const list = found.get(`${arm.key} ${metric.name}`);
      if (!list) continue;
      const reason = list.find((v) => v.reason)?.reason;
      if (arm.cells.has(metric.name)) {
        arm.cells.get(metric.name).reason = reason;
        continue;
      }
      const values = list.map((v) => v.value).filter(Number.isFinite);
      arm.cells.set(metric.name, { mean: average(values), std: deviation(values), seeds: values.length, reason });
    }
    if (!arms.some((a) => a.cells.get(metric.name)?.rank)) rankAll(arms, metric);
  }
}

/* An arm that the service has not ranked, since none of its terms was measured. */
const unranked = (arm, runs) => ({ arm, rank: null, score: null, final_loss: null, values: [],
  runs: runs.filter((r) => r.state === 'done' && keyOf(r.arm) === keyOf(arm)).length });

function armOfAnswer(a, looks, runs) {
  const key = keyOf(a.arm);
  const run = runs.find((r) => keyOf(r.arm) === key);
  const cells = new Map(a.values.map((v) => [v.metric, { mean: decode(v.mean), std: decode(v.std), seeds: v.seeds, rank: v.rank, scaled: v.scaled }]));
  return { key, look: looks.get(key), label: looks.get(key)?.label ?? key, rank: a.rank, score: decode(a.score), seeds: a.runs,
    loss: decode(a.final_loss), parameters: run?.parameters, flops: run?.flops, cells };
}

/* {method, ranked, note, terms: Map(metric -> term), columns: [registry row], arms} */
export async function loadRanking(job, runs, metrics, weights) {
  const proxies = proxiesOf(job, metrics);
  const [answer, table] = await Promise.all([get(`jobs/${job.id}/ranking`, { weights }),
    get(`jobs/${job.id}/series`, { metric: proxies.map((m) => m.name).join(','), site: 'run', step: 0, layer: -1 })]);
  const all = armsOf(runs);
  const looks = new Map(styles(all.map((a) => a.arm), all.map((a) => a.label)).map((s) => [s.key, s]));
  const ranked = answer.arms.length > 0;
  const listed = ranked ? answer.arms : all.map((a) => unranked(a.arm, runs)).filter((a) => a.runs);
  const arms = listed.map((a) => armOfAnswer(a, looks, runs));
  addProxies(arms, table, proxies);
  const terms = new Map(answer.terms.filter((t) => t.measured).map((t) => [t.metric, t]));
  const named = [...terms.keys(), ...proxies.map((m) => m.name)].filter((name) => arms.some((a) => a.cells.has(name)));
  const columns = [...new Set([...SIZES.filter((name) => named.includes(name)), ...named])].map((name) => metrics.find((m) => m.name === name)).filter(Boolean);
  const names = answer.terms.map((t) => t.metric).join(', ');
  const note = ranked || !columns.length ? answer.note : `none of the terms of the ranking was measured (${names}), so the arms are in no order`;
  return { method: answer.method, ranked, note, terms, columns, arms: columns.length ? arms : [] };
}
