/* The HTTP API. Addresses are relative to the page, so that a reverse proxy may move us. */

const BASE = new URL('api/v1/', document.baseURI);
const TOKEN = 'normscope.token';
const cache = new Map();

/* What the server said no with: application/problem+json, or the failure of the connection. */
export class Problem extends Error {
  /** @param {Record<string, any>} body of application/problem+json */
  constructor(body) {
    super(body.detail || body.title || 'the request failed');
    this.status = 0;
    this.code = '';
    this.title = '';
    /** @type {string | undefined} JSON Pointer of the field */
    this.pointer = undefined;
    Object.assign(this, body);
  }
}

function token() {
  try { return sessionStorage.getItem(TOKEN); } catch { return null; }
}

export function setToken(value) {
  try { sessionStorage.setItem(TOKEN, value); } catch { /* storage off: asked again next time */ }
}

export function url(path, query) {
  const u = new URL(path, BASE);
  for (const [k, v] of Object.entries(query || {})) {
    if (v !== undefined && v !== null && v !== '') u.searchParams.set(k, v);
  }
  return u.href;
}

async function problemOf(response) {
  let body = {};
  try { body = await response.json(); } catch { /* not JSON: the status has to do */ }
  return new Problem({ title: response.statusText, ...body, status: response.status,
    retryAfter: response.headers.get('retry-after') });
}

/**
 * @param {string} method
 * @param {string} path below /api/v1
 * @param {{query?: Record<string, any>, body?: any, type?: string, signal?: AbortSignal}} [options]
 */
async function send(method, path, { query, body, type, signal } = {}) {
  const headers = { Accept: 'application/json' };
  if (type) headers['Content-Type'] = type;
  if (token()) headers.Authorization = `Bearer ${token()}`;
  let response;
  try {
    response = await fetch(url(path, query), { method, body, headers, signal });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw new Problem({ title: 'the server does not answer', code: 'offline' });
  }
  if (response.status === 401) {
    document.dispatchEvent(new CustomEvent('normscope-token'));
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function json(method, path, options) {
  const response = await send(method, path, options);
  return response.status === 204 ? null : response.json();
}

export const get = (path, query, signal) => json('GET', path, { query, signal });
export const post = (path, value) => json('POST', path,
  { body: typeof value === 'string' ? value : JSON.stringify(value ?? {}), type: 'application/json' });
export const remove = (path) => json('DELETE', path);
export const put = (path, body) => json('PUT', path, { body, type: 'application/octet-stream' });

/* Things that do not change while the daemon runs are asked for once. */
function once(key, load) {
  if (!cache.has(key)) {
    cache.set(key, load().catch((e) => { cache.delete(key); throw e; }));
  }
  return cache.get(key);
}

/* [{kind, summary, rows: [{name, summary, source, …}]}] */
export function registries() {
  return once('registries', async () => (await get('registries')).registries);
}

export async function registry(kind) {
  return (await registries()).find((r) => r.kind === kind)?.rows || [];
}

/* {groups: [{name, shorthand, doc}], fields: [{path, type, default, …}]} */
export const fields = () => once('fields', () => get('fields'));

/* {presets: [{name, summary, source, job}]} */
export const presets = () => once('presets', () => get('presets'));

/* [{name, equation, source, init, behaviour, limits, refused, places, job, href}] */
export const strategies = () => once('strategies', async () => (await get('strategies')).strategies);

/* [{name, summary, source, expect: [{says, of, over, min, max}], job}] */
export const gallery = () => once('gallery', async () => (await get('gallery')).gallery);

export const corpora = async () => (await get('corpora')).corpora;

export const version = () => once('version', () => get('version'));

export async function health() {
  const response = await fetch(new URL('healthz', document.baseURI), { cache: 'no-store' });
  return response.json();
}

/* Rows of {columns, rows} as objects. */
export function records(table) {
  return table.rows.map((row) => Object.fromEntries(table.columns.map((c, i) => [c, row[i]])));
}

export function arm(value) {
  if (typeof value !== 'string') return value || {};
  try { return JSON.parse(value) || {}; } catch { return { arm: value }; }
}

/* Follows a job until it ends: server-sent events, or polling where they do not get through
 * (a proxy that buffers, or a token, which EventSource cannot carry). Returns a function that stops. */
export function follow(id, onUpdate) {
  let source = null;
  let timer = 0;
  let stopped = false;
  const ended = (s) => ['done', 'failed', 'cancelled'].includes(s);
  const stop = () => {
    stopped = true;
    source?.close();
    clearTimeout(timer);
  };
  const poll = async () => {
    if (stopped) return;
    try {
      const job = await get(`jobs/${id}`);
      if (stopped) return;
      onUpdate(job);
      if (ended(job.state)) return;
    } catch (e) {
      if (e.status === 404) return;
    }
    timer = setTimeout(poll, 1500);
  };
  if (token() || !window.EventSource) {
    poll();
    return stop;
  }
  source = new EventSource(url(`jobs/${id}/events`));
  const take = (event) => {
    try { onUpdate(JSON.parse(event.data)); } catch { /* a frame cut short: the next one says it */ }
  };
  source.addEventListener('progress', take);
  source.addEventListener('end', (event) => {
    source.close();
    take(event);
  });
  source.onerror = () => {
    source.close();
    if (!stopped) timer = setTimeout(poll, 500);
  };
  return stop;
}

/* A file made by the server. With a token the browser cannot simply follow a link. */
export async function download(path, query, filename, accept) {
  const headers = { Accept: accept || '*/*' };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const response = await fetch(url(path, query), { headers });
  if (!response.ok) throw await problemOf(response);
  saveBlob(await response.blob(), filename);
}

export function saveBlob(blob, filename) {
  const a = document.createElement('a');
  a.href = URL.createObjectURL(blob);
  a.download = filename;
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
}
