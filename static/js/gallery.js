/* The gallery: whole jobs with what is expected to come out, each run by one button. */

import { h, clear, button, icon } from './dom.js';
import { gallery as getGallery, post } from './api.js';
import { go, href } from './router.js';
import { errorNote } from './job_head.js';

const number = (v) => String(Number(v.toPrecision(4)));

export function rangeText(e) {
  if (e.min === e.max) return `exactly ${number(e.min)}`;
  if (e.max === null) return `at least ${number(e.min)}`;
  if (e.min === null) return `at most ${number(e.max)}`;
  return `${number(e.min)} to ${number(e.max)}`;
}

const LAYERS = { last: 'the last block', half: 'the middle block', quarter: 'the block at a quarter' };

function valueText(v) {
  const where = v.site === 'run' ? '' : ` at ${v.param || v.site}, ${LAYERS[v.layer] || `block ${v.layer}`}`;
  return `${v.metric}${where}${v.step ? `, after ${v.step} update${v.step > 1 ? 's' : ''}` : ''}${v.arm ? `, of ${v.arm}` : ''}`;
}

/* What is compared with the range: one number, or the ratio of two. */
export const measuredText = (e) => (e.over ? `${valueText(e.of)}, divided by ${valueText(e.over)}` : valueText(e.of));

function card(g) {
  const box = h('div');
  const run = button('Run', async () => {
    run.disabled = true;
    try {
      const job = await post('jobs', g.job);
      go(['jobs', String(job.id)]);
    } catch (e) {
      run.disabled = false;
      clear(box).append(errorNote(e, 'The job was refused'));
    }
  }, { class: 'primary', 'aria-label': `Run ${g.name}` });
  return h('article', { class: 'card gallery-card', id: `gallery-${g.name}`, 'aria-labelledby': `title-${g.name}` },
    h('h2', { id: `title-${g.name}` }, h('code', { text: g.name })), h('p', { class: 'gallery-summary', text: g.summary }),
    h('ul', { class: 'expectations' }, g.expect.map((e) => h('li', { title: measuredText(e) }, e.says, ' ', h('span', { class: 'range-text', text: rangeText(e) })))),
    h('p', { class: 'hint', text: `Source: ${g.source}` }), box,
    h('div', { class: 'actions' }, run, h('a', { class: 'button', href: href(['new'], { job: JSON.stringify(g.job) }), 'aria-label': `Open ${g.name} in the form` }, 'Change it first')));
}

/* On the page of a job of the gallery: what was expected, and what came. */
export function outcome(answer, id) {
  if (!answer.gallery) return null;
  const chart = (e) => (e.of.site === 'run' ? e.says : h('a', { href: href(['jobs', String(id)], { metric: e.of.metric, site: e.of.site, step: e.of.step, ...(e.of.param ? { param: e.of.param } : {}) }), text: e.says }));
  const line = (e) => {
    const state = e.value === null ? 'open' : e.holds ? 'holds' : 'fails';
    return h('tr', { class: `expectation ${state}` }, h('td', {}, state === 'open' ? 'not measured yet' : [icon(state === 'holds' ? 'done' : 'failed'), ` ${state}`]),
      h('th', { scope: 'row', title: measuredText(e) }, chart(e)), h('td', { class: 'num', text: typeof e.value === 'number' ? number(e.value) : e.value ?? '' }), h('td', { text: rangeText(e) }));
  };
  return h('section', { class: 'card', 'aria-labelledby': 'expected-title' }, h('h2', { id: 'expected-title', text: 'What was expected' }),
    h('p', { class: 'definition' }, 'This job is ', h('a', { href: href(['gallery', answer.gallery]), text: answer.gallery }), ' of the gallery. Values are means over the seeds.'),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Expectations' }, h('table', { class: 'data' },
      h('thead', {}, h('tr', {}, ['', 'Expectation', 'Measured', 'Expected'].map((t) => h('th', { scope: 'col', text: t })))), h('tbody', {}, answer.expectations.map(line)))));
}

export async function galleryPage(root, { parts }) {
  document.title = 'Gallery · Normscope';
  let list;
  try {
    list = await getGallery();
  } catch (e) {
    clear(root).append(h('h1', { text: 'Gallery' }), errorNote({ detail: e.message }, 'The gallery could not be loaded'));
    return {};
  }
  clear(root).append(h('h1', { text: 'Gallery' }),
    h('p', { class: 'lead', text: 'Known effects and known failures as jobs that take seconds, each with what theory or an independent implementation says will come out. The program checks it, here and in its own tests.' }),
    h('div', { class: 'gallery-grid' }, list.map(card)));
  const scroll = (name) => document.getElementById(`gallery-${name}`)?.scrollIntoView({ block: 'center' });
  if (parts[1]) scroll(parts[1]);
  return { update: (r) => { if (r.parts[1]) scroll(r.parts[1]); return true; } };
}
