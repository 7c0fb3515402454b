/* What this instrument knows: every registry with its definitions, verbatim, and the versions. */

import { h, clear, scrollBox } from './dom.js';
import { registries, presets, version } from './api.js';
import { direction } from './format.js';
import { href } from './router.js';
import { errorNote } from './job_head.js';
import { pretty } from './json_view.js';

const ORDER = ['strategies', 'placements', 'norms', 'metrics', 'sites', 'activations', 'positions', 'inits', 'models', 'data_sources', 'losses', 'optimizers', 'schedules', 'hf_models'];
const TITLES = { placements: 'Placements', norms: 'Norms', metrics: 'Metrics', sites: 'Sites', data_sources: 'Data sources', hf_models: 'Hugging Face models' };

const title = (kind) => TITLES[kind] || kind[0].toUpperCase() + kind.slice(1).replace('_', ' ');

/* "arXiv:1607.06450" is text; the address is not linked, the page asks nothing of the internet. */
function table(registry) {
  const metric = registry.kind === 'metrics';
  const heads = ['Name', 'Definition', ...(metric ? ['Unit', 'Read as', 'Axis'] : []), 'Source'];
  let group = '';
  const rows = registry.rows.flatMap((r) => {
    const out = [];
    if (metric && r.group !== group) {
      group = r.group;
      out.push(h('tr', { class: 'group-row' }, h('th', { colspan: heads.length, scope: 'colgroup', text: group })));
    }
    out.push(h('tr', {}, h('th', { scope: 'row' }, h('code', { text: r.name })), h('td', { class: 'wrap', text: r.summary || '' }),
      metric ? [h('td', { text: r.unit === '1' ? '' : r.unit }), h('td', { text: direction(r.direction) }), h('td', { text: r.scale })] : null,
      h('td', { class: 'faint', text: r.source || '' })));
    return out;
  });
  return h('section', { class: 'card', id: `kind-${registry.kind}`, 'aria-labelledby': `title-${registry.kind}` },
    h('h2', { id: `title-${registry.kind}`, text: title(registry.kind) }),
    registry.summary ? h('p', { class: 'definition' }, registry.summary,
      registry.kind === 'strategies' ? ['; each with its drawing and parameters: ', h('a', { href: href(['strategies']), text: 'Strategies' })] : null) : null,
    scrollBox(h('table', { class: 'data' }, h('thead', {}, h('tr', {}, heads.map((t) => h('th', { scope: 'col', text: t })))),
      h('tbody', {}, rows)), title(registry.kind)));
}

function presetCards(list) {
  return h('section', { class: 'card', id: 'kind-presets', 'aria-labelledby': 'title-presets' },
    h('h2', { id: 'title-presets', text: 'Presets' }),
    scrollBox(h('table', { class: 'data' }, h('thead', {}, h('tr', {}, ['Name', 'What', 'Fields', 'Source'].map((t) => h('th', { scope: 'col', text: t })))),
      h('tbody', {}, list.map((p) => h('tr', {}, h('th', { scope: 'row' }, h('a', { href: href(['new'], { model: p.name }), text: p.name })),
        h('td', { class: 'wrap', text: p.summary || '' }),
        h('td', {}, h('code', { class: 'pre', text: pretty(p.job, '', 9999) })), h('td', { class: 'faint', text: p.source || '' }))))), 'Presets'));
}

export async function cataloguePage(root, { parts }) {
  document.title = 'Catalogue · Normscope';
  try {
    const [list, models, about] = await Promise.all([registries(), presets(), version().catch(() => ({}))]);
    const sorted = [...list].filter((r) => r.kind !== 'presets').sort((a, b) => (ORDER.indexOf(a.kind) + 99) % 99 - (ORDER.indexOf(b.kind) + 99) % 99);
    const jump = (kind) => h('a', { href: href(['catalogue', kind]), text: title(kind) });
    clear(root).append(h('h1', { text: 'Catalogue' }),
      h('p', { class: 'lead', text: 'Everything a job can choose from and everything that is measured, as this program has it. Formulas and sources are those of the code that computes them.' }),
      h('nav', { class: 'jump', 'aria-label': 'Sections' }, sorted.map((r) => jump(r.kind)), jump('presets')),
      ...sorted.map(table), presetCards(models.presets),
      h('section', { class: 'card' }, h('h2', { text: 'This program' }),
        h('dl', { class: 'about' }, Object.entries(about).filter(([, v]) => typeof v !== 'object').map(([k, v]) => [h('dt', { text: k }), h('dd', { text: String(v) })])),
        h('p', {}, 'The same data by HTTP: ', h('a', { href: 'api/v1', text: '/api/v1' }), ', described in ',
          h('a', { href: 'api/v1/openapi.json', text: 'OpenAPI' }), '.')));
    const scroll = (kind) => document.getElementById(`kind-${kind}`)?.scrollIntoView();
    if (parts[1]) scroll(parts[1]);
    return { update: (route) => { if (route.parts[1]) scroll(route.parts[1]); return true; } };
  } catch (e) {
    clear(root).append(h('h1', { text: 'Catalogue' }), errorNote({ detail: e.message }, 'The catalogue could not be loaded'));
    return {};
  }
}
