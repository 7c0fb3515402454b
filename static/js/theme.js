/* Light, dark, or what the system prefers. The choice is kept in this browser only. */

import { h, clear, icon } from './dom.js';

const KEY = 'normscope.theme';
const ORDER = ['auto', 'light', 'dark'];

function chosen() {
  return document.documentElement.dataset.theme || 'auto';
}

function choose(theme) {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === 'auto') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch { /* storage may be off: the choice lasts as long as the page */ }
}

/* The button walks auto -> light -> dark; onChange is called after each change of colours. */
export function mountTheme(button, onChange) {
  const show = () => {
    const theme = chosen();
    clear(button).append(icon(theme), h('span', { class: 'wide-only', text: theme }));
    button.setAttribute('aria-label', `Colour theme: ${theme}. Change`);
    button.title = 'Colour theme: auto, light or dark';
  };
  button.addEventListener('click', () => {
    choose(ORDER[(ORDER.indexOf(chosen()) + 1) % ORDER.length]);
    show();
    onChange();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange);
  show();
}
