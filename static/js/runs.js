/* The table of runs: one row per arm and seed, with how it ended and how each rule judged it. */

import { h, clear, badge, scrollBox, button } from './dom.js';
import { count, duration } from './format.js';
import { labelOf } from './arms.js';
import { download, get } from './api.js';
import { expandable, headed } from './row_details.js';
import { ruleTable, verdictBadge } from './rules.js';

const PAGE = 60;

export function ending(run) {
  if (run.error) {
    return [run.error.detail || run.error.title, run.error.pointer ? ` (${run.error.pointer})` : ''].join('');
  }
  if (!run.diverged) return '';
  const what = run.diverged_pass === 'backward' ? 'gradient of ' : '';
  const where = run.diverged_layer >= 0 ? `, ${what}block ${run.diverged_layer}, ${run.diverged_site}` : ', in the loss or a gradient';
  return `diverged at step ${run.diverged_step}${where}`;
}

const HEADS = ['#', 'Arm', 'Seed', 'State', 'Verdict', 'Time', 'What came of it', ''];

/* The rules of one run, asked for when they are looked at. */
async function fillRules(box, run) {
  box.append(h('p', { class: 'hint', text: 'Loading …' }));
  try {
    const answer = await get(`runs/${run.id}/verdict`);
    clear(box).append(ruleTable(answer.rules, run.job_id, `run ${run.idx}`),
      h('p', { class: 'hint', text: `Seed ${run.seed} alone, so without a confidence: that is of the seeds of an arm together, in the verdict above. Rules of version ${answer.rules_version}.` }));
  } catch (e) {
    clear(box).append(h('p', { class: 'error-text', text: e.message }));
  }
}

function row(run, opened) {
  const end = ending(run);
  const of = { key: run.id, opened, columns: HEADS.length, text: 'rules', label: `Rules of run ${run.idx}`, fill: (box) => fillRules(box, run) };
  return expandable(of, (opener) => headed([h('td', { class: 'num', text: run.idx }), h('th', { scope: 'row' }, labelOf(run)),
    h('td', { class: 'num', text: run.seed }), h('td', {}, badge(run.state)), h('td', {}, verdictBadge(run.verdict)),
    h('td', { class: 'num', text: run.wall_ms === null || run.wall_ms === undefined ? '–' : duration(run.wall_ms / 1000) }),
    h('td', { class: 'sentence' }, end ? h('div', { class: run.error ? 'error-text' : run.diverged ? 'warn' : '', text: end }) : null,
      run.sentence ? h('div', {}, run.sentence, ' ', run.verdict ? opener : null) : null),
    h('td', {}, run.state === 'done' ? button('CSV', () => download(`runs/${run.id}/series`, { format: 'csv' },
      `normscope-run-${run.id}.csv`, 'text/csv'), { class: 'quiet small', 'aria-label': `CSV of run ${run.idx}` }) : null)], ['Run', '', 'Seed', '', '', 'Time']));
}

export function runsPanel() {
  const box = h('div');
  const root = h('section', { class: 'card', 'aria-labelledby': 'runs-title' }, h('h2', { id: 'runs-title', text: 'Runs' }), box);
  let limit = PAGE;
  let last = '';
  const opened = new Set();
  const update = (all) => {
    const runs = all.filter((r) => r.state !== 'skipped');
    const skipped = all.length - runs.length;
    const key = JSON.stringify([limit, skipped, runs.map((r) => [r.id, r.state, r.verdict])]);
    if (key === last) return;
    last = key;
    const table = h('table', { class: 'data runs stack' }, h('thead', {}, h('tr', {},
      HEADS.map((t, i) =>
        h('th', { scope: 'col', class: [0, 2, 5].includes(i) ? 'num' : null, text: t })))),
    h('tbody', {}, runs.slice(0, limit).flatMap((r) => row(r, opened))));
    const more = runs.length > limit ? button(`Show all ${runs.length} runs`, () => {
      limit = runs.length;
      update(all);
    }, { class: 'quiet' }) : null;
    const left = skipped ? h('p', { class: 'hint', text: `${count(skipped, 'run was', 'runs were')} not needed: others had told how deep the network may be.` }) : null;
    clear(box).append(scrollBox(table, 'Runs'), ...[more, left].filter(Boolean));
  };
  return { root, update };
}
