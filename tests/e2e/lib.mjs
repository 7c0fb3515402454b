// What the end-to-end tests share: the real daemon on a free port with a database of its own, requests
// whose every reply is checked against the schemas the daemon itself publishes, the program on the
// command line, and SQL through the sqlite3 shell.
import assert from 'node:assert/strict';
import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv from 'ajv/dist/2020.js';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const program = resolve(process.env.NORMSCOPE_BIN ?? join(root, 'build/normscope'));

// No kernel of the matrix library, and no option of the program, from the caller's environment.
export const environment = Object.fromEntries(
  Object.entries(process.env).filter(([k]) => !/^(OPENBLAS|NORMSCOPE|NODE_TEST)_/.test(k)));

export function makeDir() {
  const dir = mkdtempSync(join(tmpdir(), 'normscope-e2e-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Waits until probe() gives something true, and gives that.
export async function until(what, probe, timeout_ms = 60000, every_ms = 20) {
  const end = Date.now() + timeout_ms;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${timeout_ms} ms for: ${what}`);
    await sleep(every_ms);
  }
}

// --- the program on the command line ---

export function runProgram(args, { input = '', cwd = root, env = {}, timeout_ms = 120000 } = {}) {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { cwd, env: { ...environment, ...env } });
    const out = [], err = [];
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout_ms);
    child.stdout.on('data', (d) => out.push(d));
    child.stderr.on('data', (d) => err.push(d));
    child.stdin.on('error', () => {}); // it may refuse its input before it has read all of it
    child.stdin.end(input);
    child.on('error', fail);
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      done({ status, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
  });
}

// --- SQL ---

export function sql(db, query) {
  const text = execFileSync('sqlite3', ['-readonly', '-json', db, query],
    { encoding: 'utf8', maxBuffer: 1 << 28 });
  return text.trim() === '' ? [] : JSON.parse(text);
}

// Every stored number of a job as text, bit for bit and independent of ids: two databases that hold
// the same results give the same text.
export function storedBits(db, job_id, where = '1') {
  const bits = "coalesce(hex(ieee754_to_blob(m.value)), '') || '/' || coalesce(m.reason_id, '')";
  return execFileSync('sqlite3', ['-readonly', db,
    `SELECT r.idx, m.step, m.layer, s.name, k.name, p.name, ${bits}
       FROM measurements m JOIN runs r ON r.id = m.run_id JOIN sites s ON s.id = m.site_id
       JOIN metrics k ON k.id = m.metric_id JOIN params p ON p.id = m.param_id
      WHERE r.job_id = ${job_id} AND ${where} ORDER BY 1, 2, 3, 4, 5, 6;
     SELECT r.idx, t.step, hex(ieee754_to_blob(t.loss)), hex(ieee754_to_blob(t.grad_norm))
       FROM steps t JOIN runs r ON r.id = t.run_id
      WHERE r.job_id = ${job_id} AND ${where} ORDER BY 1, 2`],
  { encoding: 'utf8', maxBuffer: 1 << 28 });
}

// --- schemas ---

// Validators from the daemon's own OpenAPI page: (method, path, status, media type) -> schema.
async function loadSchemas(base, headers) {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
  const origin = 'http://normscope.invalid';
  const get = async (path) => (await fetch(base + path, { headers })).json();
  const page = await get('/api/v1/openapi.json');
  const { schemas } = await get('/api/v1/schema');
  for (const { name } of schemas) {
    const schema = await get(`/api/v1/schema/${name}`);
    delete schema.$id; // known by their address here
    ajv.addSchema(schema, `${origin}/api/v1/schema/${name}`);
  }
  ajv.addSchema(page, `${origin}/api/v1/openapi.json`);
  const escape = (s) => encodeURI(s.replaceAll('~', '~0').replaceAll('/', '~1'));
  const templates = Object.keys(page.paths).map((path) => [path, path.split('/')]);

  function findPath(path) {
    const parts = path.split('/');
    const fits = ([, want]) => want.every((w, i) => w === parts[i] || (/^\{.*\}$/.test(w) && parts[i])) &&
      (want.length === parts.length || /^\{path\*?\}$/.test(want.at(-1)));
    const hits = templates.filter(fits);
    hits.sort((a, b) => a[0].split('{').length - b[0].split('{').length); // the most literal one
    return hits[0]?.[0];
  }

  return function validate(method, path, status, type, body) {
    const template = findPath(path);
    if (type === 'application/problem+json') return check(`${origin}/api/v1/schema/problem`, body);
    assert.ok(template, `${path} is not in the OpenAPI page`);
    const operation = page.paths[template][method.toLowerCase()];
    assert.ok(operation, `${method} ${template} is not in the OpenAPI page`);
    const reply = operation.responses[status];
    assert.ok(reply, `${method} ${template}: status ${status} is not in the OpenAPI page`);
    if (status === 204) return;
    const content = reply.content?.[type];
    assert.ok(content, `${method} ${template}: ${status} as ${type} is not in the OpenAPI page`);
    if (!/json/.test(type) || !content.schema) return;
    check(`${origin}/api/v1/openapi.json#/paths/${escape(template)}/${method.toLowerCase()}` +
      `/responses/${status}/content/${escape(type)}/schema`, body);
  };

  function check(ref, body) {
    const compiled = ajv.getSchema(ref);
    assert.ok(compiled, `no schema ${ref}`);
    if (!compiled(body)) {
      const first = compiled.errors.slice(0, 5).map((e) => `${e.instancePath || '/'} ${e.message}`);
      assert.fail(`reply off schema ${ref}:\n  ${first.join('\n  ')}\n${JSON.stringify(body).slice(0, 600)}`);
    }
  }
}

// --- the daemon ---

export class Daemon {
  constructor({ dir = makeDir(), args = [], env = {}, token } = {}) {
    const auth = token ? { authorization: `Bearer ${token}` } : {};
    Object.assign(this, { dir, args, env, auth, db: join(dir, 'normscope.db'), output: '' });
  }

  async start() {
    this.process = spawn(program,
      ['serve', '--listen', '127.0.0.1:0', '--db', this.db, ...this.args],
      { cwd: this.dir, env: { ...environment, ...this.env }, stdio: ['ignore', 'pipe', 'pipe'] });
    const child = this.process;
    this.ended = new Promise((done) => child.on('close', (code, signal) => done({ code, signal })));
    const dead = this.ended.then(({ code, signal }) => {
      throw new Error(`the daemon ended with ${code ?? signal} before it was ready:\n${this.output}`);
    });
    const kill = () => child.kill('SIGKILL');
    process.on('exit', kill);
    this.ended.then(() => process.off('exit', kill));
    let from = this.output.length;
    const collect = (data) => { this.output += data; };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    const ready = until('the ready line of the daemon',
      () => /http:\/\/127\.0\.0\.1:([1-9]\d*)/.exec(this.output.slice(from)), 30000, 5);
    this.url = (await Promise.race([ready, dead]))[0];
    this.validate = await loadSchemas(this.url, this.auth);
    return this;
  }

  // One request. Its reply is validated unless { valid: false }.
  async request(method, path, { body, headers = {}, valid = true } = {}) {
    const json = body !== undefined && typeof body === 'object' && !Buffer.isBuffer(body);
    if (json) headers = { 'content-type': 'application/json', ...headers };
    headers = { ...this.auth, ...headers };
    const reply = await fetch(this.url + path, { method, headers, body: json ? JSON.stringify(body) : body });
    const text = await reply.text();
    const type = (reply.headers.get('content-type') ?? '').split(';')[0];
    const result = { status: reply.status, headers: reply.headers, type, text };
    if (/json$/.test(type)) result.body = JSON.parse(text); // strict: a bare NaN throws here
    if (valid) this.validate(method, path.split('?')[0], reply.status, type, result.body);
    return result;
  }

  async get(path, options) {
    const reply = await this.request('GET', path, options);
    assert.equal(reply.status, 200, `GET ${path}: ${reply.text.slice(0, 400)}`);
    return reply.body ?? reply.text;
  }

  // POSTs a job and gives its object; { existing: true } when an equal one was known.
  async submit(job) {
    const reply = await this.request('POST', '/api/v1/jobs', { body: job });
    assert.ok([200, 202].includes(reply.status), `POST: ${reply.status} ${reply.text}`);
    assert.equal(reply.headers.get('location'), `/api/v1/jobs/${reply.body.id}`);
    return reply.body;
  }

  job(id) {
    return this.get(`/api/v1/jobs/${id}`);
  }

  async wait(id, timeout_ms = 120000) {
    return until(`job ${id} to end`, async () => {
      const job = await this.job(id);
      return ['done', 'failed', 'cancelled'].includes(job.state) && job;
    }, timeout_ms, 50);
  }

  async finish(job, timeout_ms) {
    const { id } = await this.submit(job);
    const ended = await this.wait(id, timeout_ms);
    assert.equal(ended.state, 'done', JSON.stringify(ended.error));
    return ended;
  }

  // Process ids of its workers, from /proc: children of the daemon.
  workers() {
    const parent = this.process.pid;
    return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid)).map(Number).filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return Number(ppid) === parent && state !== 'Z';
      } catch {
        return false; // it ended while we looked
      }
    });
  }

  async stop() {
    const begun = Date.now();
    this.process.kill('SIGTERM');
    const { code, signal } = await this.ended;
    return { code, signal, ms: Date.now() - begun };
  }

  async kill() { // like a power cut for the program: no handler runs
    this.process.kill('SIGKILL');
    await this.ended;
  }
}

