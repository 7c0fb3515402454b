/* "find": how deep can the network be? Off, up to the job's depth ("max_depth"), or between two depths.
 * It takes the place of depths that are swept, and its own limit that of the depth. */

import { h } from './dom.js';
import { asText, frame } from './form_frame.js';
import { parseOne } from './form_model.js';

export function findControl(f, label, model, change) {
  const on = h('input', { type: 'checkbox', name: 'find' });
  const number = (name, placeholder) => h('input', { type: 'text', name: `find.${name}`, inputmode: 'numeric', autocomplete: 'off', placeholder });
  const max = number('max_depth', 'the job\'s depth');
  const min = number('min_depth', '4');
  const limits = h('div', { class: 'find-limits' }, h('label', { class: 'field' }, h('span', { text: 'Try from (blocks)' }), min),
    h('label', { class: 'field' }, h('span', { text: 'up to (blocks)' }), max));
  const box = h('div', {}, h('label', { class: 'check' }, on, h('span', { text: 'Look for the deepest network that does not fail' })), limits);
  const around = frame(f, box, label, true);

  /* In short when nothing but depth says how deep; what a person has typed otherwise. */
  const read = () => {
    if (!on.checked) return undefined;
    const value = {};
    if (max.value.trim()) value.max_depth = parseOne(max.value);
    if (min.value.trim()) value.min_depth = parseOne(min.value);
    return Object.keys(value).length ? value : 'max_depth';
  };
  const write = () => change((job) => {
    const value = read();
    const limited = value !== undefined && value !== 'max_depth' && value.max_depth !== undefined;
    return model.write(limited ? model.write(job, 'depth', undefined) : job, f.path, value);
  });
  on.addEventListener('change', () => change((job) => {
    const depths = (model.readSweep(job, 'depth') || []).filter(Number.isInteger);
    if (!on.checked || !depths.length) return model.write(job, f.path, on.checked ? 'max_depth' : undefined);
    return model.write(model.writeSweep(job, 'depth', undefined), f.path, { max_depth: Math.max(...depths) });
  }));
  for (const input of [max, min]) input.addEventListener('input', write);

  return { ...around, show(job) {
    const value = model.read(job, f.path);
    const wanted = value !== undefined && value !== null;
    on.checked = wanted;
    limits.hidden = !wanted;
    const put = (input, v) => { if (document.activeElement !== input) input.value = asText(v); };
    put(max, value?.max_depth);
    put(min, value?.min_depth);
  } };
}
