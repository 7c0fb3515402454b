/* Starts the dashboard: shell, theme, health, token, and the page the address names. */

import { h, clear, button, byId } from './dom.js';
import { health, setToken } from './api.js';
import { href, onRoute, startRouter } from './router.js';
import { mountTheme } from './theme.js';
import { jobsPage } from './jobs.js';
import { jobPage } from './job.js';
import { formPage } from './form.js';
import { cataloguePage } from './catalogue.js';
import { galleryPage } from './gallery.js';
import { strategiesPage } from './strategies.js';

const NAV = [['Jobs', []], ['New job', ['new']], ['Gallery', ['gallery']], ['Strategies', ['strategies']], ['Catalogue', ['catalogue']]];
const main = byId('main');
/** @type {{name: string | null, view: View | null, route: Route | null}} */
let page = { name: null, view: null, route: null };

/**
 * @param {string[]} parts
 * @returns {[string, (root: Element, route: Route) => Promise<View>]}
 */
function pageOf(parts) {
  if (!parts.length || (parts[0] === 'jobs' && parts.length === 1)) return ['jobs', jobsPage];
  if (parts[0] === 'jobs' && parts.length === 2) return [`job ${parts[1]}`, jobPage];
  if (parts[0] === 'new') return ['new', formPage];
  if (parts[0] === 'strategies' && parts.length <= 2) return ['strategies', strategiesPage];
  if (parts[0] === 'gallery' && parts.length <= 2) return ['gallery', galleryPage];
  if (parts[0] === 'catalogue') return ['catalogue', cataloguePage];
  return ['missing', missingPage];
}

async function missingPage(root) {
  document.title = 'Not found · Normscope';
  clear(root).append(h('h1', { text: 'There is no such page' }), h('p', {}, h('a', { href: href([]), text: 'All jobs' })));
  return {};
}

function drawNav(parts) {
  const here = !parts.length ? 'jobs' : parts[0];
  clear(byId('nav')).append(...NAV.map(([text, to]) => h('a', { href: href(to),
    'aria-current': (to[0] || 'jobs') === here ? 'page' : null, text })));
}

/** @param {Route} r */
async function route(r) {
  drawNav(r.parts);
  const [name, open] = pageOf(r.parts);
  if (page.name === name) {
    page.route = r;
    if (page.view?.update?.(r) !== false) return;
  }
  page.view?.destroy?.();
  /** @type {typeof page} */
  const mine = { name, view: null, route: r };
  const first = page.name === null;
  page = mine;
  const root = h('div', { class: `page page-${name.split(' ')[0]}` });
  clear(main).append(root);
  scrollTo(0, 0);
  if (!first) main.focus({ preventScroll: true });
  const view = await open(root, r);
  if (page !== mine) {
    view?.destroy?.();
    return;
  }
  mine.view = view;
  if (mine.route && mine.route !== r) view.update?.(mine.route);
}

/* One line on whether the service can compute, from /healthz. */
async function watchHealth() {
  const box = byId('health');
  const show = (kind, text, title) => {
    if (box.textContent === text) return;
    box.className = `health health-${kind}`;
    box.title = title;
    box.textContent = text;
  };
  try {
    const s = await health();
    const busy = (s.runs_running || 0) + (s.runs_queued || 0);
    if (s.status && s.status !== 'ok') show('bad', 'not healthy', JSON.stringify(s));
    else show(busy ? 'busy' : 'ok', busy ? `${s.runs_running || 0} running, ${s.runs_queued || 0} queued` : 'ready', `${s.workers_alive ?? '?'} workers, version ${s.version ?? '?'}`);
  } catch {
    show('bad', 'no answer', 'The server does not answer');
  }
  setTimeout(watchHealth, document.hidden ? 30000 : 5000);
}

/* A server that listens beyond this machine wants its token; it is kept for this tab only. */
function askToken() {
  if (document.getElementById('token')) return;
  const input = h('input', { id: 'token-input', type: 'password', autocomplete: 'off', required: true });
  const dialog = h('dialog', { id: 'token', 'aria-labelledby': 'token-title' }, h('form', { method: 'dialog', onsubmit: () => {
    setToken(input.value.trim());
    location.reload();
  } }, h('h2', { id: 'token-title', text: 'This server needs its token' }),
  h('label', { class: 'field' }, h('span', { text: 'Token' }), input),
  h('div', { class: 'actions' }, h('button', { class: 'primary', type: 'submit', text: 'Use it' }), button('Close', () => dialog.remove()))));
  document.body.append(dialog);
  dialog.showModal();
}

byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
document.addEventListener('normscope-token', askToken);
mountTheme(byId('theme'), () => page.view?.redraw?.());
onRoute(route);
startRouter();
watchHealth();
