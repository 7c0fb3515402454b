/* The choosers around the one picture. Each change goes to the address; the address draws. */

import { h, clear, focusIn } from './dom.js';
import { setQuery } from './router.js';

const ONE_LAYER = ['embed', 'final_norm', 'lm_logits'];

export function field(label, control) {
  return h('label', { class: 'field' }, h('span', { text: label }), control);
}

function select(name, groups, value, onchange) {
  const el = h('select', { name, onchange: () => onchange(el.value) });
  for (const [label, options] of groups) {
    const items = options.map(([v, text, disabled]) => h('option', { value: v, disabled, selected: String(v) === String(value) }, text));
    if (label) el.append(h('optgroup', { label }, items));
    else el.append(...items);
  }
  return el;
}

function check(label, checked, onchange, props) {
  const box = h('input', { type: 'checkbox', checked, ...props, onchange: () => onchange(box.checked) });
  return h('label', { class: 'check' }, box, h('span', { text: label }));
}

function metricGroups(metrics) {
  const groups = new Map();
  for (const m of metrics) {
    if (!groups.has(m.group)) groups.set(m.group, []);
    groups.get(m.group).push([m.name, m.name]);
  }
  return [...groups];
}

function siteGroups(c, available) {
  const inBlocks = c.sites.filter((s) => !ONE_LAYER.includes(s) && s !== 'run');
  const has = (s) => !available || available.sites.includes(s);
  const rest = c.metric.group === 'attention' || c.metric.group === 'parameter' ? [] : c.sites.filter((s) => ONE_LAYER.includes(s));
  const groups = [['in every block', inBlocks.filter(has).map((s) => [s, s])]];
  if (rest.length) groups.push(['at one layer', rest.map((s) => [s, s])]);
  if (!c.sites.includes(c.site)) groups.push(['not measured here', [[c.site, c.site]]]);
  return groups;
}

function place(c) {
  return c.metric.group === 'parameter' ? 'Parameter' : 'Site';
}

export function controls(box, c, lines, data, available) {
  const focused = focusIn(box)?.name;
  const arms = [['', 'nothing'], ...lines.map((l, i) => [String(i), l.label])];
  const site = c.metric.group === 'parameter'
    ? select('param', [['', data.params.map((p) => [p, p])]], data.param, (v) => setQuery({ param: v }))
    : select('site', siteGroups(c, available), c.site, (v) => setQuery({ site: v }));
  clear(box).append(...[
    field('Metric', select('metric', metricGroups(c.metrics), c.metric.name,
      (v) => setQuery({ metric: v, site: null, param: null, y: null }))),
    field(place(c), site),
    field('After step', select('step', [['', c.steps.map((s) => [s, String(s)])]], c.step, (v) => setQuery({ step: v }))),
    lines.length > 1 ? field('Relative to', select('ref', [['', arms]], c.ref, (v) => setQuery({ ref: v || null }))) : null,
    h('div', { class: 'checks' },
      check('log axis', c.log, (on) => setQuery({ y: on === (c.metric.scale === 'log') ? null : on ? 'log' : 'linear' }, true), { name: 'log' }),
      check('seed band', c.band, (on) => setQuery({ band: on ? null : '0' }, true), { name: 'band' }),
      check('layer / depth', c.relative, (on) => setQuery({ x: on ? 'share' : null }, true), { name: 'share' }))].filter(Boolean));
  if (focused) box.querySelector(`[name="${focused}"]`)?.focus();
}
