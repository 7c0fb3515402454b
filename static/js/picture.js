/* The one picture: a measured quantity over depth, a line per arm, a band over seeds. What is shown
 * is chosen in picture_controls.js and kept in the address. */

import { h, clear } from './dom.js';
import { arm as armOf, get, records, registry } from './api.js';
import { decode, direction } from './format.js';
import { armsOf, keyOf, styles } from './arms.js';
import { figure } from './figure.js';
import { leftOut } from './left_out.js';
import { relate } from './relate.js';
import { ending } from './runs.js';

/* Where numbers leave a format: the largest one, and half the smallest, below which they become zero. */
const LIMITS = {
  forward: [{ y: 65504, above: true, label: 'fp16 largest number, 65504 (fp8 E5M2: 57344)' }, { y: 448, above: true, label: 'fp8 E4M3 largest number, 448' }],
  gradient: [{ y: 2 ** -25, above: false, label: 'fp16 flushes to zero below 2⁻²⁵' }, { y: 2 ** -17, above: false, label: 'fp8 E5M2 flushes to zero below 2⁻¹⁷' }],
};

/* Metrics in the unit of the tensor itself, for which a limit of the number format says something. */
function limitsFor(metric) {
  if (/^(max_abs|rms|token_rms_(min|median|max))$/.test(metric)) return LIMITS.forward;
  if (/^(grad_rms|grad_max_abs)$/.test(metric)) return LIMITS.gradient;
  return [];
}

/* What the address asks for, filled with what this job has. */
export function choice(query, job, metrics, scalars = new Set()) {
  const measure = job.resolved?.measure || job.resolved?.base?.measure || {};
  const measured = new Set(measure.metrics || metrics.map((m) => m.name));
  const list = metrics.filter((m) => measured.has(m.name) && m.group !== 'fit' && !scalars.has(m.name));
  const name = query.get('metric') || (measured.has('var') ? 'var' : list[0]?.name) || 'var';
  const metric = metrics.find((m) => m.name === name) || { name, group: '', scale: 'linear', unit: '1', summary: '' };
  const usual = metric.usual_site || 'resid_out';
  const steps = measure.steps || [];
  const step = query.has('step') ? Number(query.get('step')) : undefined; /* the last that has results */
  return { metric, metrics: list, site: query.get('site') || usual, sites: measure.sites || [], steps, step,
    param: query.get('param') || '', log: query.get('y') ? query.get('y') === 'log' : metric.scale === 'log',
    relative: query.get('x') === 'share', band: query.get('band') !== '0', ref: query.get('ref') || '',
    table: query.get('table') === '1', hide: query.get('hide') };
}

/* {arms: [{arm, key, label, points}], params, param}. A parameter metric has one row per tensor; which
 * tensors there are is asked first, and the picture shows one of them. */
export async function load(job, c, available, signal) {
  const params = c.metric.group === 'parameter' ? available?.params || [] : [];
  const param = params.includes(c.param) ? c.param : params.find((p) => /attn\.o\.weight/.test(p)) || params[0] || '';
  const body = await get(`jobs/${job.id}/chart`,
    { metric: c.metric.name, site: c.site, step: c.step, param }, signal);
  const arms = body.arms.map((a) => ({ arm: a.arm, key: keyOf(a.arm), label: a.label, points: a.points.map((p, i) => {
    const y = decode(p.mean);
    const predicted = decode(a.predicted?.[i]);
    return { predicted: Number.isFinite(predicted) ? predicted : null, x: p.layer, y: Number.isFinite(y) ? y : null, lo: decode(p.min), hi: decode(p.max), n: p.n, bad: p.nonfinite || 0 };
  }) }));
  await explain(job, body, arms, signal);
  return { arms, params, param, steps: body.steps || [], step: body.step };
}

/* Points that lack a finite value get the reasons that the database has for them, {NAN: 3}; not for
 * very large jobs, where the whole series would have to be read. */
