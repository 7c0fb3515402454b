/* The coordinate check of a job: does what updates change keep its size when the network grows? A table
 * per arm, one row per site, and one site at a time as a picture on log-log axes, a line per step. */

import { h, clear, button, scrollBox, focusIn } from './dom.js';
import { get } from './api.js';
import { setQuery } from './router.js';
import { cell, number } from './format.js';
import { keyOf, labelOf, styles } from './arms.js';
import { figure } from './figure.js';
import { leftOut } from './left_out.js';
import { field } from './picture_controls.js';
import { verdictBadge } from './rules.js';
import { spark } from './spark.js';
import { axesOf, isChecked, sitesOf, worstOf } from './coordinates_data.js';

export const COORDINATES_QUERY = ['axis', 'coord', 'coordtable']; /* what of the address is read here alone */

const slopeText = (v) => (Math.abs(v) < 0.005 ? 0 : v).toFixed(2).replace('-', '\u2212');
const stepsOf = (sites) => [...new Set(sites.flatMap((s) => [...s.steps.keys()]))].sort((a, b) => a - b);
const looks = (steps) => styles(steps.map((step) => ({ step })), steps.map((step) => `step ${step}`));

function slopeCell(r) {
  if (!r) return h('td', { class: 'num faint', text: '–' });
  const bad = r.values.some((v) => typeof v === 'number' && !Number.isFinite(v));
  const text = r.slope === null || Number.isNaN(r.slope) ? (bad ? 'not finite' : 'undefined') : slopeText(r.slope);
  return h('td', { class: `num${r.verdict === 'fail' ? ' slope-fail' : ''}`, title: r.slope === null ? null : String(r.slope) }, text,
    bad && text !== 'not finite' ? h('span', { class: 'range', text: 'not finite' }) : null,
    Number.isFinite(r.spread) ? h('span', { class: 'range', text: `± ${number(r.spread, 2)}` }) : null);
}

function siteRow(s, arm, steps, chosen, onChoose) {
  const style = looks(steps);
  const lines = steps.map((step, i) => ({ colour: style[i].colour, values: s.steps.get(step)?.values || [] }));
  return h('tr', {}, h('th', { scope: 'row' }, h('code', { text: s.site }), h('span', { class: 'range', text: s.at })),
    h('td', {}, verdictBadge(s.verdict) || 'not judged'),
    h('td', {}, button(spark(arm.values, lines), onChoose, { class: 'spark-button', 'aria-pressed': String(chosen), 'data-site': s.name, 'aria-label': `Draw ${s.name}` })),
    steps.map((step) => slopeCell(s.steps.get(step))),
    h('td', { class: 'num faint', text: s.start === null || Number.isNaN(s.start) ? '–' : slopeText(s.start) }),
    h('td', { class: 'faint', text: s.fallsFreely ? 'may shrink' : '' }));
}

function siteTable(arm, sites, steps, chosen, choose, label) {
  const heads = ['Site', 'Verdict', 'Change over the axis', ...steps.map((s) => `Slope, step ${s}`), 'At the start, not judged', ''];
  return scrollBox(h('table', { class: 'data pinned coordinates' }, h('thead', {}, h('tr', {}, heads.map((t, i) => h('th', { scope: 'col', class: i > 2 && i < heads.length - 1 ? 'num' : null, text: t })))),
    h('tbody', {}, sites.map((s) => siteRow(s, arm, steps, s.name === chosen, () => choose(s))))), `Coordinate check of ${label}`);
}

const nameOf = (arm) => (Object.keys(arm.arm).length ? labelOf({ arm: arm.arm }) : 'This network');

