/* The page that makes a job: a form from the field table, the JSON beside it, the cost before it runs. */

import { h, clear, button } from './dom.js';
import { fields as getFields, gallery as getGallery, get, post, registries as getRegistries, strategies as getStrategies } from './api.js';
import { go, setQuery } from './router.js';
import { control } from './form_fields.js';
import { jobModel } from './form_model.js';
import { corpusPart } from './corpora.js';
import { hfPart } from './hf_file.js';
import { noteList } from './coverage.js';
import { estimateView } from './estimate.js';
import { count } from './format.js';
import { pretty } from './json_view.js';
import { errorNote } from './job_head.js';
import { field } from './picture_controls.js';

const SIMPLE = [['name', 'Name'], ['model.preset', 'Model'], ['model.width_scale', 'Width: 1, or a share of the model\'s'], ['strategy.name', 'Normalization: tick all that are to be compared'],
  ['depth', 'Depth: one, or several separated by commas'], ['seeds', 'Seeds'], ['data.source', 'Input data'],
  ['train.steps', 'Training steps before the last probe']];
const JUDGED = [['find', 'How deep can it be?'], ['expect', 'Rules of your own']];
const HIDDEN = ['sweep', 'data.corpus', 'model.hf_config'];
const GROUPS = { model: 'Model', strategy: 'Normalization', init: 'Initial weights', data: 'Data', train: 'Training', rounding: 'Number formats', measure: 'What is measured' };
const START = { model: 'tiny', data: 'random_tokens', sweep: { strategy: ['post_ln', 'pre_ln', 'peri_ln'], depth: [6, 12, 24] } };

/* A job to begin with: from the address, from another job, or three placements at three depths. */
async function startJob(query, fields) {
  if (query.get('job')) {
    try { return JSON.parse(query.get('job')); } catch { /* a link cut short: begin anew */ }
  }
  if (query.get('from')) {
    const old = await get(`jobs/${encodeURIComponent(query.get('from'))}`);
    return compact(old.request || old.resolved || {}, fields);
  }
  return { ...START, model: query.get('model') || START.model };
}

/* The resolved job without what is the default anyway, so that a person can read it. */
function compact(resolved, fields) {
  const tops = new Set(fields.map((f) => f.path.split('.')[0]));
  const out = {};
  for (const [top, value] of Object.entries(resolved)) {
    if (!tops.has(top)) continue;
    if (value === null || typeof value !== 'object' || Array.isArray(value) || top === 'sweep' || top === 'find') {
      const f = fields.find((q) => q.path === top);
      if (JSON.stringify(f?.default) !== JSON.stringify(value)) out[top] = value;
      continue;
    }
    const rest = Object.entries(value).filter(([leaf, v]) => {
      const f = fields.find((q) => q.path === `${top}.${leaf}`);
      return f && JSON.stringify(f.default) !== JSON.stringify(v);
    });
    if (rest.length) out[top] = Object.fromEntries(rest);
  }
  if (out.sweep && !Object.keys(out.sweep).length) delete out.sweep;
  return out;
}

async function loadTables() {
  const [{ groups, fields }, registries, examples, catalogue] = await Promise.all([getFields(), getRegistries(), getGallery(), getStrategies()]);
  const strategyRows = catalogue.map((s) => ({ name: s.name, summary: s.equation, refused: s.refused }));
  const rows = (kind) => registries.find((r) => r.kind === kind)?.rows || null;
  const rowsOf = (f) => (f.type === 'strategy' ? strategyRows : f.type === 'expect' ? { metrics: rows('metrics'), sites: rows('sites') } : rows(f.choices));
  const shorthands = Object.fromEntries(groups.map((g) => [g.name, g.shorthand]));
  return { fields, groups, rowsOf, shorthands, examples };
}

