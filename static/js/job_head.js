/* The head of a job's page: name, state, live progress, error, and what can be done with it. */

import { h, clear, badge, button, icon, copyText } from './dom.js';
import { ago, between, clock, count, duration } from './format.js';
import { get, post, remove, Problem } from './api.js';
import { go, href } from './router.js';
import { verdictBadge } from './rules.js';

export const isActive = (state) => state === 'queued' || state === 'running';

function percent(job) {
  const f = job.progress?.fraction;
  if (typeof f === 'number') return Math.round(100 * f);
  return job.runs_total ? Math.round((100 * (job.runs_done || 0)) / job.runs_total) : 0;
}

/* queue_position counts the runs of other jobs that come first. */
export function ahead(job) {
  return job.queue_position ? `${count(job.queue_position, 'run')} ahead in the queue` : 'next in the queue';
}

export function progressText(job) {
  const p = job.progress || {};
  const parts = [`${job.runs_done || 0} of ${count(job.runs_total, 'run')}`];
  if (job.state === 'queued') parts.push(ahead(job));
  if (job.state === 'running') {
    if (p.steps) parts.push(`step ${p.step ?? 0} of ${p.steps}`);
    if (p.layers) parts.push(`layer ${p.layer ?? 0} of ${p.layers}`);
    if (typeof p.eta_s === 'number') parts.push(`about ${duration(p.eta_s)} left`);
  }
  return parts.join(' · ');
}

export function progressBar(job) {
  const value = percent(job);
  return h('progress', { max: '100', value, 'aria-label': `Progress: ${value} percent` });
}

/** The strategies a job names, by itself or in its sweep; a name that was resolved away left its placement.
 * @returns {[string, string[]]} what they are, names */
function strategiesOf(job) {
  const of = job.resolved || {};
  const swept = of.sweep?.strategy || of.sweep?.['strategy.name'] || [];
  const names = [...swept, of.strategy].map((s) => (typeof s === 'string' ? s : s?.name)).filter(Boolean);
  if (names.length) return [names.length > 1 ? 'strategies ' : 'strategy ', [...new Set(names)]];
  return of.strategy?.placement ? ['placement ', [of.strategy.placement]] : ['', []];
}

/* Without those that a search did not need. */
export const runsText = (job) => count(job.runs_total - (job.runs_skipped || 0), 'run');

function facts(job) {
  const [what, strategies] = strategiesOf(job);
  const took = job.started_at && job.finished_at ? between(job.started_at, job.finished_at) : null;
  const hash = button([h('code', { text: String(job.hash || '').slice(0, 12) }), icon('copy')],
    () => copyText(job.hash, hash), { class: 'quiet small', 'aria-label': 'Copy the hash of the job', title: job.hash });
  return h('p', { class: 'facts' }, badge(job.state), verdictBadge(job.verdict),
    h('span', { title: clock(job.created_at), text: `created ${ago(job.created_at)}` }),
    took === null ? null : h('span', { text: `took ${duration(took)}` }),
    h('span', { text: `${runsText(job)}${job.runs_failed ? `, ${job.runs_failed} failed` : ''}` }),
    strategies.length ? h('span', { class: 'strategies' }, what,
      strategies.map((n, i) => [i ? ', ' : '', h('a', { href: href(['strategies', n]), text: n })])) : null,
    h('span', { class: 'hash' }, 'hash ', hash));
}

export function errorNote(error, title) {
  return h('div', { class: 'note error', role: 'alert' }, h('p', {}, icon('failed'), h('strong', { text: title })),
    h('p', { text: [error.title, error.detail].filter(Boolean).join(': ') }),
    error.pointer ? h('p', {}, 'Field: ', h('code', { text: error.pointer })) : null);
}

function failure(job) {
  if (job.state !== 'failed' && !job.error) return null;
  const error = typeof job.error === 'string' ? { detail: job.error } : job.error || { detail: 'see the table of runs' };
  return errorNote(error, job.runs_failed > 1 ? `${job.runs_failed} of ${job.runs_total} runs failed; the first:` : 'A run failed');
}

function actions(job, reload, say) {
  const attempt = (f) => async () => {
    try {
      await f();
    } catch (e) {
      say(e instanceof Problem ? e.message : String(e));
    }
  };
  const again = h('a', { class: 'button', href: href(['new'], { from: job.id }) }, 'New job from this');
  if (isActive(job.state)) {
    return [again, button('Cancel', attempt(async () => {
      await post(`jobs/${job.id}/cancel`);
      reload(await get(`jobs/${job.id}`));
    }), { class: 'danger' })];
  }
  const del = button('Delete', attempt(async () => {
    if (del.dataset.sure !== '1') {
      del.dataset.sure = '1';
      del.textContent = 'Delete for good?';
      setTimeout(() => {
        del.dataset.sure = '';
        del.textContent = 'Delete';
      }, 4000);
      return;
    }
    await remove(`jobs/${job.id}`);
    go([]);
  }), { class: 'danger' });
  return [again, del];
}

export function jobHead(reload) {
  const sayBox = h('div', { 'aria-live': 'polite' });
  const title = h('h1');
  const factBox = h('div');
  const buttonBox = h('div', { class: 'actions' });
  const live = h('div', { class: 'live' });
  const root = h('header', { class: 'job-head' }, h('div', { class: 'job-title' }, title, buttonBox), factBox, live, sayBox);
  const say = (text) => clear(sayBox).append(h('p', { class: 'note error', role: 'alert', text }));
  let shown = '';
  return {
    root,
    update(job) {
      title.textContent = job.name || `Job ${job.id}`;
      document.title = `${title.textContent} · Normscope`;
      clear(factBox).append(facts(job));
      if (shown !== `${job.id} ${job.state}`) {
        shown = `${job.id} ${job.state}`;
        clear(buttonBox).append(...actions(job, reload, say));
      }
      clear(live).append(...(isActive(job.state) ? [progressBar(job), h('p', { class: 'hint', text: progressText(job) })]
        : [failure(job)].filter(Boolean)));
    },
  };
}
