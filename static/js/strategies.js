/* The catalogue of strategies: a list to search, and for each its equation, drawing, parameters and what
 * is known of it. */

import { h, clear, focusIn } from './dom.js';
import { gallery as getGallery, get, strategies as getStrategies } from './api.js';
import { href, setQuery } from './router.js';
import { errorNote } from './job_head.js';
import { networkView } from './drawing.js';
import { pretty } from './json_view.js';
import { field } from './picture_controls.js';

/* Where a norm can stand, by the end of its place's name; the first that fits. */
/** @type {[string, RegExp][]} */
const PLACES = [['q, k, v', /\.[qkv]_norm$/], ['branch input', /\.norm_in$/], ['branch output', /\.norm_out$/], ['stream', /\.norm_(post|y)$/],
  ['inside a branch', /\.norm_inner$/], ['embedding', /^embed_norm$/], ['end', /^final_norm/]];

const placesOf = (s) => PLACES.map(([name]) => name).filter((name) => s.places.some((p) => PLACES.find(([, form]) => form.test(p))?.[0] === name));

/* A job that shows it beside Pre-LN. */
export function tryJob(name) {
  const other = name === 'pre_ln' ? 'post_ln' : 'pre_ln';
  return { name: `${name} beside ${other}`, model: 'tiny', depth: 24, sweep: { strategy: [other, name] } };
}

const matches = (s, words, place) => {
  const text = [s.name, s.equation, s.source, s.behaviour, s.limits, s.refused, s.init].join(' ').toLowerCase();
  return words.every((w) => text.includes(w)) && (!place || (place === 'none' ? !s.refused && !s.places.length : place === 'refused' ? s.refused : placesOf(s).includes(place)));
};

function item(s, chosen) {
  const places = placesOf(s).filter((p) => p !== 'end');
  return h('li', { class: `strategy-item${s.name === chosen ? ' chosen' : ''}`, 'data-name': s.name },
    h('a', { href: href(['strategies', s.name]), 'aria-current': s.name === chosen ? 'true' : null }, h('code', { text: s.name })),
    s.refused ? h('span', { class: 'chip refused', text: 'not offered' }) : places.map((p) => h('span', { class: 'chip', text: p })),
    h('span', { class: 'equation', text: s.equation }));
}

/* Bounds that are there only to keep numbers finite say nothing to a person. */
const rangeOf = (p) => p.allowed.replace('numbers -1e30 to 1e30', 'any number').replace(/^numbers (.*) to 1e30$/, 'numbers from $1') + (p.unit ? `, ${p.unit}` : '');

function parameterTable(s) {
  const rows = s.parameters.map((p) => h('tr', { class: p.set ? 'set' : null }, h('th', { scope: 'row' }, h('code', { text: p.path })),
    h('td', {}, h('code', { text: JSON.stringify(p.value) }), p.set ? h('span', { class: 'chip', text: 'set by the strategy' }) : null),
    h('td', { class: 'wrap' }, p.doc, h('span', { class: 'faint', text: ` ${rangeOf(p)}` }))));
  return h('section', { class: 'card', 'aria-labelledby': 'parameters-title' }, h('h2', { id: 'parameters-title', text: 'Parameters' }),
    h('p', { class: 'definition', text: 'What a job can tell this strategy, and the value when it does not. Fields that mean nothing here are left out; a job that gives one is refused with the reason.' }),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Parameters' },
      h('table', { class: 'data parameters' }, h('thead', {}, h('tr', {}, ['Field', 'Value', 'Meaning and range'].map((t) => h('th', { scope: 'col', text: t })))), h('tbody', {}, rows))));
}

function facts(s, shown) {
  const row = (term, text) => (text ? [h('dt', { text: term }), h('dd', { text })] : null);
  const links = shown.map((g, i) => [i ? ', ' : '', h('a', { href: href(['gallery', g.name]), text: g.name })]);
  return h('dl', { class: 'about' }, row('Not offered', s.refused), row('Initial weights', s.init), row('What is known', s.behaviour), row('Limits', s.limits), row('Source', s.source),
    links.length ? [h('dt', { text: 'In the gallery' }), h('dd', {}, links)] : null);
}

