/* A verdict as a badge, and the table of the rules that made it: of an arm, its seeds together, or of one run. */

import { h, icon, scrollBox } from './dom.js';
import { href } from './router.js';
import { cell, decode } from './format.js';
import { headed } from './row_details.js';

export const ICON = { pass: 'done', warn: 'warning', fail: 'failed' };
const WORSE = { fail: 0, warn: 1, pass: 2 };
const HEADS = ['', 'Rule', 'Value', 'Allowed', 'Read from', 'Layer', 'Threshold from'];

export function verdictBadge(verdict) {
  if (!ICON[verdict]) return null;
  return h('span', { class: `badge verdict verdict-${verdict}` }, icon(ICON[verdict]), verdict);
}

/* The rule in numbers: "0.999, at most 0.95", with a link to the curve it was read from. */
function ruleRow(rule, jobId) {
  const value = decode(rule.value);
  const judged = ICON[rule.verdict];
  const where = !rule.metric ? rule.site === 'run' ? '' : rule.site : rule.site && rule.site !== 'run'
    ? h('a', { href: href(['jobs', String(jobId)], { metric: rule.metric, site: rule.site, step: rule.step }), text: `${rule.metric} at ${rule.site}` })
    : rule.metric;
  const step = typeof rule.step === 'number' && where ? `, step ${rule.step}` : '';
  const bound = typeof rule.threshold === 'number' ? `${rule.comparison} ${cell(rule.threshold, 3)}` : rule.comparison === 'none found' ? 'none found' : '';
  const cells = [h('td', {}, judged ? verdictBadge(rule.verdict) : 'not judged'),
    h('th', { scope: 'row' }, h('code', { text: rule.rule }), h('span', { class: 'range', text: rule.says || '' })),
    h('td', { class: 'num', text: rule.value === null || rule.value === undefined ? '' : cell(value, 3) }), h('td', { text: bound }),
    h('td', {}, where, step), h('td', { class: 'num', text: rule.layer >= 0 && rule.layer !== null ? String(rule.layer) : '' }),
    h('td', { class: 'source faint', text: rule.source || '' })];
  return h('tr', { class: judged ? `rule rule-${rule.verdict}` : 'rule faint' }, headed(cells, ['', '', ...HEADS.slice(2)]));
}


export function ruleTable(rules, jobId, label) {
  const sorted = [...rules].sort((a, b) => (WORSE[a.verdict] ?? 3) - (WORSE[b.verdict] ?? 3));
  return scrollBox(h('table', { class: 'data rules stack' },
    h('thead', {}, h('tr', {}, HEADS.map((t, i) => h('th', { scope: 'col', class: i === 2 || i === 5 ? 'num' : null, text: t })))),
    h('tbody', {}, sorted.map((r) => ruleRow(r, jobId)))), `Rules of ${label}`);
}
