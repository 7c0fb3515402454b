/* What stands around every control of the form: label, hint, range, and the place for an error, tied
 * together for screen readers. */

import { h } from './dom.js';
import { number } from './format.js';

const bound = (v) => (Number.isInteger(v) && Math.abs(v) < 1e9 ? v.toLocaleString('en') : v >= 2 ** 53 - 1 && v <= 2 ** 53 ? '2⁵³ − 1' : number(v));

export function range(f) {
  const lo = typeof f.min === 'number';
  const hi = typeof f.max === 'number' && f.max < 1e29;
  if (lo && hi) return `${bound(f.min)} to ${bound(f.max)}`;
  if (lo && f.min > -1e29) return f.exclusive_min ? `more than ${number(f.min)}` : `at least ${number(f.min)}`;
  return '';
}

export function defaultText(f) {
  if (f.rule) return f.rule;
  if (f.default === null || f.default === undefined) return f.nullable ? 'null' : 'none';
  if (Array.isArray(f.default)) return f.default.length > 8 ? `${f.default.length} rows` : f.default.join(', ');
  return String(f.default);
}

function hint(f) {
  return [f.doc, f.unit ? `unit: ${f.unit}` : '', range(f), f.nullable ? 'or null' : ''].filter(Boolean).join('; ');
}

let serial = 0;

/* {root, path, setError, setUnused, focus}; group: the control is several inputs. */
export function frame(f, control, label, group) {
  const id = `f${++serial}`;
  const hintBox = h('p', { class: 'hint', id: `${id}-hint`, text: hint(f) });
  const errorBox = h('p', { class: 'field-error', id: `${id}-error`, hidden: true });
  const head = group ? h('span', { class: 'label', id: `${id}-label`, text: label }) : h('label', { class: 'label', for: id, text: label });
  if (group) {
    control.setAttribute('role', 'group');
    control.setAttribute('aria-labelledby', `${id}-label`);
  } else {
    control.id = id;
  }
  control.setAttribute('aria-describedby', `${id}-hint ${id}-error`);
  const root = h('div', { class: 'form-field', 'data-path': f.path }, head, control, errorBox, hintBox);
  const setError = (text) => {
    errorBox.textContent = text || '';
    errorBox.hidden = !text;
    root.classList.toggle('invalid', Boolean(text));
    if (text) control.setAttribute('aria-invalid', 'true');
    else control.removeAttribute('aria-invalid');
  };
  const focus = () => {
    for (let box = root.parentElement?.closest('details'); box; box = box.parentElement?.closest('details')) box.open = true;
    (group ? control.querySelector('input, select') : control)?.focus();
    root.scrollIntoView({ block: 'center' });
  };
  return { root, path: f.path, setError, focus };
}

export const asText = (v) => (v === undefined ? '' : v !== null && typeof v === 'object' ? JSON.stringify(v) : String(v));