function details(s, shown) {
  const job = tryJob(s.name);
  const box = h('div', { class: 'drawing-host' });
  const root = h('article', { class: 'strategy', 'aria-labelledby': 'strategy-title' },
    h('p', { class: 'crumbs narrow-only' }, h('a', { href: href(['strategies']), text: 'All strategies' })),
    h('div', { class: 'job-title' }, h('h1', { id: 'strategy-title', tabindex: '-1' }, h('code', { text: s.name })),
      s.refused ? null : h('a', { class: 'button primary', id: 'try', href: href(['new'], { job: JSON.stringify(job) }) }, `Try it beside ${job.sweep.strategy[0]}`)),
    h('p', { class: 'equation big', text: s.equation }), facts(s, shown),
    s.refused ? null : h('section', { class: 'card', 'aria-labelledby': 'drawing-title' }, h('h2', { id: 'drawing-title', text: 'The network' }),
      h('p', { class: 'definition' }, 'Drawn from the graph that is computed, at depth 8. The stream runs down at the left, branches beside it; ',
        h('span', { class: 'key key-norm', text: 'norms' }), ' with the names of their places, ', h('span', { class: 'key key-product', text: 'matrix products' }), ', ',
        h('span', { class: 'key key-learned', text: 'learned factors' }), '.'), box),
    s.refused ? null : parameterTable(s),
    s.refused ? null : h('section', { class: 'card', 'aria-labelledby': 'part-title' }, h('h2', { id: 'part-title', text: 'As a job' }),
      h('p', {}, 'The name stands for ', h('code', { text: pretty(s.job, '', 9999) }), '; a job\'s own fields win over it.')));
  const draw = () => {
    if (!s.drawing || !box.isConnected) return;
    const room = box.clientWidth || 470;
    clear(box).append(networkView(s.drawing, room >= 720 ? Math.min(470, (room - 32) / 2) : Math.max(250, Math.min(470, room))));
  };
  return { root, draw };
}

export async function strategiesPage(root, route) {
  document.title = 'Strategies · Normscope';
  let list;
  let gallery;
  try {
    [list, gallery] = await Promise.all([getStrategies(), getGallery()]);
  } catch (e) {
    clear(root).append(h('h1', { text: 'Strategies' }), errorNote({ detail: e.message }, 'The catalogue could not be loaded'));
    return {};
  }
  let live = true;
  let query = route.query;
  let chosen = null;
  let shown = null;
  const search = h('input', { type: 'search', name: 'q', autocomplete: 'off', spellcheck: 'false', placeholder: 'name, paper …' });
  const place = h('select', { name: 'place' }, [['', 'any place'], ...PLACES.map(([p]) => [p, p]), ['none', 'no norm'], ['refused', 'not offered']]
    .map(([value, text]) => h('option', { value, text })));
  const count = h('p', { class: 'hint', role: 'status' });
  const listBox = h('ul', { class: 'plain strategy-list' });
  const detailBox = h('div', { class: 'strategy-detail' });
  const drawList = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = list.filter((s) => matches(s, words, place.value));
    const focused = focusIn(listBox)?.closest('li')?.dataset.name;
    count.textContent = found.length === list.length ? `${list.length} strategies` : `${found.length} of ${list.length} strategies`;
    clear(listBox).append(...found.map((s) => item(s, chosen)));
    if (focused) listBox.querySelector(`[data-name="${focused}"] a`)?.focus();
    const here = listBox.querySelector('.chosen');
    if (here && here.offsetTop + here.offsetHeight > listBox.scrollTop + listBox.clientHeight) listBox.scrollTop = here.offsetTop - listBox.clientHeight / 2;
  };
  const narrow = () => setQuery({ q: search.value || null, place: place.value || null }, true);
  search.addEventListener('input', narrow);
  place.addEventListener('change', narrow);

  const show = async (name, moveFocus) => {
    chosen = name;
    page.classList.toggle('with-detail', Boolean(name));
    drawList();
    if (!name) {
      document.title = 'Strategies · Normscope';
      clear(detailBox).append(h('p', { class: 'lead wide-only', text: 'Choose a strategy to see its equation, its drawing and what it can be told.' }));
      shown = null;
      return;
    }
    document.title = `${name} · Strategies · Normscope`;
    try {
      const s = await get(`strategies/${encodeURIComponent(name)}`);
      if (!live || chosen !== name) return;
      shown = details(s, gallery.filter((g) => JSON.stringify(g.job).includes(`"${name}"`)));
      clear(detailBox).append(shown.root);
      shown.draw();
      if (moveFocus) detailBox.querySelector('#strategy-title')?.focus({ preventScroll: true });
    } catch (e) {
      if (live && chosen === name) clear(detailBox).append(errorNote({ detail: e.message }, e.status === 404 ? `There is no strategy ${name}` : 'The strategy could not be loaded'));
    }
  };
  const page = h('div', { class: 'strategies-page' },
    h('section', { class: 'strategy-side', 'aria-labelledby': 'strategies-title' },
      h('h1', { id: 'strategies-title', text: 'Strategies' }),
      h('div', { class: 'controls' }, field('Search', search), field('With a norm at', place)), count, listBox), detailBox);
  const resize = () => shown?.draw();
  addEventListener('resize', resize);
  const take = (r, moveFocus) => {
    query = r.query;
    if (document.activeElement !== search) search.value = query.get('q') || '';
    place.value = query.get('place') || '';
    const name = r.parts[1] || (matchMedia('(min-width: 60rem)').matches ? 'pre_ln' : null);
    if (name === chosen && shown) drawList();
    else show(name, moveFocus);
  };
  clear(root).append(page);
  take(route, false);
  return {
    update(r) {
      const other = (r.parts[1] || null) !== chosen;
      take(r, other);
      if (other && !matchMedia('(min-width: 60rem)').matches) scrollTo(0, 0);
      return true;
    },
    destroy() {
      live = false;
      removeEventListener('resize', resize);
    },
  };
}
