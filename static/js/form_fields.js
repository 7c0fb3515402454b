/* One control per field of the job, made from its row of the field table. A control is
 * {root, path, show(job), setError(text), focus()}; it calls change(f) with a function job -> job. */

import { h, clear, focusIn } from './dom.js';
import { expectControl } from './form_expect.js';
import { findControl } from './form_find.js';
import { asText, defaultText, frame } from './form_frame.js';
import { jsonControl } from './form_json.js';
import { parseList, parseOne } from './form_model.js';
import { strategyControl } from './form_strategy.js';

/* A number or a text; several numbers separated by commas make a sweep. */
function textControl(f, label, model, change) {
  const numeric = f.type === 'integer' || f.type === 'number';
  const input = h('input', { type: 'text', name: f.path, inputmode: numeric ? 'decimal' : null, autocomplete: 'off',
    spellcheck: 'false', placeholder: defaultText(f), maxlength: f.path === 'name' ? 120 : null });
  input.addEventListener('input', () => {
    if (!numeric) {
      change((job) => model.write(job, f.path, input.value === '' ? undefined : input.value));
      return;
    }
    const values = parseList(input.value);
    change((job) => (values.length > 1 ? model.writeSweep(job, f.path, values)
      : model.write(model.writeSweep(job, f.path, undefined), f.path, values.length ? parseOne(input.value.replace(/,\s*$/, '')) : undefined)));
  });
  return { ...frame(f, input, label), show(job) {
    const swept = model.readSweep(job, f.path);
    const text = Array.isArray(swept) ? swept.map(asText).join(', ') : asText(model.read(job, f.path));
    if (document.activeElement !== input || !same(input.value, text)) input.value = text;
  },
  setDefault(text) { input.placeholder = text; } };
}

/* While a person types "6, " the job already says 6: do not take the comma away under the cursor. */
const same = (a, b) => parseList(a).join() === parseList(b).join();

/* A list that is a list by itself: seeds, probe steps. */
function listControl(f, label, model, change) {
  const input = h('input', { type: 'text', name: f.path, autocomplete: 'off', inputmode: f.type === 'numbers' ? 'decimal' : 'numeric',
    placeholder: defaultText(f) || 'none' });
  input.addEventListener('input', () => {
    const values = parseList(input.value);
    change((job) => model.write(job, f.path, values.length ? values : undefined));
  });
  return { ...frame(f, input, label), show(job) {
    const value = model.read(job, f.path);
    const text = Array.isArray(value) ? value.map(asText).join(', ') : asText(value);
    if (document.activeElement !== input || !same(input.value, text)) input.value = text;
  } };
}

const BOOLS = [{ name: 'true' }, { name: 'false' }];

/* One of several names: a select; "compare" turns it into boxes, and several ticked make a sweep. */
function choiceControl(f, rows, label, model, change, open) {
  const parse = (v) => (f.type === 'boolean' ? v === 'true' : v);
  const box = h('div', { class: 'choice' });
  let many = open;
  let job = {};
  let usual = defaultText(f);
  const chosen = () => {
    const swept = model.readSweep(job, f.path);
    if (Array.isArray(swept)) return swept.map(asText);
    const value = model.read(job, f.path);
    return value === undefined ? [] : [asText(value)];
  };
  const set = (values) => change((j) => (values.length > 1 ? model.writeSweep(j, f.path, values.map(parse))
    : model.write(model.writeSweep(j, f.path, undefined), f.path, values.length ? parse(values[0]) : undefined)));
  const boxes = () => {
    const now = chosen();
    return h('div', { class: 'boxes' }, rows.map((r) => {
      const input = h('input', { type: 'checkbox', name: `${f.path}=${r.name}`, checked: now.includes(r.name), onchange: () => {
        const next = rows.map((q) => q.name).filter((n) => (n === r.name ? input.checked : chosen().includes(n)));
        set(next);
      } });
      return h('label', { class: 'check tall' }, input, h('span', {}, r.name, r.summary && open ? h('span', { class: 'hint', text: r.summary }) : null));
    }));
  };
  const single = () => {
    const value = chosen()[0] ?? '';
    const known = value === '' || rows.some((r) => r.name === value);
    const select = h('select', { name: f.path, 'aria-label': label, onchange: () => set(select.value === '' ? [] : [select.value]) },
      h('option', { value: '', text: `default: ${usual}` }),
      rows.map((r) => h('option', { value: r.name, selected: r.name === value, text: r.name })),
      known ? null : h('option', { value, selected: true, text: value }));
    return [select, h('button', { type: 'button', class: 'quiet small', text: 'compare several',
      'aria-label': `Compare several values of ${f.path}`, onclick: () => { many = true; draw(); box.querySelector('input')?.focus(); } })];
  };
  const draw = () => {
    const name = focusIn(box)?.name;
    clear(box).append(...(many || chosen().length > 1 ? [boxes()] : single()));
    if (name) box.querySelector(`[name="${CSS.escape(name)}"]`)?.focus();
  };
  return { ...frame(f, box, label, true), show(next) {
    job = next;
    draw();
  },
  setDefault(text) {
    usual = text;
    const first = box.querySelector('option[value=""]');
    if (first) first.textContent = `default: ${usual}`;
  } };
}

/* Sites and metrics: the rows of the registry, those measured by default ticked. */
function rowsControl(f, rows, label, model, change) {
  const usual = rows.filter((r) => r.default).map((r) => r.name);
  const box = h('div', { class: 'boxes many' });
  const current = (job) => {
    const value = model.read(job, f.path);
    if (!Array.isArray(value)) return new Set(usual);
    return new Set(rows.filter((r) => value.includes(r.name) || value.includes(r.group)).map((r) => r.name));
  };
  const build = (job) => {
    const now = current(job);
    const name = focusIn(box)?.name;
    clear(box).append(...rows.map((r) => {
      const input = h('input', { type: 'checkbox', name: `${f.path}=${r.name}`, checked: now.has(r.name), onchange: () => change((j) => {
        const next = current(j);
        if (input.checked) next.add(r.name);
        else next.delete(r.name);
        const list = rows.map((q) => q.name).filter((n) => next.has(n));
        return model.write(j, f.path, list.join() === usual.join() ? undefined : list);
      }) });
      return h('label', { class: 'check', title: r.summary }, input, h('span', { text: r.name }));
    }));
    if (name) box.querySelector(`[name="${CSS.escape(name)}"]`)?.focus();
  };
  return { ...frame(f, box, label, true), show: build };
}

/** rows: the registry the field chooses from, or null; of expect {metrics, sites}. open: boxes from the start (what is compared).
 * @param {any} f
 * @param {any} rows
 * @param {any} model
 * @param {(next: (job: any) => any) => void} change
 * @param {{label?: string, open?: boolean}} [options] */
export function control(f, rows, model, change, { label, open } = {}) {
  const text = label || f.path.split('.').pop();
  if (f.type === 'strategy') return strategyControl(f, rows || [], text, model, change);
  if (f.type === 'overrides') return jsonControl(f, text, model, change);
  if (f.type === 'expect') return expectControl(f, rows, text, model, change);
  if (f.type === 'find') return findControl(f, text, model, change);
  if (f.type === 'boolean') return choiceControl(f, BOOLS, text, model, change, false);
  if (f.type === 'sites' || f.type === 'metrics') return rowsControl(f, rows || [], text, model, change);
  if (f.type === 'seeds' || f.type === 'steps' || f.type === 'numbers') return listControl(f, text, model, change);
  if (rows?.length) return choiceControl(f, rows, text, model, change, open);
  return textControl(f, text, model, change);
}
