/* The table of runs: one row per arm and seed, with how it ended. */

import { h, clear, badge, scrollBox, button } from './dom.js';
import { duration } from './format.js';
import { labelOf } from './arms.js';
import { download } from './api.js';

const PAGE = 60;

export function ending(run) {
  if (run.error) {
    return [run.error.detail || run.error.title, run.error.pointer ? ` (${run.error.pointer})` : ''].join('');
  }
  if (!run.diverged) return '';
  const where = run.diverged_layer >= 0 ? `, block ${run.diverged_layer}, ${run.diverged_site}` : ', in the loss or a gradient';
  return `diverged at step ${run.diverged_step}${where}`;
}

function row(run) {
  const end = ending(run);
  return h('tr', {}, h('td', { class: 'num', text: run.idx }), h('th', { scope: 'row', text: labelOf(run) }),
    h('td', { class: 'num', text: run.seed }), h('td', {}, badge(run.state)),
    h('td', { class: 'num', text: run.wall_ms === null || run.wall_ms === undefined ? '–' : duration(run.wall_ms / 1000) }),
    h('td', { class: run.error ? 'error-text' : run.diverged ? 'warn' : '', text: end }),
    h('td', {}, run.state === 'done' ? button('CSV', () => download(`runs/${run.id}/series`, { format: 'csv' },
      `normscope-run-${run.id}.csv`, 'text/csv'), { class: 'quiet small', 'aria-label': `CSV of run ${run.idx}` }) : null));
}

export function runsPanel() {
  const box = h('div');
  const root = h('section', { class: 'card', 'aria-labelledby': 'runs-title' }, h('h2', { id: 'runs-title', text: 'Runs' }), box);
  let limit = PAGE;
  let last = '';
  const update = (runs) => {
    const key = JSON.stringify([limit, runs.map((r) => [r.id, r.state])]);
    if (key === last) return;
    last = key;
    const table = h('table', { class: 'data' }, h('thead', {}, h('tr', {},
      ['#', 'Arm', 'Seed', 'State', 'Time', 'How it ended', ''].map((t, i) =>
        h('th', { scope: 'col', class: [0, 2, 4].includes(i) ? 'num' : null, text: t })))),
    h('tbody', {}, runs.slice(0, limit).map(row)));
    const more = runs.length > limit ? button(`Show all ${runs.length} runs`, () => {
      limit = runs.length;
      update(runs);
    }, { class: 'quiet' }) : null;
    clear(box).append(scrollBox(table, 'Runs'), ...(more ? [more] : []));
  };
  return { root, update };
}
