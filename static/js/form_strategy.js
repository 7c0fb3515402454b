/* Which strategies to compare: the catalogue with its equations, searched by a word, as many ticked as
 * are wanted; several ticked make a sweep. */

import { h, clear } from './dom.js';
import { asText, frame } from './form_frame.js';
import { href } from './router.js';

function tick(f, row, onchange) {
  const input = h('input', { type: 'checkbox', name: `${f.path}=${row.name}`, disabled: Boolean(row.refused), onchange: () => onchange(row.name, input.checked) });
  const label = h('label', { class: 'check tall', title: row.refused || null }, input, h('span', {}, h('code', { text: row.name }),
    row.refused ? h('span', { class: 'chip refused', text: 'not offered' }) : null, h('span', { class: 'hint', text: row.refused || row.summary })));
  return { row, input, label, text: `${row.name} ${row.summary}`.toLowerCase() };
}

export function strategyControl(f, rows, label, model, change) {
  const chosen = (job) => {
    const swept = model.readSweep(job, f.path);
    if (Array.isArray(swept)) return swept.map(asText);
    const value = model.read(job, f.path);
    return value === undefined ? [] : [asText(value)];
  };
  const set = (job, names) => (names.length > 1 ? model.writeSweep(job, f.path, names)
    : model.write(model.writeSweep(job, f.path, undefined), f.path, names[0]));
  const toggle = (name, on) => change((job) => {
    const now = chosen(job);
    return set(job, rows.map((r) => r.name).filter((n) => (n === name ? on : now.includes(n))));
  });
  const ticks = rows.map((r) => tick(f, r, toggle));
  const said = h('p', { class: 'chosen', role: 'status' });
  const none = h('p', { class: 'hint', hidden: true, text: 'No strategy has all of these words.' });
  const search = h('input', { type: 'search', class: 'strategy-search', autocomplete: 'off', spellcheck: 'false', placeholder: 'search by name or equation', 'aria-label': 'Search the strategies' });
  search.addEventListener('input', () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const t of ticks) t.label.hidden = !words.every((w) => t.text.includes(w));
    none.hidden = ticks.some((t) => !t.label.hidden);
  });
  search.addEventListener('keydown', (event) => { if (event.key === 'Enter') event.preventDefault(); });
  const box = h('div', { class: 'strategy-choice' }, said, search, h('div', { class: 'ticks' }, ticks.map((t) => t.label), none));
  const around = frame(f, box, label, true);
  return { ...around,
    focus() {
      around.focus();
      search.focus({ preventScroll: true });
    },
    show(job) {
      const now = chosen(job);
      for (const t of ticks) t.input.checked = now.includes(t.row.name);
      const links = now.flatMap((n, i) => [i ? ', ' : '', h('a', { href: href(['strategies', n]), text: n })]);
      clear(said).append(...(now.length ? [`${now.length} ticked: `, ...links] : ['None ticked: pre_ln, or what the JSON says.']));
    } };
}
