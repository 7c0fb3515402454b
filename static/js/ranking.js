/* The ranking of a job's arms by their initial networks: shown where a job has measured proxies. What
 * is a column, how it is sorted and what is weighed is kept in the address. */

import { h, clear, button, icon, focusIn } from './dom.js';
import { Problem, download } from './api.js';
import { direction, number } from './format.js';
import { setQuery } from './router.js';
import { SIZES, loadRanking, proxiesOf } from './ranking_data.js';
import { confounded, parseSort, rankingTable, sizeChip } from './ranking_table.js';

export const RANKING_QUERY = ['sort', 'proxies', 'weights']; /* what of the address is read here alone */

const FEW = 8; /* so many proxies are all shown at once */

/* Terms of the combination always; the others when ticked, or when there are few. */
function shownOf(data, query) {
  if (!query.has('proxies')) return data.columns.length <= FEW ? data.columns : data.columns.filter((m) => data.terms.has(m.name));
  const ticked = new Set(query.get('proxies').split('.'));
  return data.columns.filter((m) => ticked.has(m.name));
}

function definitionRow(metric, data, shown) {
  const box = h('input', { type: 'checkbox', name: `proxy=${metric.name}`, checked: shown.includes(metric), onchange: () => {
    const next = data.columns.filter((m) => (m === metric ? box.checked : shown.includes(m)));
    setQuery({ proxies: next.map((m) => m.name).join('.') || '.' }, true);
  } });
  const term = data.terms.get(metric.name);
  const facts = [metric.unit === '1' ? '' : metric.unit, direction(metric.direction), metric.source].filter(Boolean).join('; ');
  const role = !term ? '' : data.method === 'robot' ? `weight ${number(term.weight)}` : term.weight > 0 ? 'in the mean rank' : 'in the mean rank, less is better';
  return h('li', {}, h('label', { class: 'check tall' }, box, h('span', {}, h('code', { text: metric.name }), ' ',
    confounded(metric) ? sizeChip() : null, role ? h('span', { class: 'chip plain-chip', text: role }) : null,
    h('span', { class: 'hint', text: `${metric.summary}${facts ? ` (${facts})` : ''}` }))));
}

/* Weights of the reader's own: "snip_log10:0.5, zen:-1". draft: what is typed and not yet asked for. */
function weighing(query, data, problem, draft) {
  const input = h('input', { type: 'text', name: 'weights', autocomplete: 'off', spellcheck: 'false', value: draft.text ?? query.get('weights') ?? '',
    placeholder: data.columns.filter((m) => !SIZES.includes(m.name)).slice(0, 2).map((m, i) => `${m.name}:${i ? -0.5 : 1}`).join(', ') || 'metric:weight', 'aria-invalid': problem ? 'true' : null, 'aria-describedby': 'weights-hint' });
  input.addEventListener('input', () => { draft.text = input.value; });
  const apply = (text) => {
    draft.text = null;
    setQuery({ weights: text.replace(/\s+/g, '') || null, sort: null });
  };
  return h('form', { class: 'weights', onsubmit: (event) => {
    event.preventDefault();
    apply(input.value);
  } }, h('label', { class: 'field' }, h('span', { text: 'Weights instead of ranks' }), input),
  h('button', { type: 'submit', text: 'Weigh' }), query.get('weights') ? button('Mean rank again', () => apply(''), { class: 'quiet' }) : null,
  problem ? h('p', { class: 'field-error', role: 'alert', text: problem }) : null,
  h('p', { class: 'hint', id: 'weights-hint', text: 'metric:weight with commas between, each weight from -1 to 1; values are scaled to 0 … 1 over the arms. The weights are yours, nothing is fitted.' }));
}

const LEAD = { borda: 'The mean of the ranks by each term (Borda), seeds together.', robot: 'The weighted sum of your terms (the form of RoBoT), seeds together.' };

export function rankingPanel(metrics) {
  const body = h('div');
  const root = h('section', { class: 'card', hidden: true, 'aria-labelledby': 'ranking-title' },
    h('h2', { id: 'ranking-title', text: 'Ranking by the initial network' }), body);
  /** @type {{key: string, answer: any}} answer: to be awaited */
  let loaded = { key: '', answer: null };
  let asked = null; /* the address as it is now: it may change while an answer is on its way */
  const draft = { text: null };
  let drawn = '';
  let open = false;

  /* Weights that the service refuses leave the mean ranks, with what it says. */
  const load = async (job, runs, weights) => {
    try {
      return { data: await loadRanking(job, runs, metrics, weights), problem: '' };
    } catch (e) {
      if (!(e instanceof Problem) || e.status !== 400) throw e;
      return { data: await loadRanking(job, runs, metrics, ''), problem: e.message };
    }
  };

  const draw = (query, job, done, { data, problem }) => {
    const focus = focusIn(body);
    const again = focus && (focus.dataset.sort ? `[data-sort="${CSS.escape(focus.dataset.sort)}"]` : focus.name && `[name="${CSS.escape(focus.name)}"]`);
    const at = body.querySelector('.scroll');
    open = Boolean(problem) || (body.querySelector('details')?.open ?? open);
    const [left, top] = [at?.scrollLeft || 0, at?.scrollTop || 0];
    clear(body);
    if (!data.arms.length) body.append(h('p', { class: 'note', text: done ? `Note: ${data.note || 'nothing was measured'}.` : 'No run has finished yet; the ranking appears with the first one.' }));
    else {
      const shown = shownOf(data, query);
      const choose = h('details', { open }, h('summary', { text: 'What the columns are, which are shown, and weights' }),
        h('ul', { class: 'plain definitions' }, data.columns.map((m) => definitionRow(m, data, shown))), weighing(query, data, problem, draft));
      body.append(h('p', { class: 'definition', text: `${data.ranked ? `${LEAD[data.method]} ` : ''}Before training, most such numbers say how large a network is: parameters and FLOPs stand beside them.` }),
        ...(data.note ? [h('p', { class: 'note', text: `Note: ${data.note}.` })] : []),
        rankingTable(data, shown, parseSort(query.get('sort'), data, shown), (sort) => setQuery({ sort: sort === 'rank-up' ? null : sort }, true)),
        h('div', { class: 'figure-tools' }, button([icon('download'), 'CSV'], () => download(`jobs/${job.id}/ranking`,
          { weights: problem ? '' : query.get('weights'), format: 'csv' }, `normscope-job-${job.id}-ranking.csv`, 'text/csv'),
        { class: 'quiet', 'aria-label': 'The ranking as CSV' })), choose);
    }
    const box = body.querySelector('.scroll');
    if (box) [box.scrollLeft, box.scrollTop] = [left, top];
    if (again) body.querySelector(again)?.focus({ preventScroll: true });
  };

  return {
    root,
    async update(query, job, runs) {
      root.hidden = !proxiesOf(job, metrics).length;
      if (root.hidden) return;
      asked = query;
      const done = runs.filter((r) => r.state === 'done').length;
      const weights = query.get('weights') || '';
      const key = `${job.id} ${job.state} ${done} ${weights}`;
      if (key !== loaded.key) loaded = { key, answer: load(job, runs, weights) };
      const mine = loaded;
      const answer = await mine.answer;
      const look = [key, ...RANKING_QUERY.map((k) => asked.get(k))].join(' ');
      if (mine !== loaded || look === drawn) return;
      drawn = look;
      draw(asked, job, done, answer);
    },
  };
}
