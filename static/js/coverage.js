/* What was made of a job when it was read: what each field of a Hugging Face config became, and notes. */

import { h, scrollBox } from './dom.js';
import { count } from './format.js';

const LISTS = [['unsupported', 'Not supported: the network that is built goes without'], ['used', 'Used'],
  ['defaulted', 'Left out by the config: defaults and constants of the code'], ['ignored', 'Ignored']];

const became = (fields) => Object.entries(fields).map(([path, value]) => `${path} ${JSON.stringify(value)}`).join(', ') || 'as it is built';

function rows(list) {
  return list.map((e) => h('tr', {}, h('th', { scope: 'row' }, h('code', { text: e.field })),
    h('td', { class: 'wrap' }, h('code', { text: JSON.stringify(e.value) })), h('td', { class: 'wrap', text: e.why ?? became(e.became) })));
}

/* A table for each list that is not empty; the one of what is missing comes first and is open. */
export function coverageView(coverage) {
  const told = LISTS.map(([name]) => [name, coverage[name].length]).filter(([, n]) => n);
  const parts = LISTS.filter(([name]) => coverage[name].length).map(([name, title]) => h('details', { open: name === 'unsupported' },
    h('summary', {}, title, h('span', { class: 'faint', text: ` ${coverage[name].length}` })),
    scrollBox(h('table', { class: 'data' }, h('thead', {}, h('tr', {}, ['Field', 'Value', name === 'used' || name === 'defaulted' ? 'Became' : 'Why']
      .map((t) => h('th', { scope: 'col', text: t })))), h('tbody', {}, rows(coverage[name]))), title)));
  return h('div', { class: 'coverage' },
    h('p', {}, h('strong', { text: coverage.model_type }), `: ${coverage.summary}.`),
    h('p', { class: 'hint', text: `${told.map(([name, n]) => (name === 'used' ? `${count(n, 'field')} used` : `${n} ${name}`)).join(', ')}.` }), parts);
}

export function noteList(notes) {
  return notes?.length ? h('ul', { class: 'notes' }, notes.map((text) => h('li', { text }))) : null;
}
