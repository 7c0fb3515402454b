/* The address is the state: #/jobs/12?metric=var&step=10. Links can be shared and go back works. */

const listeners = new Set();
let last = null;

export function parse(hash = location.hash) {
  const [path, query = ''] = hash.replace(/^#/, '').split('?');
  const parts = path.split('/').filter(Boolean).map((p) => {
    try { return decodeURIComponent(p); } catch { return p; }
  });
  return { parts, query: new URLSearchParams(query) };
}

export function href(parts, query) {
  const path = '#/' + parts.map(encodeURIComponent).join('/');
  const text = query ? new URLSearchParams(query).toString() : '';
  return text ? `${path}?${text}` : path;
}

export function go(parts, query) {
  location.hash = href(parts, query);
}

/* Changes some keys of the query and keeps the page; null removes a key. quiet: no history entry. */
export function setQuery(changes, quiet) {
  const { parts, query } = parse();
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === '') query.delete(key);
    else query.set(key, value);
  }
  const next = href(parts, query);
  if (next === location.hash) return;
  if (quiet) history.replaceState(null, '', next);
  else history.pushState(null, '', next);
  notify();
}

function notify() {
  if (location.hash === last) return;
  last = location.hash;
  const route = parse();
  for (const f of listeners) f(route);
}

export function onRoute(f) {
  listeners.add(f);
}

export function startRouter() {
  addEventListener('hashchange', notify);
  addEventListener('popstate', notify);
  last = location.hash;
  const route = parse();
  for (const f of listeners) f(route);
}
