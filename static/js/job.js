/* A job's page: live state, the one picture, growth laws, loss curves, runs, resolved job, downloads. */

import { h, clear, button, icon } from './dom.js';
import { download, follow, get, registry } from './api.js';
import { href } from './router.js';
import { errorNote, isActive, jobHead } from './job_head.js';
import { picturePanel } from './picture_panel.js';
import { outcome } from './gallery.js';
import { growthPanel } from './growth.js';
import { lossPanel } from './losses.js';
import { runsPanel } from './runs.js';
import { verdictPanel } from './verdict.js';
import { COORDINATES_QUERY, coordinatesPanel } from './coordinates.js';
import { RANKING_QUERY, rankingPanel } from './ranking.js';
import { jsonView } from './json_view.js';
import { coverageView, noteList } from './coverage.js';

const REFRESH_MS = 1500;
const FILES = [['Measurements', 'series'], ['Losses', 'steps']];

function downloads(job, say) {
  const items = FILES.map(([label, path]) => h('li', {}, `${label}: `,
    ['csv', 'json'].map((format) => [button([icon('download'), format.toUpperCase()],
      () => download(`jobs/${job.id}/${path}`, { format }, `normscope-job-${job.id}-${path}.${format}`,
        format === 'csv' ? 'text/csv' : 'application/json').catch(say),
      { class: 'quiet', 'aria-label': `${label} of all runs as ${format.toUpperCase()}` }), ' '])));
  return h('section', { class: 'card', 'aria-labelledby': 'files-title' }, h('h2', { id: 'files-title', text: 'Download' }),
    h('ul', { class: 'plain' }, items), h('p', { class: 'definition', text: 'Every number of every run; nothing is sampled or left out. The chart itself is saved with the SVG and PNG buttons under it.' }));
}

function resolved(job) {
  return h('section', { class: 'card', 'aria-labelledby': 'resolved-title' },
    h('h2', { id: 'resolved-title', text: 'Resolved job' }),
    h('p', { class: 'definition', text: 'Every default made explicit. The hash is taken over this text; an equal job is answered from its stored result.' }),
    jsonView(job.resolved, 'resolved job'));
}

/* What was said when the job was read; nothing for most jobs. */
function readAs(job) {
  if (!job.coverage && !job.notes?.length) return null;
  return h('section', { class: 'card', 'aria-labelledby': 'read-title' }, h('h2', { id: 'read-title', text: 'How the job was read' }),
    noteList(job.notes), job.coverage ? coverageView(job.coverage) : null);
}

/* Keys of the address in which two states of a page differ. */
const differing = (a, b) => [...new Set([...a.keys(), ...b.keys()])].filter((k) => a.get(k) !== b.get(k));

function notFound(e, id) {
  return [h('h1', { text: e.status === 404 ? `There is no job ${id}` : 'The job could not be loaded' }),
    errorNote({ detail: e.message }, e.title || 'The request failed'),
    h('p', {}, h('a', { href: href([]), text: 'All jobs' }))];
}

/** What the functions of the page share.
 * @returns {any} */
function makePage(id, query, [job, { runs }], metrics) {
  const page = { id, query, job, runs, live: true, asked: stateKey(job), waiting: 0, stop: () => {} };
  page.sayBox = h('p', { class: 'note error', role: 'alert', hidden: true });
  page.say = (e) => { page.sayBox.textContent = e.message; page.sayBox.hidden = false; };
  page.head = jobHead((next) => take(page, next));
  page.verdict = verdictPanel();
  page.expected = h('div');
  page.coordinates = coordinatesPanel();
  page.picture = picturePanel(metrics);
  page.growth = growthPanel();
  page.ranking = rankingPanel(metrics);
  page.losses = lossPanel();
  page.table = runsPanel();
  return page;
}

/** @returns {Promise<[Job, {runs: Run[]}]>} */
const load = (id) => Promise.all([get(`jobs/${encodeURIComponent(id)}`), get(`jobs/${encodeURIComponent(id)}/runs`)]);

/* A change of it makes the page load again. */
const stateKey = (job) => `${job.state} ${job.runs_done} ${job.runs_failed}`;

function showOne(page, panel) {
  panel.update(page.query, page.job, page.runs).catch(page.say);
}

function show(page) {
  const { job, runs } = page;
  page.head.update(job);
  page.table.update(runs);
  page.verdict.update(job, runs).catch(page.say);
  page.picture.update(page.query, job, runs, (step) => page.growth.update(job, runs, step).catch(page.say));
  for (const panel of [page.coordinates, page.ranking, page.losses]) showOne(page, panel);
}

/* What a gallery job was expected to show, beside what it shows. */
async function compare(page) {
  const answer = await get(`jobs/${encodeURIComponent(page.id)}/expectations`);
  if (page.live) clear(page.expected).append(...[outcome(answer, page.id)].filter(Boolean));
}

async function reload(page) {
  page.waiting = 0;
  try {
    const [full, list] = await load(page.id);
    if (!page.live) return;
    page.job = { ...full, progress: full.progress || page.job.progress };
    page.runs = list.runs;
    show(page);
    await compare(page);
  } catch (e) {
    if (page.live) page.say(e);
  }
}

/* An event says less than the job object; what it does not say stays. Runs and pictures are loaded
 * again when a run or the job has ended, and at most every REFRESH_MS while it goes on. */
function take(page, part) {
  if (!page.live) return;
  page.job = { ...page.job, ...part, progress: part.progress || page.job.progress };
  page.head.update(page.job);
  if (stateKey(page.job) === page.asked) return;
  page.asked = stateKey(page.job);
  if (!isActive(page.job.state)) {
    clearTimeout(page.waiting);
    reload(page);
  } else if (!page.waiting) {
    page.waiting = setTimeout(() => reload(page), REFRESH_MS);
  }
}

/* Another state of the same page; where only one panel's keys changed, only that is drawn again. */
function turn(page, query) {
  const changed = differing(page.query, query);
  page.query = query;
  const alone = [[page.coordinates, COORDINATES_QUERY], [page.ranking, RANKING_QUERY]]
    .find(([, own]) => changed.length && changed.every((k) => own.includes(k)));
  if (alone) showOne(page, alone[0]);
  else show(page);
}

function layout(root, page) {
  clear(root).append(h('p', { class: 'crumbs' }, h('a', { href: href([]), text: 'Jobs' }), ` / ${page.job.id}`),
    page.head.root, page.sayBox, page.verdict.root, page.expected, page.coordinates.root, page.picture.root, page.growth.root,
    page.ranking.root, page.losses.root, page.table.root, ...[readAs(page.job)].filter(Boolean),
    h('div', { class: 'two' }, resolved(page.job), downloads(page.job, page.say)));
}

export async function jobPage(root, { parts, query }) {
  const id = parts[1];
  let page;
  try {
    page = makePage(id, query, await load(id), await registry('metrics'));
  } catch (e) {
    clear(root).append(...notFound(e, id));
    return {};
  }
  layout(root, page);
  show(page);
  compare(page).catch(page.say);
  if (isActive(page.job.state)) page.stop = follow(id, (part) => take(page, part));
  return {
    update(route) {
      if (route.parts[1] !== id) return false;
      turn(page, route.query);
      return true;
    },
    redraw() {
      for (const panel of [page.coordinates, page.picture, page.losses]) panel.redraw();
    },
    destroy() {
      page.live = false;
      clearTimeout(page.waiting);
      page.stop();
    },
  };
}
