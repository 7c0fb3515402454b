/* The first page: the newest result beside the list of jobs; with an empty database, what this is. */

import { h, clear, badge, button } from './dom.js';
import { get, post } from './api.js';
import { ago, clock, count } from './format.js';
import { go, href, setQuery } from './router.js';
import { ahead, errorNote, isActive, progressBar, runsText } from './job_head.js';
import { smallPicture } from './picture.js';
import { verdictBadge } from './rules.js';

const PAGE = 25;
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

export async function jobsPage(root, { query }) {
  let live = true;
  let timer = 0;
  let jobs = [];
  let next = null;
  let pages = 1;
  let pictured = '';
  let fig = null;
  const filter = () => (STATES.includes(query.get('state')) ? query.get('state') : '');
  const listBox = h('ul', { class: 'job-list' });
  const moreBox = h('div');
  const problemBox = h('div');
  const heroBox = h('div', { class: 'hero-box' });
  const select = h('select', { name: 'state', 'aria-label': 'Show jobs in state',
    onchange: () => setQuery({ state: select.value || null }, true) },
  ['', ...STATES].map((s) => h('option', { value: s, text: s || 'all states' })));
  const page = h('div', { class: 'jobs-page' },
    h('section', { class: 'jobs-side', 'aria-labelledby': 'jobs-title' },
      h('div', { class: 'list-head' }, h('h1', { id: 'jobs-title', text: 'Jobs' }), select,
        h('a', { class: 'button primary', href: href(['new']) }, 'New job')), problemBox, listBox, moreBox), heroBox);

  const hero = async () => {
    const best = jobs.find((j) => j.runs_done > 0);
    if (!best) {
      clear(heroBox);
      pictured = '';
      return;
    }
    const key = `${best.id} ${best.runs_done}`;
    if (key === pictured) return;
    const anew = !pictured.startsWith(`${best.id} `);
    pictured = key;
    const made = newest(best);
    if (anew) clear(heroBox).append(made.root);
    try {
      const drawn = await smallPicture(made.box, await get(`jobs/${best.id}`));
      if (!live || pictured !== key) return;
      clear(heroBox).append(made.root);
      fig = drawn;
    } catch (e) {
      clear(made.box).append(h('p', { class: 'hint', text: `No picture: ${e.message}` }));
    }
  };

  const draw = () => {
    const focused = document.activeElement?.closest?.('.job-row')?.dataset.id;
    if (!jobs.length && !filter()) {
      if (!root.querySelector('.welcome')) clear(root).append(welcome());
      return;
    }
    if (!page.isConnected) clear(root).append(page);
    select.value = filter();
    clear(listBox).append(...jobs.map(row));
    if (!jobs.length) listBox.append(h('li', { class: 'hint', text: `No job is ${filter()}.` }));
    clear(moreBox);
    if (next) moreBox.append(button('More jobs', () => { pages += 1; refresh(); }, { class: 'quiet' }));
    if (focused) listBox.querySelector(`[data-id="${focused}"] a`)?.focus();
    hero();
  };

  const refresh = async () => {
    clearTimeout(timer);
    try {
      if (!document.hidden || !jobs.length) {
        const list = [];
        let before = null;
        for (let i = 0; i < pages; i++) {
          const body = await get('jobs', { state: filter(), limit: PAGE, before });
          list.push(...body.jobs);
          before = body.next;
          if (!before) break;
        }
        if (!live) return;
        jobs = list;
        next = before;
        clear(problemBox);
        draw();
      }
    } catch (e) {
      if (!live) return;
      if (!page.isConnected) clear(root).append(page);
      clear(problemBox).append(errorNote({ detail: e.message }, 'The list could not be loaded'));
    }
    if (live) timer = setTimeout(refresh, jobs.some((j) => isActive(j.state)) ? 1500 : 8000);
  };

  document.title = 'Normscope';
  await refresh();
  return {
    update(route) {
      query = route.query;
      pages = 1;
      refresh();
      return true;
    },
    redraw: () => fig?.redraw(),
    destroy() {
      live = false;
      clearTimeout(timer);
    },
  };
}
