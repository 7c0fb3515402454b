/* A field whose value is a list of objects (strategy.overrides): its JSON as text. What is not JSON yet
 * is said at once and stays out of the job; what the server thinks of it comes with the estimate. */

import { h } from './dom.js';
import { frame } from './form_frame.js';
import { pretty } from './json_view.js';

const EXAMPLE = '[{"layers": "early", "norm": "none"},\n {"layers": [9, 12], "residual_scale": 0.5}]';

export function jsonControl(f, label, model, change) {
  const area = h('textarea', { name: f.path, rows: '3', spellcheck: 'false', autocomplete: 'off', placeholder: EXAMPLE });
  const around = frame(f, area, label);
  area.addEventListener('input', () => {
    const text = area.value.trim();
    let value;
    try {
      value = text === '' ? undefined : JSON.parse(text);
      if (value !== undefined && !Array.isArray(value)) throw new Error('a list is needed: [ … ]');
    } catch (e) {
      around.setError(`Not yet part of the job: ${e.message}`);
      return;
    }
    change((job) => model.write(job, f.path, value));
  });
  const parsed = () => {
    try { return JSON.stringify(JSON.parse(area.value)); } catch { return ''; }
  };
  return { ...around, show(job) {
    const value = model.read(job, f.path);
    const text = value === undefined ? '' : JSON.stringify(value);
    if (document.activeElement === area && (parsed() === text || text === '')) return;
    if (parsed() !== text) area.value = value === undefined ? '' : pretty(value, '', 60);
  } };
}