function makeControls(fields, rowsOf, model, change) {
  const all = new Map();
  const named = (list) => list.flatMap(([path, label]) => {
    const f = fields.find((q) => q.path === path);
    if (!f) return [];
    all.set(path, control(f, rowsOf(f), model, change, { label }));
    return [all.get(path)];
  });
  const simple = named(SIMPLE);
  const judged = named(JUDGED);
  const groups = new Map();
  for (const f of fields) {
    if (all.has(f.path) || HIDDEN.includes(f.path)) continue;
    const c = control(f, rowsOf(f), model, change);
    all.set(f.path, c);
    const group = f.path.includes('.') ? f.path.split('.')[0] : 'other';
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(c);
  }
  const counts = new Map([...groups].map(([group, list]) => [group, h('span', { class: 'faint', text: ` ${count(list.length, 'field')}` })]));
  return { all, simple, judged, groups, counts };
}

/* What a field that the job does not give has become, where all its runs agree. */
function showDefaults(made, resolved) {
  for (const c of made.all.values()) {
    const [group, leaf] = c.path.split('.');
    const value = leaf === undefined ? resolved[group] : resolved[group]?.[leaf];
    if (!c.setDefault || ['name', 'preset'].includes(leaf ?? group)) continue;
    if (value !== undefined) c.setDefault(value === null ? 'null' : String(value));
    else if (group === 'strategy' || group === 'model') c.setDefault(`by the ${group}`);
  }
}

/* Fields that mean nothing to the networks of this job, and that it does not give, are put away, with
 * what they would need. */
function unusedView(made, model) {
  const notes = new Map();
  const boxOf = (group) => {
    if (!notes.has(group)) notes.set(group, h('div', { class: 'unused' }));
    return notes.get(group);
  };
  const show = (unused, job) => {
    const needs = new Map(unused.map((u) => [u.path, u.needs]));
    for (const [group, list] of made.groups) {
      const away = list.filter((c) => needs.has(c.path) && model.read(job, c.path) === undefined && !model.readSweep(job, c.path));
      for (const c of list) c.root.hidden = away.includes(c);
      made.counts.get(group).textContent = away.length ? ` ${list.length - away.length} of ${count(list.length, 'field')}` : ` ${count(list.length, 'field')}`;
      clear(boxOf(group)).append(...(away.length ? [h('details', {}, h('summary', { text: `${count(away.length, 'field')} without a use in this job` }),
        h('ul', {}, away.map((c) => h('li', {}, h('code', { text: c.path.split('.').pop() }), ` needs ${needs.get(c.path)}`))))] : []));
    }
  };
  return { boxOf, show };
}

