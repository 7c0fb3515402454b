/* The first page: the newest result beside the list of jobs; with an empty database, what this is. */

import { h, clear, badge, button, focusIn } from './dom.js';
import { get, post } from './api.js';
import { ago, clock, count } from './format.js';
import { go, href, setQuery } from './router.js';
import { ahead, errorNote, isActive, progressBar, runsText } from './job_head.js';
import { smallPicture } from './picture.js';
import { verdictBadge } from './rules.js';

const PAGE = 25;
const ACTIVE_MS = 1500; /* between two looks at the list, while a job runs and otherwise */
const IDLE_MS = 8000;
const STATES = ['queued', 'running', 'done', 'failed', 'cancelled'];

function welcome() {
  const box = h('div');
  const start = button('Run the demo study', async () => {
    start.disabled = true;
    try {
      const job = await post('demo');
      go(['jobs', String(job.id)]);
    } catch (e) {
      start.disabled = false;
      clear(box).append(errorNote(e, 'The demo could not be started'));
    }
  }, { class: 'primary big', id: 'demo' });
  return h('section', { class: 'welcome' }, h('h1', { text: 'Will this network carry signal and gradient?' }),
    h('p', { class: 'lead', text: 'Normscope builds a transformer with the normalization and depth you name, runs short forward and backward probes, and shows how variance, gradients and rank develop from layer to layer. Every number is really computed, kept in a database, and can be had again bit for bit.' }),
    h('div', { class: 'actions' }, start, h('a', { class: 'button big', href: href(['new']) }, 'Describe your own job'),
      h('a', { class: 'button big', href: href(['gallery']) }, 'See known effects')), box,
    h('p', { class: 'hint', text: 'The demo compares Pre-LN, Post-LN and Peri-LN at depths 6, 12 and 24 on real text, three seeds each. It takes about half a minute.' }));
}

function row(job) {
  const name = job.name || `Job ${job.id}`;
  const failed = job.runs_failed ? `, ${job.runs_failed} failed` : '';
  const runs = isActive(job.state) ? `${job.runs_done || 0} of ${count(job.runs_total, 'run')}${failed}` : `${runsText(job)}${failed}`;
  return h('li', { class: 'job-row', 'data-id': job.id }, h('div', { class: 'job-row-main' },
    h('a', { href: href(['jobs', String(job.id)]), class: 'job-name', text: name }), verdictBadge(job.verdict), badge(job.state)),
  h('div', { class: 'job-row-sub' }, h('span', { text: `#${job.id}` }),
    h('span', { title: clock(job.created_at), text: ago(job.created_at) }), h('span', { text: runs }),
    job.state === 'queued' ? h('span', { text: ahead(job) }) : null),
  isActive(job.state) ? progressBar(job) : null);
}

function newest(job) {
  const box = h('div', { class: 'hero-body' }, h('p', { class: 'hint', text: 'Loading …' }));
  const link = href(['jobs', String(job.id)]);
  const root = h('section', { class: 'card hero', 'aria-labelledby': 'hero-title' },
    h('h2', { id: 'hero-title' }, 'Newest result: ', h('a', { href: link, text: job.name || `Job ${job.id}` })), box,
    h('p', {}, h('a', { class: 'button', href: link }, 'Open: other metrics, table, runs')));
  return { root, box };
}

/** What the functions of the page share.
 * @returns {any} */
function makePage(root, query) {
  const page = { root, query, live: true, timer: 0, jobs: [], next: null, pages: 1, pictured: '', fig: null };
  page.list = h('ul', { class: 'job-list' });
  page.more = h('div');
  page.problem = h('div');
  page.hero = h('div', { class: 'hero-box' });
  page.select = h('select', { name: 'state', 'aria-label': 'Show jobs in state',
    onchange: () => setQuery({ state: page.select.value || null }, true) },
  ['', ...STATES].map((s) => h('option', { value: s, text: s || 'all states' })));
  page.body = h('div', { class: 'jobs-page' },
    h('section', { class: 'jobs-side', 'aria-labelledby': 'jobs-title' },
      h('div', { class: 'list-head' }, h('h1', { id: 'jobs-title', text: 'Jobs' }), page.select,
        h('a', { class: 'button primary', href: href(['new']) }, 'New job')), page.problem, page.list, page.more), page.hero);
  return page;
}

const filterOf = ({ query }) => (STATES.includes(query.get('state')) ? query.get('state') : '');

/* The newest job with a result, drawn again when more of its runs are done. */
async function drawHero(page) {
  const best = page.jobs.find((j) => j.runs_done > 0);
  if (!best) {
    clear(page.hero);
    page.pictured = '';
    return;
  }
  const key = `${best.id} ${best.runs_done}`;
  if (key === page.pictured) return;
  const anew = !page.pictured.startsWith(`${best.id} `);
  page.pictured = key;
  const made = newest(best);
  if (anew) clear(page.hero).append(made.root);
  try {
    const drawn = await smallPicture(made.box, await get(`jobs/${best.id}`));
    if (!page.live || page.pictured !== key) return;
    clear(page.hero).append(made.root);
    page.fig = drawn;
  } catch (e) {
    clear(made.box).append(h('p', { class: 'hint', text: `No picture: ${e.message}` }));
  }
}

function draw(page) {
  const { root, jobs, list } = page;
  const filter = filterOf(page);
  const focused = focusIn(document.body)?.closest('.job-row')?.getAttribute('data-id');
  if (!jobs.length && !filter) {
    if (!root.querySelector('.welcome')) clear(root).append(welcome());
    return;
  }
  if (!page.body.isConnected) clear(root).append(page.body);
  page.select.value = filter;
  clear(list).append(...jobs.map(row));
  if (!jobs.length) list.append(h('li', { class: 'hint', text: `No job is ${filter}.` }));
  clear(page.more);
  if (page.next) page.more.append(button('More jobs', () => { page.pages += 1; refresh(page); }, { class: 'quiet' }));
  if (focused) list.querySelector(`[data-id="${focused}"] a`)?.focus();
  drawHero(page);
}

/* As many pages of the list as are shown -> the jobs, and where the next page begins. */
async function loadPages(filter, pages) {
  const jobs = [];
  let next = null;
  for (let i = 0; i < pages; i++) {
    const body = await get('jobs', { state: filter, limit: PAGE, before: next });
    jobs.push(...body.jobs);
    next = body.next;
    if (!next) break;
  }
  return { jobs, next };
}

async function refresh(page) {
  clearTimeout(page.timer);
  try {
    if (!document.hidden || !page.jobs.length) {
      const loaded = await loadPages(filterOf(page), page.pages);
      if (!page.live) return;
      Object.assign(page, loaded);
      clear(page.problem);
      draw(page);
    }
  } catch (e) {
    if (!page.live) return;
    if (!page.body.isConnected) clear(page.root).append(page.body);
    clear(page.problem).append(errorNote({ detail: e.message }, 'The list could not be loaded'));
  }
  if (page.live) page.timer = setTimeout(() => refresh(page), page.jobs.some((j) => isActive(j.state)) ? ACTIVE_MS : IDLE_MS);
}

export async function jobsPage(root, { query }) {
  const page = makePage(root, query);
  document.title = 'Normscope';
  await refresh(page);
  return {
    update(route) {
      page.query = route.query;
      page.pages = 1;
      refresh(page);
      return true;
    },
    redraw: () => page.fig?.redraw(),
    destroy() {
      page.live = false;
      clearTimeout(page.timer);
    },
  };
}
