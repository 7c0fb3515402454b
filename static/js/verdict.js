/* What came of a job in words: the verdict of the whole, a heat map where depth is swept, and the arms
 * in their order with the rules each was judged by. */

import { h, clear, icon, scrollBox } from './dom.js';
import { get } from './api.js';
import { href } from './router.js';
import { armLabel, armValue, cell, decode } from './format.js';
import { armsOf, keyOf, styles } from './arms.js';
import { swatch } from './swatch.js';

const ICON = { pass: 'done', warn: 'warning', fail: 'failed' };
const WORSE = { fail: 0, warn: 1, pass: 2 };

export function verdictBadge(verdict) {
  if (!ICON[verdict]) return null;
  return h('span', { class: `badge verdict verdict-${verdict}` }, icon(ICON[verdict]), verdict);
}

/* The rule in numbers: "0.999, at most 0.95", with a link to the curve it was read from. */
function ruleRow(rule, jobId) {
  const value = decode(rule.value);
  const judged = ICON[rule.verdict];
  const where = rule.site && rule.site !== 'run'
    ? h('a', { href: href(['jobs', String(jobId)], { metric: rule.metric, site: rule.site, step: rule.step }), text: `${rule.metric} at ${rule.site}` })
    : rule.metric || '';
  const bound = typeof rule.threshold === 'number' ? `${rule.comparison} ${cell(rule.threshold, 3)}` : '';
  return h('tr', { class: judged ? `rule rule-${rule.verdict}` : 'rule faint' },
    h('td', {}, judged ? verdictBadge(rule.verdict) : 'not judged'),
    h('th', { scope: 'row' }, h('code', { text: rule.rule }), h('span', { class: 'range', text: rule.says || '' })),
    h('td', { class: 'num', text: rule.value === null || rule.value === undefined ? '' : cell(value, 3) }), h('td', { text: bound }),
    h('td', {}, where, rule.step === null || rule.step === undefined || !rule.metric ? '' : `, step ${rule.step}`),
    h('td', { class: 'num', text: rule.layer >= 0 ? String(rule.layer) : '' }),
    h('td', { class: 'faint', text: rule.source || '' }));
}

const RULE_HEADS = ['', 'Rule', 'Value', 'Allowed', 'Read from', 'First layer', 'Threshold from'];

function rules(arm, jobId, label) {
  const sorted = [...arm.rules].sort((a, b) => (WORSE[a.verdict] ?? 3) - (WORSE[b.verdict] ?? 3));
  const table = h('table', { class: 'data rules' },
    h('thead', {}, h('tr', {}, RULE_HEADS.map((t, i) => h('th', { scope: 'col', class: i === 2 || i === 5 ? 'num' : null, text: t })))),
    h('tbody', {}, sorted.map((r) => ruleRow(r, jobId))));
  return h('details', {}, h('summary', { text: `${arm.rules.length} rules` }), scrollBox(table, `Rules of ${label}`));
}

function confidence(v) {
  return typeof v === 'number' ? `${Math.round(100 * v)} %` : '–';
}

function armRow(arm, look, jobId) {
  const label = look?.label || armLabel(arm.arm);
  return h('tr', { class: 'arm-verdict' }, h('td', { class: 'num', text: arm.rank ?? '' }), h('td', {}, verdictBadge(arm.verdict)),
    h('th', { scope: 'row' }, look ? swatch(look) : null, ' ', label),
    h('td', { class: 'sentence' }, arm.sentence || '', rules(arm, jobId, label)),
    h('td', { class: 'num', text: String(arm.seeds ?? '') }), h('td', { class: 'num', text: confidence(arm.confidence) }));
}

function armTable(answer, runs) {
  const all = armsOf(runs);
  const look = new Map(styles(all.map((a) => a.arm), all.map((a) => a.label)).map((s) => [s.key, s]));
  const heads = ['Rank', 'Verdict', 'Arm', 'What was found', 'Seeds', 'Confidence'];
  return scrollBox(h('table', { class: 'data verdicts' },
    h('thead', {}, h('tr', {}, heads.map((t, i) => h('th', { scope: 'col', class: [0, 4, 5].includes(i) ? 'num' : null, text: t })))),
    h('tbody', {}, answer.arms.map((a) => armRow(a, look.get(keyOf(a.arm)), answer.job_id)))), 'Arms in their order');
}