async function explain(job, chart, arms, signal) {
  const lacking = arms.filter((a) => a.points.some((p) => p.bad));
  const rows = arms.reduce((sum, a) => sum + a.points.reduce((n, p) => n + p.n + p.bad, 0), 0);
  if (!lacking.length || rows > 30000) return;
  const table = await get(`jobs/${job.id}/series`,
    { metric: chart.metric.name, site: chart.site, step: chart.step, param: chart.param }, signal);
  const points = new Map(arms.flatMap((a) => a.points.map((p) => [`${a.key} ${p.x}`, p])));
  for (const row of records(table)) {
    const p = row.reason && points.get(`${keyOf(armOf(row.arm))} ${row.layer}`);
    if (!p) continue;
    p.reasons ||= {};
    p.reasons[row.reason] = (p.reasons[row.reason] || 0) + 1;
  }
}

/* Metrics that are one number of the run as a whole: no curve to draw. Asked once a run has finished. */
const scalarsKnown = new Map();
export async function scalarsOf(runs) {
  const run = runs.find((r) => r.state === 'done');
  if (!run) return new Set();
  if (!scalarsKnown.has(run.id)) {
    const rows = [...records(await get(`runs/${run.id}/series`, { site: 'run' }))];
    const layered = new Set(rows.filter((r) => r.layer >= 0).map((r) => r.metric));
    scalarsKnown.set(run.id, new Set(rows.map((r) => r.metric).filter((m) => !layered.has(m))));
  }
  return scalarsKnown.get(run.id);
}

/* Where nobody has chosen a site, one that the metric has numbers for. */
export function settle(c, query, available) {
  if (!query.get('site') && available?.sites.length && !available.sites.includes(c.site)) [c.site] = available.sites;
  return c;
}

/* What one metric has numbers for, {sites, params}, asked of one finished run at its first block; null
 * while no run has finished. */
const known = new Map();
export async function availability(job, runs, metric) {
  const run = runs.find((r) => r.state === 'done');
  if (!run) return null;
  const key = `${job.id} ${metric}`;
  if (!known.has(key)) {
    const table = await get(`runs/${run.id}/series`, { metric, layer: 1 });
    const column = (name) => [...new Set(table.rows.map((r) => r[table.columns.indexOf(name)]))].filter(Boolean);
    known.set(key, { sites: column('site'), params: column('param') });
  }
  return known.get(key);
}

function layerName(layer, depth) {
  if (layer === 0) return 'layer 0, embedding';
  return depth && layer === depth + 1 ? `layer ${layer}, after the last block` : `layer ${layer}`;
}

const depthOf = (runs, key) => runs.find((r) => keyOf(r.arm) === key)?.depth;

/* Where runs of an arm met the first non-finite value: marked above the line, said in the text. */
function flagsOf(runs, key) {
  return runs.filter((r) => r.diverged && r.diverged_layer >= 0 && keyOf(r.arm) === key)
    .map((r) => ({ x: r.diverged_layer, text: `seed ${r.seed} ${ending(r)}` }));
}

function toLines(data, c, runs) {
  const labels = new Map(armsOf(runs).map((a) => [a.key, a.label]));
  const look = styles(data.arms.map((a) => a.arm), data.arms.map((a) => labels.get(a.key) ?? a.label));
  return data.arms.map((a, i) => {
    const depth = depthOf(runs, a.key);
    const place = (layer) => (c.relative && depth ? Number((layer / depth).toFixed(5)) : layer);
    const points = a.points.map((p) => ({ ...p, x: place(p.x), name: c.relative ? `layer / depth ${place(p.x)}` : layerName(p.x, depth),
      label: c.relative ? String(place(p.x)) : String(p.x) }));
    return { ...look[i], key: a.key, points, flags: flagsOf(runs, a.key).map((f) => ({ ...f, x: place(f.x) }))
      .filter((f) => points.some((p) => p.x === f.x)) };
  });
}

export function hiddenKeys(text, lines) {
  if (text === null) return null;
  const out = new Set();
  for (const i of text.split('.').filter(Boolean).map(Number)) if (lines[i]) out.add(lines[i].key);
  return out;
}

export function hiddenText(hidden, lines) {
  const list = lines.map((l, i) => (hidden.has(l.key) ? i : -1)).filter((i) => i >= 0);
  if (!list.length) return lines.length > 24 ? '.' : null;
  return list.join('.');
}

