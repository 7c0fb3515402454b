/* What happened at every step of the training probe: loss, gradient norm, learning rate. */

import { h, clear, focusIn } from './dom.js';
import { get } from './api.js';
import { setQuery } from './router.js';
import { armsOf, styles } from './arms.js';
import { byArm } from './aggregate.js';
import { figure } from './figure.js';
import { leftOut } from './left_out.js';
import { field } from './picture_controls.js';
import { hiddenKeys, hiddenText } from './picture.js';

const QUANTITIES = {
  loss: { label: 'loss (nats)', text: 'training loss before the update of the step', log: false },
  grad_norm: { label: 'grad_norm', text: 'global norm of the gradient, before clipping', log: true },
  lr: { label: 'lr', text: 'learning rate of the update that follows', log: false },
};

function chooser(name, log) {
  const select = h('select', { name: 'loss', onchange: () => setQuery({ loss: select.value === 'loss' ? null : select.value, lossy: null }) },
    Object.keys(QUANTITIES).map((q) => h('option', { value: q, selected: q === name }, q)));
  const box = h('input', { type: 'checkbox', name: 'lossy', checked: log,
    onchange: () => setQuery({ lossy: box.checked === QUANTITIES[name].log ? null : box.checked ? 'log' : 'linear' }, true) });
  return [field('Quantity', select), h('div', { class: 'checks' }, h('label', { class: 'check' }, box, h('span', { text: 'log axis' })))];
}

export function lossPanel() {
  const controlBox = h('div', { class: 'controls' });
  const text = h('p', { class: 'definition' });
  let lines = [];
  const fig = figure({ name: 'steps', height: 0.4, onState: ({ hidden, table }) => {
    if (hidden) setQuery({ hide: hiddenText(hidden, lines) }, true);
    if (table !== undefined) setQuery({ losstable: table ? '1' : null }, true);
  } });
  const root = h('section', { class: 'card', hidden: true, 'aria-labelledby': 'loss-title' },
    h('h2', { id: 'loss-title', text: 'Over training steps' }), controlBox, fig.root, text);
  let loaded = { key: '', table: null };

  const draw = (query, job, runs) => {
    const name = QUANTITIES[query.get('loss')] ? query.get('loss') : 'loss';
    const q = QUANTITIES[name];
    const log = query.get('lossy') ? query.get('lossy') === 'log' : q.log;
    const measured = new Map(byArm(loaded.table, 'step', name, q.log).map((a) => [a.key, a.points]));
    const all = armsOf(runs);
    lines = styles(all.map((a) => a.arm), all.map((a) => a.label)).map((s) => ({ ...s,
      points: (measured.get(s.key) || []).map((p) => ({ ...p, name: `step ${p.x}` })) }));
    root.hidden = !lines.some((l) => l.points.length > 1);
    const focused = focusIn(controlBox)?.name;
    clear(controlBox).append(...chooser(name, log));
    if (focused) controlBox.querySelector(`[name="${focused}"]`)?.focus();
    text.textContent = `${name}: ${q.text}.`;
    fig.show({ title: `${name} over steps`, subtitle: job.name || `job ${job.id}`, file: `normscope-job-${job.id}-${name}`,
      x: { label: 'step', name: 'step', integer: true }, y: { label: q.label, log }, band: query.get('band') !== '0',
      average: q.log ? 'geometric mean' : 'mean', lines, notes: leftOut(lines, log) },
    { hidden: hiddenKeys(query.get('hide'), lines), table: query.get('losstable') === '1' });
  };

  return {
    root,
    redraw: fig.redraw,
    async update(query, job, runs) {
      const done = runs.filter((r) => r.state === 'done').length;
      const key = `${job.id} ${done}`;
      if (key !== loaded.key) loaded = { key, table: await get(`jobs/${job.id}/steps`) };
      draw(query, job, runs);
    },
  };
}
