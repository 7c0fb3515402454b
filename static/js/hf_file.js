/* A Hugging Face config.json as the model of the job: dropped on the form, or chosen. It takes the place
 * of the preset; what the server made of it is shown beside. */

import { h, clear, button, announce } from './dom.js';
import { coverageView } from './coverage.js';

const MOST = 1 << 20;

/* The object in a file, or an error that says what it is instead. */
async function readConfig(file) {
  if (file.size > MOST) throw new Error(`${file.name} is longer than a config.json is`);
  let value;
  try {
    value = JSON.parse(await file.text());
  } catch (e) {
    throw new Error(`${file.name} is not JSON: ${e.message}`);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error(`${file.name} is no object: a config.json is { … }`);
  return value;
}

export function hfPart(model, change) {
  const input = h('input', { type: 'file', id: 'hf-file', name: 'hf-file', accept: '.json,application/json', 'aria-describedby': 'hf-error hf-hint' });
  const errorBox = h('p', { class: 'field-error', id: 'hf-error', hidden: true });
  const what = h('p', { class: 'hint', role: 'status' });
  const coverageBox = h('div');
  const away = button('Take it away', () => {
    input.value = '';
    change((job) => model.write(job, 'model.hf_config', undefined));
  }, { class: 'small', hidden: true });
  const root = h('div', { class: 'form-field drop', 'data-path': 'model.hf_config' },
    h('label', { class: 'label', for: 'hf-file', text: 'or the model of a Hugging Face config.json' }),
    h('div', { class: 'file-row' }, input, away), errorBox, what,
    h('p', { class: 'hint', id: 'hf-hint', text: 'Choose the file, or drop it anywhere on this form. It takes the place of the preset.' }), coverageBox);
  const setError = (text) => {
    errorBox.textContent = text || '';
    errorBox.hidden = !text;
    root.classList.toggle('invalid', Boolean(text));
    if (text) clear(coverageBox);
  };
  const take = async (file) => {
    try {
      const config = await readConfig(file);
      change((job) => {
        const free = ['model', 'model.preset'].reduce((j, path) => model.writeSweep(j, path, undefined), job);
        return model.write(model.write(free, 'model.preset', undefined), 'model.hf_config', config);
      });
      announce(`The model is that of ${file.name}`);
    } catch (e) {
      setError(e.message);
    }
  };
  input.addEventListener('change', () => input.files[0] && take(input.files[0]));

  return {
    root, path: 'model.hf_config', setError, focus: () => input.focus(),
    show(job) {
      const config = model.read(job, 'model.hf_config');
      away.hidden = config === undefined;
      what.textContent = config === undefined ? '' : `The job has a config${config?.model_type ? ` of model_type ${config.model_type}` : ''}.`;
      if (config === undefined) clear(coverageBox);
    },
    showCoverage(coverage) {
      clear(coverageBox).append(...(coverage ? [coverageView(coverage)] : []));
    },
    /* Files dropped anywhere on this element are taken. */
    dropOn(element) {
      const files = (event) => event.dataTransfer?.types?.includes('Files');
      element.addEventListener('dragover', (event) => {
        if (!files(event)) return;
        event.preventDefault();
        root.classList.add('over');
      });
      element.addEventListener('dragleave', () => root.classList.remove('over'));
      element.addEventListener('drop', (event) => {
        root.classList.remove('over');
        if (!files(event)) return;
        event.preventDefault();
        if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
      });
    },
  };
}