export async function formPage(root, { query }) {
  document.title = 'New job · Normscope';
  let tables;
  let job;
  try {
    tables = await loadTables();
    job = await startJob(query, tables.fields);
  } catch (e) {
    clear(root).append(h('h1', { text: 'New job' }), errorNote({ detail: e.message }, 'The form could not be made'));
    return {};
  }
  const { fields, rowsOf, examples } = tables;
  const model = jobModel(tables.shorthands, [...new Set(fields.map((f) => f.path.split('.')[0]))]);
  const made = makeControls(fields, rowsOf, model, (f) => change(f(job)));
  const corpus = corpusPart(model, (f) => change(f(job)));
  made.all.set('data.corpus', corpus);
  const hf = hfPart(model, (f) => change(f(job)));
  made.all.set('model.hf_config', hf);
  const noteBox = h('div');
  const area = h('textarea', { id: 'job-json', rows: '16', spellcheck: 'false', 'aria-describedby': 'json-error' });
  const jsonError = h('p', { class: 'field-error', id: 'json-error', hidden: true });
  const problemBox = h('div', { id: 'form-problem' });
  const away = unusedView(made, model);
  const estimate = estimateView((problem) => showProblem(problem, false), (e, of) => {
    away.show(e.unused, of);
    hf.showCoverage(e.coverage);
    clear(noteBox).append(...[noteList(e.notes)].filter(Boolean));
    showDefaults(made, e.resolved);
  });
  let broken = null;

  const clearProblem = () => {
    clear(problemBox);
    for (const c of made.all.values()) c.setError('');
    jsonError.hidden = true;
    area.removeAttribute('aria-invalid');
  };
  const showProblem = (problem, moveFocus) => {
    clearProblem();
    if (!problem) return;
    const path = model.pathOf(problem.pointer);
    const at = made.all.get(path);
    const text = problem.message || problem.title;
    at?.setError(text, problem.pointer);
    clear(problemBox).append(errorNote({ title: problem.title, detail: problem.detail, pointer: problem.pointer },
      at ? `Please mend ${path}` : 'The job was refused'));
    if (moveFocus && at) at.focus();
  };
  const showControls = () => { for (const c of made.all.values()) c.show(job); };
  const sync = () => {
    setQuery({ job: JSON.stringify(job), from: null, model: null }, true);
    estimate.later(job);
  };
  const change = (next) => {
    job = next;
    broken = null;
    clearProblem();
    area.value = pretty(job, '', 52);
    showControls();
    sync();
  };
  area.addEventListener('input', () => {
    clearProblem();
    try {
      const value = JSON.parse(area.value);
      if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error('a job is an object: { … }');
      job = value;
      broken = null;
      showControls();
      sync();
    } catch (e) {
      broken = e.message;
      jsonError.textContent = `Not yet a job: ${e.message}`;
      jsonError.hidden = false;
      area.setAttribute('aria-invalid', 'true');
    }
  });
  const submit = h('button', { type: 'submit', class: 'primary', text: 'Submit' });
  const form = h('form', { class: 'form-page', novalidate: true, onsubmit: async (event) => {
    event.preventDefault();
    if (broken) {
      area.focus();
      return;
    }
    submit.disabled = true;
    try {
      const answer = await post('jobs', area.value);
      go(['jobs', String(answer.id)]);
    } catch (e) {
      if (e.code === undefined) throw e;
      showProblem(e.retryAfter ? { ...e, detail: `${e.message}; try again in ${e.retryAfter} s`, title: e.title, message: e.message } : e, true);
    } finally {
      submit.disabled = false;
    }
  } });

  hf.dropOn(form);
  const after = { 'data.source': corpus.root, 'model.preset': hf.root };
  const simple = made.simple.flatMap((c) => (after[c.path] ? [c.root, after[c.path]] : [c.root]));
  const groups = [...made.groups].map(([group, list]) => h('details', { class: 'group' },
    h('summary', {}, GROUPS[group] || 'Other', made.counts.get(group)),
    h('div', { class: 'fields' }, list.map((c) => c.root)), away.boxOf(group)));
  form.append(h('div', { class: 'form-left' },
    h('section', { class: 'card' }, h('h2', { text: 'What to compare' }), h('div', { class: 'fields' }, simple)),
    h('section', { class: 'card' }, h('h2', { text: 'What is asked of it' }),
      h('p', { class: 'hint', text: 'Every run is judged by the rules of the registry in any case.' }), h('div', { class: 'fields' }, made.judged.map((c) => c.root))),
    h('section', { class: 'card' }, h('h2', { text: 'All fields' }),
      h('p', { class: 'hint', text: 'Empty means the default, shown in grey. In a field of numbers, several values separated by commas make a sweep: one run for each combination and seed.' }), groups)),
  h('div', { class: 'form-right' }, h('section', { class: 'card' }, h('h2', {}, h('label', { for: 'job-json', text: 'The job as JSON' })),
    area, jsonError, estimate.root, noteBox, problemBox, h('div', { class: 'actions' },
      button('Estimate', () => estimate.now(job)), submit))));
  const pick = h('select', { name: 'example', onchange: () => {
    const example = examples.find((e) => e.name === pick.value);
    if (example) change({ name: example.name, ...example.job });
  } }, h('option', { value: '', text: 'choose …' }), examples.map((e) => h('option', { value: e.name, text: e.name, title: e.summary })));
  clear(root).append(h('div', { class: 'form-head' }, h('h1', { text: 'New job' }), field('Begin with one of the gallery', pick)), form);
  area.value = pretty(job, '', 52);
  showControls();
  estimate.later(job);
  return { update: () => true, destroy: estimate.stop };
}