/* Rows: arms without their depth; columns: depths. Needs two of the latter. */
function heatMap(answer) {
  const rows = new Map();
  const depths = new Set();
  for (const a of answer.arms) {
    if (!('depth' in a.arm)) return null;
    const rest = Object.fromEntries(Object.entries(a.arm).filter(([path]) => path !== 'depth'));
    const key = keyOf(rest);
    if (!rows.has(key)) rows.set(key, { rest, cells: new Map() });
    rows.get(key).cells.set(a.arm.depth, a);
    depths.add(a.arm.depth);
  }
  if (depths.size < 2) return null;
  const columns = [...depths].sort((a, b) => a - b);
  const heat = (a) => (a && ICON[a.verdict]
    ? h('td', { class: `heat heat-${a.verdict}`, title: a.sentence }, icon(ICON[a.verdict]), h('span', { text: a.verdict }))
    : h('td', { class: 'heat faint', text: '–' }));
  const named = [...rows.values()].map(({ rest, cells }) => h('tr', {},
    h('th', { scope: 'row', text: Object.values(rest).map(armValue).join(' · ') || 'this network' }), columns.map((d) => heat(cells.get(d)))));
  return scrollBox(h('table', { class: 'data heat-map' }, h('caption', { text: 'Verdict by depth' }),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col', text: 'Blocks' }), columns.map((d) => h('th', { scope: 'col', text: String(d) })))),
    h('tbody', {}, named)), 'Verdict by arm and depth');
}

function deepest(answer) {
  const list = (answer.max_depth || []).filter((m) => m.deepest_pass || m.shallowest_fail);
  if (!list.length) return null;
  const text = (m) => [m.deepest_pass ? `passes up to ${m.deepest_pass} blocks` : 'passes at no depth tried',
    m.shallowest_fail ? `fails from ${m.shallowest_fail}` : 'no depth tried fails'].join(', ');
  return h('ul', { class: 'plain deepest' }, list.map((m) => h('li', {}, h('strong', { text: Object.values(m.arm || {}).map(armValue).join(' · ') || 'This network' }), `: ${text(m)}`)));
}

/* Many arms stand folded, so that the picture under them is not far away. */
function armList(answer, runs) {
  const table = armTable(answer, runs);
  if (answer.arms.length <= 4) return table;
  return h('details', { class: 'arm-list' }, h('summary', { text: `All ${answer.arms.length} arms, best first, with the rules that judged them` }), table);
}

function differs(answer) {
  if (!answer.differs?.length) return null;
  return h('p', { class: 'definition' }, 'The arms differ in ',
    answer.differs.map((p, i) => [i ? ', ' : '', h('code', { text: p })]), '; data, seeds and everything else are the same.');
}

export function verdictPanel() {
  const root = h('section', { class: 'card verdict-card', hidden: true, 'aria-labelledby': 'verdict-title' });
  let loaded = '';
  return {
    root,
    async update(job, runs) {
      const ended = runs.filter((r) => r.state === 'done' || r.state === 'failed').length;
      const key = `${job.id} ${job.state} ${ended}`;
      if (key === loaded) return;
      loaded = key;
      const answer = await get(`jobs/${job.id}/verdict`);
      root.hidden = !answer.verdict && !answer.arms?.length;
      if (root.hidden) return;
      const state = answer.state === 'done' ? '' : h('span', { class: 'hint', text: `so far, the job is ${answer.state}` });
      clear(root).append(...[h('h2', { id: 'verdict-title' }, 'Verdict ', verdictBadge(answer.verdict), ' ', state),
        answer.sentence ? h('p', { class: 'lead', text: answer.sentence }) : null, heatMap(answer), deepest(answer), armList(answer, runs), differs(answer),
        h('p', { class: 'definition', text: `Rules of version ${answer.rules_version}. Confidence is about the threshold that decided, from the spread over seeds; one seed never passes without a warning.` })].filter(Boolean));
    },
  };
}
