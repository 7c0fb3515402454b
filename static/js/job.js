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
        format === 'csv' ? 'text/csv' : 'application/json').catch((e) => say(e.message)),
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

export async function jobPage(root, { parts, query }) {
  const id = parts[1];
  let job;
  let runs;
  let metrics;
  try {
    [job, { runs }, metrics] = await Promise.all([get(`jobs/${encodeURIComponent(id)}`),
      get(`jobs/${encodeURIComponent(id)}/runs`), registry('metrics')]);
  } catch (e) {
    clear(root).append(...notFound(e, id));
    return {};
  }
  const sayBox = h('p', { class: 'note error', role: 'alert', hidden: true });
  const say = (text) => { sayBox.textContent = text; sayBox.hidden = false; };
  let live = true;
  let asked = '';
  let waiting = 0;
  let stop = () => {};
  const head = jobHead((next) => take(next));
  const picture = picturePanel(metrics);
  const growth = growthPanel();
  const coordinates = coordinatesPanel();
  const ranking = rankingPanel(metrics);
  const losses = lossPanel();
  const table = runsPanel();
  const verdict = verdictPanel();
  const expected = h('div');

  const showOne = (panel) => panel.update(query, job, runs).catch((e) => say(e.message));
  const show = () => {
    head.update(job);
    table.update(runs);
    verdict.update(job, runs).catch((e) => say(e.message));
    picture.update(query, job, runs, (step) => growth.update(job, runs, step).catch((e) => say(e.message)));
    showOne(coordinates);
    showOne(ranking);
    showOne(losses);
  };
  const compare = async () => {
    const answer = await get(`jobs/${encodeURIComponent(id)}/expectations`);
    if (live) clear(expected).append(...[outcome(answer, id)].filter(Boolean));
  };

  const reload = async () => {
    waiting = 0;
    try {
      const [full, list] = await Promise.all([get(`jobs/${id}`), get(`jobs/${id}/runs`)]);
      if (!live) return;
      job = { ...full, progress: full.progress || job.progress };
      runs = list.runs;
      show();
      await compare();
    } catch (e) {
      if (live) say(e.message);
    }
  };

  /* An event says less than the job object; what it does not say stays. Runs and pictures are loaded
   * again when a run or the job has ended, and at most every REFRESH_MS while it goes on. */
  const take = (part) => {
    if (!live) return;
    job = { ...job, ...part, progress: part.progress || job.progress };
    const key = `${job.state} ${job.runs_done} ${job.runs_failed}`;
    head.update(job);
    if (key === asked) return;
    asked = key;
    if (!isActive(job.state)) {
      clearTimeout(waiting);
      reload();
    } else if (!waiting) {
      waiting = setTimeout(reload, REFRESH_MS);
    }
  };

  clear(root).append(h('p', { class: 'crumbs' }, h('a', { href: href([]), text: 'Jobs' }), ` / ${job.id}`),
    head.root, sayBox, verdict.root, expected, coordinates.root, picture.root, growth.root, ranking.root, losses.root, table.root,
    ...[readAs(job)].filter(Boolean), h('div', { class: 'two' }, resolved(job), downloads(job, say)));
  asked = `${job.state} ${job.runs_done} ${job.runs_failed}`;
  show();
  compare().catch((e) => say(e.message));
  if (isActive(job.state)) stop = follow(id, take);

  return {
    update(route) {
      if (route.parts[1] !== id) return false;
      const changed = differing(query, route.query);
      query = route.query;
      const alone = [[coordinates, COORDINATES_QUERY], [ranking, RANKING_QUERY]].find(([, own]) => changed.length && changed.every((k) => own.includes(k)));
      if (alone) showOne(alone[0]);
      else show();
      return true;
    },
    redraw() {
      coordinates.redraw();
      picture.redraw();
      losses.redraw();
    },
    destroy() {
      live = false;
      clearTimeout(waiting);
      stop();
    },
  };
}
