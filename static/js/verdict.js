/* What came of a job in words: the verdict of the whole, a heat map where depth is swept, and the arms
 * in their order with the rules each was judged by. */

import { h, clear, icon, scrollBox } from './dom.js';
import { get } from './api.js';
import { armLabel } from './format.js';
import { armsOf, keyOf, styles } from './arms.js';
import { expandable, headed } from './row_details.js';
import { ICON, ruleTable, verdictBadge } from './rules.js';
import { swatch } from './swatch.js';

const FEW = 8; /* rows that stand unfolded */

function confidence(v) {
  return typeof v === 'number' ? `${Math.round(100 * v)} %` : '–';
}

const HEADS = ['Rank', 'Verdict', 'Arm', 'What was found', 'Seeds', 'Confidence'];

function armRow(arm, look, jobId, opened) {
  const label = look?.label || armLabel(arm.arm);
  const of = { key: keyOf(arm.arm), opened, columns: HEADS.length, text: `${arm.rules.length} rules`, label: `${arm.rules.length} rules of ${label}`,
    fill: (box) => box.append(ruleTable(arm.rules, jobId, label)), props: { class: 'arm-verdict' } };
  return expandable(of, (opener) => headed([h('td', { class: 'num', text: arm.rank ?? '' }), h('td', {}, verdictBadge(arm.verdict)),
    h('th', { scope: 'row' }, look ? swatch(look) : null, ' ', label),
    h('td', { class: 'sentence' }, arm.sentence || '', ' ', arm.rules.length ? opener : null),
    h('td', { class: 'num', text: String(arm.seeds ?? '') }), h('td', { class: 'num', text: confidence(arm.confidence) })], ['Rank', '', '', '', 'Seeds', 'Confidence']));
}

function armTable(answer, runs, opened) {
  const all = armsOf(runs);
  const look = new Map(styles(all.map((a) => a.arm), all.map((a) => a.label)).map((s) => [s.key, s]));
  return scrollBox(h('table', { class: 'data verdicts stack' },
    h('thead', {}, h('tr', {}, HEADS.map((t, i) => h('th', { scope: 'col', class: [0, 4, 5].includes(i) ? 'num' : null, text: t })))),
    h('tbody', {}, answer.arms.flatMap((a) => armRow(a, look.get(keyOf(a.arm)), answer.job_id, opened)))), 'Arms in their order');
}

const withoutDepth = (arm) => Object.fromEntries(Object.entries(arm).filter(([path]) => path !== 'depth'));

/* Rows: arms without their depth; columns: depths. Needs two of the latter. */
function heatMap(answer) {
  const rows = new Map();
  const depths = new Set();
  for (const a of answer.arms) {
    if (!('depth' in a.arm)) return null;
    const rest = withoutDepth(a.arm);
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
    h('th', { scope: 'row', text: armLabel(rest) || 'this network' }), columns.map((d) => heat(cells.get(d)))));
  return scrollBox(h('table', { class: 'data heat-map' }, h('caption', { text: 'Verdict by depth' }),
    h('thead', {}, h('tr', {}, h('th', { scope: 'col', text: 'Blocks' }), columns.map((d) => h('th', { scope: 'col', text: String(d) })))),
    h('tbody', {}, named)), 'Verdict by arm and depth');
}

/* Says something only where depths were compared. */
function deepest(answer) {
  if (!answer.arms.some((a) => 'depth' in a.arm)) return null;
  const list = (answer.max_depth || []).filter((m) => m.deepest_pass || m.shallowest_fail);
  if (!list.length) return null;
  /* deepest_pass of the service is the deepest that does not fail. */
  const passed = (m) => Math.max(0, ...answer.arms.filter((a) => a.verdict === 'pass' && keyOf(withoutDepth(a.arm)) === keyOf(m.arm)).map((a) => a.arm.depth));
  const text = (m) => [passed(m) ? `passes up to ${passed(m)} blocks` : 'passes at no depth tried',
    m.deepest_pass > passed(m) ? `has a warning up to ${m.deepest_pass}` : '',
    m.shallowest_fail ? `fails from ${m.shallowest_fail}` : 'no depth tried fails'].filter(Boolean).join(', ');
  const all = h('ul', { class: 'plain deepest' }, list.map((m) => h('li', {}, h('strong', { text: armLabel(m.arm) || 'This network' }), `: ${text(m)}`)));
  return list.length <= FEW ? all : h('details', { class: 'arm-list' }, h('summary', { text: `The deepest network of each of ${list.length} arms` }), all);
}

/* Many arms stand folded, so that the picture under them is not far away. */
function armList(answer, runs, opened) {
  const table = armTable(answer, runs, opened);
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
  const opened = new Set();
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
        answer.sentence ? h('p', { class: 'lead', text: answer.sentence }) : null, heatMap(answer), deepest(answer), armList(answer, runs, opened), differs(answer),
        h('p', { class: 'definition', text: `Rules of version ${answer.rules_version}. Confidence is about the threshold that decided, from the spread over seeds; one seed never passes without a warning.` })].filter(Boolean));
    },
  };
}
