/* The coordinate check as it is shown: one row per site and place, its slope after each probed step. */

import { decode } from './format.js';

/* Swept fields that have at least two numbers, "model.d_model": along these a job can be checked. */
export function axesOf(runs) {
  const seen = new Map();
  const note = (path, value) => {
    if (typeof value !== 'number') return;
    if (!seen.has(path)) seen.set(path, new Set());
    seen.get(path).add(value);
  };
  for (const { arm } of runs) {
    for (const [path, value] of Object.entries(arm || {})) {
      note(path, value);
      if (value !== null && typeof value === 'object') for (const [leaf, v] of Object.entries(value)) note(`${path}.${leaf}`, v);
    }
  }
  return [...seen].filter(([, values]) => values.size > 1).map(([path]) => path);
}

/* Does the job measure what is judged? */
export function isChecked(job) {
  const measure = job.resolved?.measure || job.resolved?.base?.measure || {};
  return (measure.metrics || []).includes('delta_mean_abs');
}

/* [{site, at, name, start: slope of mean_abs at step 0, steps: Map(step -> {slope, spread, verdict, judged, values})}],
 * in the order of the network. */
export function sitesOf(arm, judgedBy) {
  const sites = new Map();
  for (const r of arm.rows) {
    const name = `${r.site}, ${r.at}`;
    if (!sites.has(name)) sites.set(name, { site: r.site, at: r.at, name, start: null, steps: new Map() });
    const row = sites.get(name);
    if (r.metric === 'mean_abs' && r.step === 0) row.start = decode(r.slope);
    if (r.metric === judgedBy && r.step > 0) {
      row.steps.set(r.step, { slope: decode(r.slope), spread: decode(r.spread), verdict: r.verdict, judged: r.judged, values: r.values.map(decode) });
    }
  }
  const list = [...sites.values()].filter((s) => s.steps.size);
  for (const s of list) {
    const all = [...s.steps.values()];
    s.verdict = all.some((r) => r.verdict === 'fail') ? 'fail' : all.some((r) => r.verdict === 'pass') ? 'pass' : null;
    s.fallsFreely = all.some((r) => r.judged === 'above');
  }
  return list;
}

/* The site that says most: the one with the steepest slope among those of the worst verdict. */
export function worstOf(sites) {
  const weight = (s) => (s.verdict === 'fail' ? 1e3 : 0) + Math.max(...[...s.steps.values()].map((r) => (Number.isFinite(r.slope) ? Math.abs(r.slope) : 99)));
  return [...sites].sort((a, b) => weight(b) - weight(a))[0];
}
