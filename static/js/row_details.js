/* Rows of tables: with more to say, a button in a cell opens a row of full width below; and with the names
 * of their columns, which a narrow screen writes before the values instead of a head above them. */

import { h, button } from './dom.js';

/** cells(opener): the cells of the row, with the button where it belongs. fill(box) is called when the
 * row is opened for the first time; opened: set of keys that stay open when the table is drawn anew.
 * @param {{key: any, opened: Set<any>, columns: number, text: string, label: string, fill: (box: Element) => void, props?: Record<string, any>}} of */
export function expandable({ key, opened, columns, text, label, fill, props }, cells) {
  const box = h('div', { class: 'row-details' });
  const below = h('tr', { class: 'details-row' }, h('td', { colspan: columns }, box));
  const opener = button(text, () => set(!opened.has(key)), { class: 'quiet small opener', 'aria-expanded': 'false', 'aria-label': label });
  const row = h('tr', props, cells(opener));
  const set = (on) => {
    opener.setAttribute('aria-expanded', String(on));
    if (on) opened.add(key);
    else opened.delete(key);
    if (on && !box.childElementCount) fill(box);
    if (on) row.after(below);
    else below.remove();
  };
  if (!opened.has(key)) return [row];
  set(true); // row has no place yet
  return [row, below];
}

/* heads: one per cell, '' where the value speaks for itself. The table has the class stack. */
export function headed(cells, heads) {
  cells.forEach((c, i) => { if (heads[i]) c.setAttribute('data-head', heads[i]); });
  return cells;
}
