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

/** What the functions of the page share: the job as it stands, whether its text is one, and what shows it.
 * @returns {any} */
function makeForm({ fields, rowsOf, shorthands }, job) {
  const form = { job, broken: null };
  const edit = (f) => change(form, f(form.job));
  form.model = jobModel(shorthands, [...new Set(fields.map((f) => f.path.split('.')[0]))]);
  form.made = makeControls(fields, rowsOf, form.model, edit);
  form.corpus = corpusPart(form.model, edit);
  form.hf = hfPart(form.model, edit);
  form.made.all.set('data.corpus', form.corpus);
  form.made.all.set('model.hf_config', form.hf);
  form.area = h('textarea', { id: 'job-json', rows: '16', spellcheck: 'false', 'aria-describedby': 'json-error', oninput: () => typed(form) });
  form.jsonError = h('p', { class: 'field-error', id: 'json-error', hidden: true });
  form.problemBox = h('div', { id: 'form-problem' });
  form.noteBox = h('div');
  form.submit = h('button', { type: 'submit', class: 'primary', text: 'Submit' });
  form.away = unusedView(form.made, form.model);
  form.estimate = estimateView((problem) => showProblem(form, problem, false), (e, of) => showEstimate(form, e, of));
  return form;
}

function showEstimate(form, estimate, of) {
  form.away.show(estimate.unused, of);
  form.hf.showCoverage(estimate.coverage);
  clear(form.noteBox).append(...[noteList(estimate.notes)].filter(Boolean));
  showDefaults(form.made, estimate.resolved);
}

function clearProblem(form) {
  clear(form.problemBox);
  for (const c of form.made.all.values()) c.setError('');
  form.jsonError.hidden = true;
  form.area.removeAttribute('aria-invalid');
}

function showProblem(form, problem, moveFocus) {
  clearProblem(form);
  if (!problem) return;
  const path = form.model.pathOf(problem.pointer);
  const at = form.made.all.get(path);
  at?.setError(problem.message || problem.title, problem.pointer);
  clear(form.problemBox).append(errorNote({ title: problem.title, detail: problem.detail, pointer: problem.pointer },
    at ? `Please mend ${path}` : 'The job was refused'));
  if (moveFocus && at) at.focus();
}

function showControls(form) {
  for (const c of form.made.all.values()) c.show(form.job);
}

/* The controls show the job; the address keeps it; its cost is asked for. */
function showJob(form) {
  showControls(form);
  setQuery({ job: JSON.stringify(form.job), from: null, model: null }, true);
  form.estimate.later(form.job);
}

function showText(form) {
  form.area.value = pretty(form.job, '', 52);
}

/* By a control. */
function change(form, next) {
  form.job = next;
  form.broken = null;
  clearProblem(form);
  showText(form);
  showJob(form);
}

/* By hand, as JSON. */
function typed(form) {
  clearProblem(form);
  try {
    const value = JSON.parse(form.area.value);
    if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error('a job is an object: { … }');
    form.job = value;
    form.broken = null;
    showJob(form);
  } catch (e) {
    form.broken = e.message;
    form.jsonError.textContent = `Not yet a job: ${e.message}`;
    form.jsonError.hidden = false;
    form.area.setAttribute('aria-invalid', 'true');
  }
}

async function submitJob(form) {
  if (form.broken) {
    form.area.focus();
    return;
  }
  form.submit.disabled = true;
  try {
    const answer = await post('jobs', form.area.value);
    go(['jobs', String(answer.id)]);
  } catch (e) {
    if (e.code === undefined) throw e;
    const problem = e.retryAfter ? { ...e, detail: `${e.message}; try again in ${e.retryAfter} s`, title: e.title, message: e.message } : e;
    showProblem(form, problem, true);
  } finally {
    form.submit.disabled = false;
  }
}

const card = (title, ...children) => h('section', { class: 'card' }, h('h2', {}, title), ...children);
const fieldsOf = (controls) => h('div', { class: 'fields' }, controls);

function fieldSide({ made, corpus, hf, away }) {
  const after = { 'data.source': corpus.root, 'model.preset': hf.root };
  const simple = made.simple.flatMap((c) => (after[c.path] ? [c.root, after[c.path]] : [c.root]));
  const groups = [...made.groups].map(([group, list]) => h('details', { class: 'group' },
    h('summary', {}, GROUPS[group] || 'Other', made.counts.get(group)), fieldsOf(list.map((c) => c.root)), away.boxOf(group)));
  return h('div', { class: 'form-left' }, card('What to compare', fieldsOf(simple)),
    card('What is asked of it', h('p', { class: 'hint', text: 'Every run is judged by the rules of the registry in any case.' }),
      fieldsOf(made.judged.map((c) => c.root))),
    card('All fields', h('p', { class: 'hint', text: 'Empty means the default, shown in grey. In a field of numbers, several values separated by commas make a sweep: one run for each combination and seed.' }), groups));
}

function textSide(form) {
  return h('div', { class: 'form-right' }, card(h('label', { for: 'job-json', text: 'The job as JSON' }),
    form.area, form.jsonError, form.estimate.root, form.noteBox, form.problemBox,
    h('div', { class: 'actions' }, button('Estimate', () => form.estimate.now(form.job)), form.submit)));
}

function examplePicker(form, examples) {
  const pick = h('select', { name: 'example', onchange: () => {
    const example = examples.find((e) => e.name === pick.value);
    if (example) change(form, { name: example.name, ...example.job });
  } }, h('option', { value: '', text: 'choose …' }), examples.map((e) => h('option', { value: e.name, text: e.name, title: e.summary })));
  return field('Begin with one of the gallery', pick);
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
  const form = makeForm(tables, job);
  const page = h('form', { class: 'form-page', novalidate: true, onsubmit: (event) => {
    event.preventDefault();
    return submitJob(form);
  } }, fieldSide(form), textSide(form));
  form.hf.dropOn(page);
  clear(root).append(h('div', { class: 'form-head' }, h('h1', { text: 'New job' }), examplePicker(form, tables.examples)), page);
  showText(form);
  showControls(form);
  form.estimate.later(form.job);
  return { update: () => true, destroy: form.estimate.stop };
}