export const startDaemon = (options) => new Daemon(options).start();

// A started daemon for one test, stopped after it.
export async function withDaemon(t, options) {
  const daemon = await startDaemon(options);
  t.after(() => daemon.kill());
  return daemon;
}

// --- small readers of what is sent ---

// RFC 4180: rows of fields, quotes undone.
export function parseCsv(text) {
  const rows = [];
  let row = [], field = '', quoted = false, i = 0;
  for (; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c !== '"') field += c;
      else if (text[i + 1] === '"') field += text[++i];
      else quoted = false;
    } else if (c === '"' && field === '') quoted = true;
    else if (c === ',') row.push(field), field = '';
    else if (c === '\n') row.push(field.replace(/\r$/, '')), rows.push(row), row = [], field = '';
    else field += c;
  }
  assert.ok(field === '' && row.length === 0 && !quoted, 'CSV ends in the middle of a row');
  return rows;
}

// Server-sent events until the stream ends: [{event, data}].
export async function readEvents(url, signal) {
  const reply = await fetch(url, { headers: { accept: 'text/event-stream' }, signal });
  assert.equal(reply.status, 200);
  assert.match(reply.headers.get('content-type'), /^text\/event-stream/);
  const events = [];
  for (const block of (await reply.text()).split('\n\n')) {
    const lines = block.split('\n').filter((l) => l && !l.startsWith(':'));
    if (lines.length === 0) continue;
    const field = (name) => lines.filter((l) => l.startsWith(`${name}: `)).map((l) => l.slice(name.length + 2));
    events.push({ event: field('event')[0] ?? 'message', data: JSON.parse(field('data').join('\n')) });
  }
  return events;
}
