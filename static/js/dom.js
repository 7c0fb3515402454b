/* Building elements. Text goes in as text nodes, never as markup: names come from outside. */

const SVG = 'http://www.w3.org/2000/svg';

function apply(el, props) {
  for (const [key, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === 'text') el.textContent = value;
    else if (key.startsWith('on')) el.addEventListener(key.slice(2), value);
    else if (key === 'value' || key === 'checked' || key === 'selected') el[key] = value;
    else el.setAttribute(key, value === true ? '' : value);
  }
}

function fill(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    el.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return el;
}

/** h('p', {class: 'note'}, 'text', element, [more])
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...any} children
 * @returns {any} an element: which one, the tag says */
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  fill(el, children);
  apply(el, props);
  return el;
}

export function svg(tag, props, ...children) {
  const el = document.createElementNS(SVG, tag);
  fill(el, children);
  apply(el, props);
  return el;
}

/** An element that index.html has.
 * @param {string} id
 * @returns {HTMLElement} */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** The focused element inside el, so that what is drawn anew can give the focus back.
 * @param {Element} el
 * @returns {(HTMLElement & {name?: string}) | null} */
export function focusIn(el) {
  return el.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
}

export function clear(el) {
  el.replaceChildren();
  return el;
}

const ICONS = {
  auto: ['M8 2a6 6 0 1 0 0 12z', 'M8 2a6 6 0 0 1 0 12'],
  light: ['M8 5a3 3 0 1 0 0 6a3 3 0 0 0 0-6', 'M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6L13 13M13 3l-1.4 1.4M4.4 11.6L3 13'],
  dark: ['M13.5 9.6A6 6 0 0 1 6.4 2.5a6 6 0 1 0 7.1 7.1z'],
  copy: ['M5 5h8v9H5z', 'M3 11V2h8'],
  download: ['M8 2v8M4.5 7L8 10.5L11.5 7M3 13.5h10'],
  queued: ['M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11'],
  running: ['M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11', 'M8 5v3.2l2.2 1.6'],
  done: ['M3 8.6l3.2 3.2L13 4.8'],
  failed: ['M4 4l8 8M12 4l-8 8'],
  skipped: ['M3 4l5 4l-5 4zM8 4l5 4l-5 4z'],
  cancelled: ['M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11', 'M4.2 11.8l7.6-7.6'],
  warning: ['M8 2.2L14.4 13.4H1.6z', 'M8 6.4v3.2M8 11.4v.4'],
  table: ['M2.5 3.5h11v9h-11zM2.5 6.5h11M2.5 9.5h11M6.5 3.5v9'],
  link: ['M6.5 9.5l3-3M7.5 4.5l1.8-1.8a2.6 2.6 0 0 1 3.7 3.7L11.2 8.2M8.5 11.5l-1.8 1.8a2.6 2.6 0 0 1-3.7-3.7L4.8 7.8'],
};

export function icon(name) {
  const paths = (ICONS[name] || []).map((d, i) =>
    svg('path', { d, class: name === 'auto' && i === 0 ? 'icon-solid' : undefined }));
  return svg('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, paths);
}

export function badge(state) {
  return h('span', { class: `badge badge-${state}` }, icon(state), state);
}

/* A button; label may be text or a list of nodes. */
export function button(label, onclick, props) {
  return h('button', { type: 'button', onclick, ...props }, label);
}

/* Says something to a screen reader without moving the focus. */
export function announce(text) {
  const box = document.getElementById('announce');
  if (box) box.textContent = text;
}

export async function copyText(text, from) {
  try {
    await navigator.clipboard.writeText(text);
    announce('Copied');
    if (from) flash(from, 'Copied');
  } catch {
    if (from) flash(from, 'Press Ctrl+C');
  }
}

function flash(el, text) {
  if (el.dataset.flash) return;
  const before = [...el.childNodes];
  el.dataset.flash = '1';
  el.replaceChildren(text);
  setTimeout(() => {
    el.replaceChildren(...before);
    delete el.dataset.flash;
  }, 1200);
}

/* A box that scrolls by itself, so that the page never does; reachable by keyboard. */
export function scrollBox(child, label) {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label }, child);
}