export function coordinatesPanel() {
  const head = h('div');
  const body = h('div');
  const text = h('p', { class: 'definition' });
  const pictureTitle = h('h3');
  let lines = [];
  const fig = figure({ name: 'coordinates', height: 0.42, onState: ({ hidden, table }) => {
    if (hidden) {
      state.hidden = hidden;
      show();
    }
    if (table !== undefined) setQuery({ coordtable: table ? '1' : null }, true);
  } });
  const root = h('section', { class: 'card coordinates-card', hidden: true, 'aria-labelledby': 'coordinates-title' }, head, text, body, pictureTitle, fig.root);
  const state = { hidden: null };
  /** @type {{key: string, answer: any}} answer: to be awaited */
  let loaded = { key: '', answer: null };
  let asked = null; /* the address as it is now: it may change while an answer is on its way */
  let last = null;
  let drawn = '';
  const opened = new Map();

  /* The picture of one site of one arm. */
  function show() {
    const { query, job, answer, arm, site } = last;
    const steps = stepsOf([site]);
    lines = looks(steps).map((look, i) => ({ ...look, points: arm.values.map((x, k) => {
      const v = site.steps.get(steps[i]).values[k];
      const bad = typeof v === 'number' && !Number.isFinite(v);
      return { x, y: bad || v === undefined ? null : v, lo: null, hi: null, n: 1, bad: bad ? 1 : 0, name: `${answer.axis} ${number(x)}` };
    }) }));
    pictureTitle.textContent = `${site.site}, ${site.at} · ${nameOf(arm)}`;
    fig.show({ title: `${answer.judged_by} of ${site.name}, along ${answer.axis}: ${nameOf(arm)}`, subtitle: job.name || `job ${job.id}`,
      file: `normscope-job-${job.id}-coordinates-${site.site}-${site.at}`, x: { label: answer.axis, name: answer.axis, log: true }, y: { label: answer.judged_by, log: true },
      band: false, average: 'mean', lines, notes: leftOut(lines, true) }, { hidden: state.hidden, table: query.get('coordtable') === '1' });
  }

  const armBlock = (arm, i, all, sites, chosen, judgedBy) => {
    const steps = stepsOf(sites);
    const choose = (s) => setQuery({ coord: `${i}.${s.site}.${s.at}` }, true);
    const label = nameOf(arm);
    const table = sites.length ? siteTable(arm, sites, steps, chosen, choose, label) : h('p', { class: 'hint', text: `Nothing to judge: there is no ${judgedBy} after an update.` });
    const box = h('details', { class: 'coordinates-arm', open: opened.get(keyOf(arm.arm)) ?? (all.length <= 2 || Boolean(chosen)), ontoggle: () => opened.set(keyOf(arm.arm), box.open) },
      h('summary', {}, verdictBadge(arm.verdict), ' ', h('strong', { text: label }), ' ', h('span', { class: 'hint', text: `${arm.sentence}; ${arm.seeds === 1 ? 'one seed' : `${arm.seeds} seeds`}` })), table);
    return box;
  };

  const axisChooser = (axes, answer) => {
    if (axes.length < 2) return null;
    const select = h('select', { name: 'axis', onchange: () => setQuery({ axis: select.value, coord: null }) },
      axes.map((a) => h('option', { value: a, selected: a === answer.axis, text: a })));
    return h('div', { class: 'controls' }, field('Along', select));
  };

  const draw = (query, job, axes, answer) => {
    const lists = answer.arms.map((a) => sitesOf(a, answer.judged_by));
    const focus = focusIn(root)?.dataset.site;
    const focusAxis = focusIn(root)?.name === 'axis';
    const [want, site, at] = (query.get('coord') || '').split('.');
    const i = lists[Number(want)]?.length && want !== '' ? Number(want) : Math.max(0, answer.arms.findIndex((a, k) => lists[k].length && a.verdict === answer.verdict));
    const chosen = lists[i]?.find((s) => s.site === site && s.at === at) || (lists[i]?.length ? worstOf(lists[i]) : null);
    const so = answer.state === 'done' ? '' : h('span', { class: 'hint', text: `so far, the job is ${answer.state}` });
    clear(head).append(...[h('h2', { id: 'coordinates-title' }, 'Coordinate check ', verdictBadge(answer.verdict), ' ', so), axisChooser(axes, answer)].filter(Boolean));
    text.textContent = `The slope of log ${answer.judged_by} (what updates have changed since step 0) against log ${answer.axis}, ± its spread over seeds. A slope within ± ${cell(answer.threshold, 2)} passes: the change keeps its size as the network grows. Not judged at init: before the first update nothing has changed, and the slope of mean_abs there is only shown. What “may shrink” fails only where it grows.`;
    const scrolls = [...body.querySelectorAll('.scroll')].map((s) => [s.scrollLeft, s.scrollTop]);
    clear(body).append(...answer.arms.map((a, k) => armBlock(a, k, answer.arms, lists[k], k === i ? chosen?.name : null, answer.judged_by)));
    [...body.querySelectorAll('.scroll')].forEach((s, k) => { [s.scrollLeft, s.scrollTop] = scrolls[k] || [0, 0]; });
    fig.root.hidden = pictureTitle.hidden = !chosen;
    if (chosen) {
      last = { query, job, answer, arm: answer.arms[i], site: chosen };
      show();
    } else body.append(h('p', { class: 'note', text: 'No run has finished yet; the table appears with the first ones.' }));
    if (focus) body.querySelector(`[aria-pressed="true"][data-site="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
    if (focusAxis) head.querySelector('select')?.focus();
  };

  return {
    root,
    redraw: fig.redraw,
    async update(query, job, runs) {
      const axes = axesOf(runs);
      root.hidden = !isChecked(job) || !axes.length;
      if (root.hidden) return;
      asked = query;
      const axis = axes.includes(query.get('axis')) ? query.get('axis') : '';
      const key = `${job.id} ${job.state} ${runs.filter((r) => r.state === 'done').length} ${axis}`;
      if (key !== loaded.key) loaded = { key, answer: get(`jobs/${job.id}/coordinates`, { axis }) };
      const mine = loaded;
      const answer = await mine.answer;
      const look = [key, ...COORDINATES_QUERY.map((k) => asked.get(k))].join(' ');
      if (mine !== loaded || look === drawn) return;
      drawn = look;
      draw(asked, job, axes, answer);
    },
  };
}
