/* Which stored text a job reads, and storing a new one. Shown while the data source is text. */

import { h, clear, button } from './dom.js';
import { corpora, put } from './api.js';
import { bytes } from './format.js';

const nameOf = (file) => file.replace(/\.[^.]*$/, '').replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 60) || 'text';

export function corpusPart(model, change) {
  const select = h('select', { id: 'corpus', name: 'data.corpus', 'aria-describedby': 'corpus-error' });
  const file = h('input', { type: 'file', id: 'corpus-file', name: 'corpus-file' });
  const errorBox = h('p', { class: 'field-error', id: 'corpus-error', hidden: true });
  const sayBox = h('p', { class: 'hint', role: 'status' });
  let job = {};
  let list = [];

  const draw = () => {
    const value = model.read(job, 'data.corpus') ?? '';
    const known = value === '' || list.some((c) => c.name === value);
    clear(select).append(h('option', { value: '', text: list.length ? 'choose a stored text' : 'no text is stored yet' }),
      ...list.map((c) => h('option', { value: c.name, selected: c.name === value, text: `${c.name}, ${bytes(c.bytes)}` })),
      ...(known ? [] : [h('option', { value, selected: true, text: `${value} (not stored)` })]));
  };
  const load = async () => {
    try {
      list = await corpora();
      draw();
    } catch (e) {
      sayBox.textContent = `The stored texts could not be listed: ${e.message}`;
    }
  };
  const setError = (text) => {
    errorBox.textContent = text || '';
    errorBox.hidden = !text;
    root.classList.toggle('invalid', Boolean(text));
    if (text) select.setAttribute('aria-invalid', 'true');
    else select.removeAttribute('aria-invalid');
  };
  const upload = async () => {
    const chosen = file.files[0];
    if (!chosen) return;
    const name = nameOf(chosen.name);
    sayBox.textContent = `Storing ${chosen.name} …`;
    try {
      const stored = await put(`corpora/${encodeURIComponent(name)}`, chosen);
      sayBox.textContent = `Stored as ${stored.name}, ${bytes(stored.bytes)}.`;
      await load();
      change((j) => model.write(model.write(j, 'data.source', 'text'), 'data.corpus', stored.name));
    } catch (e) {
      setError(e.message);
      sayBox.textContent = '';
    }
  };
  select.addEventListener('change', () => change((j) => model.write(j, 'data.corpus', select.value || undefined)));
  const root = h('div', { class: 'form-field', 'data-path': 'data.corpus', hidden: true },
    h('label', { class: 'label', for: 'corpus', text: 'Which text' }), select, errorBox,
    h('div', { class: 'upload' }, h('label', { for: 'corpus-file', class: 'hint', text: 'or store a file of this computer:' }), file,
      button('Upload', upload, { class: 'small' })), sayBox);
  load();
  return {
    root, path: 'data.corpus', setError, focus: () => select.focus(),
    show(next) {
      job = next;
      const source = model.read(job, 'data.source');
      const swept = model.readSweep(job, 'data.source') || [];
      root.hidden = !(source === 'text' || swept.includes('text') || model.read(job, 'data.corpus'));
      draw();
    },
  };
}
