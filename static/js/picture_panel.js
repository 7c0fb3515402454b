/* The picture with its choosers on a job's page: loads when the choice or the runs change, redraws on
 * everything else. */

import { h, clear } from './dom.js';
import { setQuery } from './router.js';
import { figure } from './figure.js';
import { controls } from './picture_controls.js';
import { availability, choice, definition, hiddenKeys, hiddenText, load, scalarsOf, settle, specOf } from './picture.js';

export function picturePanel(metrics) {
  const controlBox = h('div', { class: 'controls' });
  const definitionBox = h('div');
  const errorBox = h('div');
  let lines = [];
  const fig = figure({ name: 'depth', onState: ({ hidden, table }) => {
    if (hidden) setQuery({ hide: hiddenText(hidden, lines) }, true);
    if (table !== undefined) setQuery({ table: table ? '1' : null }, true);
  } });
  const root = h('section', { class: 'card picture', 'aria-labelledby': 'picture-title' },
    h('h2', { id: 'picture-title', text: 'Over depth' }), controlBox, definitionBox, errorBox, fig.root);
  /** @type {{key: string, data: any, available: any}} */
  let loaded = { key: '', data: null, available: null };
  let turn = 0;

  const draw = (c, job, runs) => {
    if (loaded.data.steps.length) c.steps = loaded.data.steps;
    c.step ??= loaded.data.step;
    const made = specOf(loaded.data, c, job, runs);
    lines = made.lines;
    controls(controlBox, c, lines, loaded.data, loaded.available);
    fig.show(made.spec, { hidden: hiddenKeys(c.hide, lines), table: c.table });
    clear(definitionBox).append(definition(c.metric));
  };

  return {
    root,
    redraw: fig.redraw,
    /* onStep is told which step is shown, once it is. */
    async update(query, job, runs, onStep) {
      const mine = ++turn;
      try {
        const c = choice(query, job, metrics, await scalarsOf(runs));
        const available = await availability(job, runs, c.metric.name);
        settle(c, query, available);
        const done = runs.filter((r) => r.state === 'done').length;
        const key = [job.id, c.metric.name, c.site, c.step, c.param, done].join(' ');
        if (key !== loaded.key) {
          const data = await load(job, c, available);
          if (mine !== turn) return;
          loaded = { key, data, available };
        }
        clear(errorBox);
        draw(c, job, runs);
        onStep(c.step);
      } catch (e) {
        if (mine !== turn) return;
        clear(errorBox).append(h('p', { class: 'note error', role: 'alert', text: `The picture could not be loaded: ${e.message}` }));
      }
    },
  };
}