function missing(lines, runs, c) {
  const notes = [];
  if (!lines.some((l) => l.points.length)) {
    notes.push(runs.some((r) => r.state === 'done')
      ? `Nothing was measured for ${c.metric.name} at ${c.site}, step ${c.step}. Choose another site or step.`
      : 'No run has finished yet; the picture appears with the first one.');
  }
  const same = new Map();
  for (const r of runs.filter((q) => q.diverged)) {
    const label = lines.find((l) => l.key === keyOf(r.arm))?.label ?? '';
    const where = ending(r);
    if (!same.has(label + where)) same.set(label + where, { label, where, seeds: [] });
    same.get(label + where).seeds.push(r.seed);
  }
  for (const { label, where, seeds } of same.values()) {
    notes.push(`${label}: ${seeds.length > 1 ? 'seeds' : 'seed'} ${seeds.join(', ')} ${where}.`);
  }
  return notes.length > 7 ? [...notes.slice(0, 6), `And ${notes.length - 6} more, in the table of runs.`] : notes;
}

function theoryNote(lines) {
  const has = lines.some((l) => l.points.some((p) => typeof p.predicted === 'number'));
  return has ? ['Dots: what theory predicts from the description alone, before anything is measured.'] : [];
}

/* The spec of the plot for a choice; also returns the lines before the comparison, for the controls. */
export function specOf(data, c, job, runs) {
  const lines = toLines(data, c, runs);
  const related = relate(lines, c.ref, c.metric.scale === 'log');
  const unit = c.metric.unit && c.metric.unit !== '1' ? ` (${c.metric.unit})` : '';
  const what = `${c.metric.name}${data.param ? ` of ${data.param}` : ` at ${c.site}`}`;
  const title = `${what}${related.text}${c.step === undefined ? '' : `, step ${c.step}`}`;
  return { lines, spec: {
    title, subtitle: [job.name || `job ${job.id}`, `hash ${String(job.hash).slice(0, 12)}`].join(' · '),
    file: `normscope-job-${job.id}-${c.metric.name}-${data.param || c.site}-step-${c.step ?? 0}`,
    x: { label: c.relative ? 'layer / depth' : 'layer', name: c.relative ? 'layer / depth' : 'layer', integer: !c.relative },
    y: { label: `${c.metric.name}${related.text}${unit}`, log: c.log },
    average: c.metric.scale === 'log' ? 'geometric mean' : 'mean',
    lines: related.lines, limits: related.active ? [] : limitsFor(c.metric.name), band: c.band,
    notes: [...theoryNote(related.lines), ...related.notes, ...leftOut(related.lines, c.log), ...missing(lines, runs, c)],
  } };
}

export function definition(metric) {
  const parts = [metric.unit && metric.unit !== '1' ? `unit: ${metric.unit}` : '', direction(metric.direction),
    metric.source ? `source: ${metric.source}` : ''].filter(Boolean);
  return h('p', { class: 'definition' }, h('strong', { text: metric.name }), `: ${metric.summary}`,
    parts.length ? h('span', { class: 'faint', text: ` (${parts.join('; ')})` }) : null);
}

/* The small picture of a job for the first page: default choice, no controls. */
export async function smallPicture(box, job, signal) {
  const [metrics, { runs }] = await Promise.all([registry('metrics'), get(`jobs/${job.id}/runs`, {}, signal)]);
  const c = choice(new URLSearchParams(), job, metrics, await scalarsOf(runs));
  const available = await availability(job, runs, c.metric.name);
  const data = await load(job, settle(c, new URLSearchParams(), available), available, signal);
  c.step ??= data.step;
  const { spec } = specOf(data, c, job, runs);
  const state = { hidden: null };
  const fig = figure({ name: `small-${job.id}`, compact: true, height: 0.62,
    onState: ({ hidden }) => { state.hidden = hidden; fig.show(spec, state); } });
  clear(box).append(definition(c.metric), fig.root);
  fig.show(spec, state);
  return fig;
}
