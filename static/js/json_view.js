/* Pretty JSON, coloured by kind of token, with a copy button. */

import { h, button, icon, copyText } from './dom.js';

/* Short arrays and objects stay on one line, so that a job reads like a person wrote it. */
export function pretty(value, indent = '', width = 76) {
  const flat = oneLine(value);
  if (value === null || typeof value !== 'object' || flat.length + indent.length <= width) return flat;
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.every((v) => v === null || typeof v !== 'object')) return wrapped(value, indent, inner, width);
    return `[\n${value.map((v) => inner + pretty(v, inner, width)).join(',\n')}\n${indent}]`;
  }
  const rows = Object.entries(value).map(([k, v]) => `${inner}${JSON.stringify(k)}: ${pretty(v, inner, width)}`);
  return `{\n${rows.join(',\n')}\n${indent}}`;
}

function wrapped(list, indent, inner, width) {
  const rows = [];
  let row = inner;
  list.forEach((v, i) => {
    const text = JSON.stringify(v) + (i < list.length - 1 ? ', ' : '');
    if (row.length + text.length > width && row !== inner) {
      rows.push(row.trimEnd());
      row = inner;
    }
    row += text;
  });
  return `[\n${[...rows, row].join('\n')}\n${indent}]`;
}

function oneLine(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(oneLine).join(', ')}]`;
  return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${oneLine(v)}`).join(', ')}}`;
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;

function coloured(text) {
  const out = [];
  let at = 0;
  for (const m of text.matchAll(TOKEN)) {
    out.push(text.slice(at, m.index));
    const kind = m[1] ? (m[2] ? 'key' : 'str') : m[3] ? 'lit' : 'num';
    out.push(h('span', { class: `json-${kind}`, text: m[1] && m[2] ? m[1] : m[0] }), m[1] && m[2] ? m[2] : '');
    at = m.index + m[0].length;
  }
  out.push(text.slice(at));
  return out;
}

export function jsonView(value, label) {
  const text = pretty(value);
  const copy = button([icon('copy'), 'Copy'], () => copyText(text, copy), { class: 'quiet small', 'aria-label': `Copy ${label}` });
  return h('div', { class: 'json' }, copy,
    h('pre', { tabindex: '0', role: 'region', 'aria-label': label }, h('code', {}, coloured(text))));
}
