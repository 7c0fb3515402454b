/* What the ranking of a job is made of: the arms and all numbers as the server ranked them, with how
 * each arm looks. */

import { get } from './api.js';
import { decode } from './format.js';
import { armsOf, keyOf, styles } from './arms.js';

/* What most of the others are confounded with: these stand first. */
export const SIZES = ['param_count', 'pass_flops'];

/* Metrics of the group proxy that the job measures, rows of the registry. */
export function proxiesOf(job, metrics) {
  const measure = job.resolved?.measure || job.resolved?.base?.measure || {};
  const named = new Set(measure.metrics || []);
  return metrics.filter((m) => m.group === 'proxy' && named.has(m.name));
}

function armOfAnswer(a, looks) {
  const key = keyOf(a.arm);
  const cells = new Map(a.values.map((v) => [v.metric, { ...v, mean: decode(v.mean), std: decode(v.std) }]));
  return { key, look: looks.get(key), label: looks.get(key)?.label ?? key, rank: a.rank, score: decode(a.score),
    loss: decode(a.final_loss), parameters: a.parameters, flops: a.flops, cells };
}

/* {method, ranked, note, terms: Map(metric -> what counts), taus: Map(metric -> tau), columns: [registry row], arms} */
export async function loadRanking(job, runs, metrics, weights) {
  const answer = await get(`jobs/${job.id}/ranking`, { weights });
  const all = armsOf(runs);
  const looks = new Map(styles(all.map((a) => a.arm), all.map((a) => a.label)).map((s) => [s.key, s]));
  const measured = answer.terms.filter((t) => t.measured);
  const named = [...measured, ...answer.others].map((t) => t.metric);
  const names = [...SIZES.filter((name) => named.includes(name)), ...named.filter((name) => !SIZES.includes(name))];
  return { method: answer.method, ranked: measured.length > 0, note: answer.note, terms: new Map(measured.map((t) => [t.metric, t])),
    taus: new Map([...measured, ...answer.others].map((t) => [t.metric, t.tau])),
    columns: names.map((name) => metrics.find((m) => m.name === name)).filter(Boolean),
    arms: answer.arms.map((a) => armOfAnswer(a, looks)) };
}
