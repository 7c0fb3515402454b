/* Rules of the job's own ("expect") as rows: a metric, where, when, and what it must keep within. A row
 * becomes part of the job when it has a metric and a bound; until then it says what it lacks. */

import { h, clear, button, icon, focusIn } from './dom.js';
import { direction } from './format.js';
import { asText, frame } from './form_frame.js';
import { parseOne } from './form_model.js';

const MOST = 64; /* rows; the server has the same limit and says so */
const VERDICTS = [['fail', 'fail'], ['warn', 'warning']];

const isComplete = (row) => Boolean(row.metric) && (row.min !== undefined || row.max !== undefined);
const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);

/* Names that the job measures: what it lists, names or groups, or what the registry has by default. */
function measured(job, model, path, rows) {
  const list = model.read(job, path);
  return new Set(rows.filter((r) => (Array.isArray(list) ? list.includes(r.name) || list.includes(r.group) : r.default)).map((r) => r.name));
}

function options(rows, has, value) {
  const item = (r) => h('option', { value: r.name, selected: r.name === value, disabled: !has.has(r.name) && r.name !== value,
    text: has.has(r.name) ? r.name : `${r.name} (not measured)` });
  if (!rows[0]?.group) return rows.map(item);
  return [...new Set(rows.map((r) => r.group))].map((group) => h('optgroup', { label: group }, rows.filter((r) => r.group === group).map(item)));
}

/* tables: {metrics, sites}, rows of the registries. */
export function expectControl(f, tables, label, model, change) {
  const list = h('ol', { class: 'expect-rows plain' });
  const add = button('Add a rule', () => {
    rows.push({});
    draw();
    list.lastElementChild?.querySelector('select')?.focus();
  }, { class: 'small', name: 'expect.add' });
  const box = h('div', {}, list, add);
  const around = frame(f, box, label, true);
  let rows = [];
  let job = {};

  const complete = () => rows.filter((r) => !isObject(r) || isComplete(r));
  const write = () => change((j) => model.write(j, f.path, complete().length ? complete() : undefined));
  const set = (i, key, value) => {
    rows[i] = { ...rows[i] };
    if (value === undefined) delete rows[i][key];
    else rows[i][key] = value;
    const lacks = list.children[i]?.querySelector('.lacks');
    if (lacks) lacks.hidden = isComplete(rows[i]);
    write();
  };
  const small = (text, control) => h('label', { class: 'field' }, h('span', { text }), control);
  const text = (i, key, placeholder) => {
    const input = h('input', { type: 'text', name: `expect.${i}.${key}`, inputmode: 'decimal', autocomplete: 'off', placeholder, value: asText(rows[i][key]) });
    input.addEventListener('input', () => set(i, key, input.value.trim() === '' ? undefined : parseOne(input.value)));
    return input;
  };
  const choose = (i, key, first, children, redraw) => {
    const select = h('select', { name: `expect.${i}.${key}`, onchange: () => {
      set(i, key, select.value || undefined);
      if (redraw) draw();
    } }, first === null ? null : h('option', { value: '', text: first }), children);
    return select;
  };

  const ruleRow = (row, i) => {
    const metric = tables.metrics.find((m) => m.name === row.metric);
    const unknown = (rowsOf, value) => (value === undefined || rowsOf.some((r) => r.name === value) ? null : h('option', { value, selected: true, text: asText(value) }));
    const verdict = row.verdict ?? 'fail';
    return h('li', { class: 'expect-row', 'data-row': String(i) },
      h('div', { class: 'expect-fields' },
        h('div', { class: 'expect-metric' }, small('Metric', choose(i, 'metric', 'choose …', [options(tables.metrics, measured(job, model, 'measure.metrics', tables.metrics), row.metric), unknown(tables.metrics, row.metric)], true))),
        small('Site', choose(i, 'site', 'usual for it', [options(tables.sites, measured(job, model, 'measure.sites', tables.sites), row.site), unknown(tables.sites, row.site)])),
        small('Layer', text(i, 'layer', 'every')), small('Step', text(i, 'step', 'first, last')),
        small('At least', text(i, 'min', 'no bound')), small('At most', text(i, 'max', 'no bound')),
        small('Outside is a', choose(i, 'verdict', null, VERDICTS.map(([value, t]) => h('option', { value, selected: value === verdict, text: t })))),
        button(icon('failed'), () => {
          rows.splice(i, 1);
          draw();
          write();
          add.focus();
        }, { class: 'quiet small', 'aria-label': `Remove rule ${i + 1}${row.metric ? `, ${row.metric}` : ''}` })),
      h('p', { class: 'hint lacks', hidden: isComplete(row), text: 'Not yet part of the job: it needs a metric and a bound.' }),
      metric ? h('p', { class: 'hint' }, h('code', { text: metric.name }), `: ${metric.summary}${direction(metric.direction) ? ` (${direction(metric.direction)})` : ''}`) : null);
  };
  const foreign = (row, i) => h('li', { class: 'expect-row' }, h('code', { text: JSON.stringify(row) }), ' ', button('Remove', () => {
    rows.splice(i, 1);
    draw();
    write();
  }, { class: 'quiet small' }));

  function draw() {
    const name = focusIn(box)?.name;
    clear(list).append(...rows.map((row, i) => (isObject(row) ? ruleRow(row, i) : foreign(row, i))));
    add.disabled = rows.length >= MOST;
    if (name) box.querySelector(`[name="${CSS.escape(name)}"]`)?.focus();
  }

  return { ...around,
    setError(message, pointer) {
      around.setError(message);
      const at = /^\/expect\/(\d+)/.exec(pointer || '')?.[1];
      const row = complete()[Number(at)];
      [...list.children].forEach((li, i) => li.classList.toggle('invalid', Boolean(message) && at !== undefined && rows[i] === row));
    },
    show(next) {
      const before = JSON.stringify([model.read(job, 'measure.metrics'), model.read(job, 'measure.sites')]);
      job = next;
      const value = model.read(job, f.path);
      const theirs = Array.isArray(value) ? value : [];
      const same = JSON.stringify(theirs) === JSON.stringify(complete());
      if (same && before === JSON.stringify([model.read(job, 'measure.metrics'), model.read(job, 'measure.sites')]) && list.children.length === rows.length) return;
      if (!same) rows = theirs.map((r) => (isObject(r) ? { ...r } : r));
      draw();
    } };
}
