// What the operator's page (deploy/README.md) shows, tried with the programs it is for: nginx and Caddy in front of
// the daemon, Prometheus asking it. Each is Debian's; what is not installed is skipped.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeDir, root, until, withDaemon } from './lib.mjs';

const NAME = 'normscope.example.org';
const page = readFileSync(join(root, 'deploy/README.md'), 'utf8');
const PATH = `${process.env.PATH}:/usr/sbin`;
const without = (command) =>
  (spawnSync('sh', ['-c', `command -v ${command}`], { env: { PATH } }).status === 0 ? false : `${command} is not here`);

// The blocks of the page in that language, in order.
const blocks = (language) => [...page.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))].map((m) => m[1]);

async function freePort() {
  const held = createServer().listen(0, '127.0.0.1');
  await once(held, 'listening');
  const { port } = held.address();
  await new Promise((done) => held.close(done));
  return port;
}

// Runs beside the test and ends with it.
function beside(t, command, args, env = {}) {
  const child = spawn(command, args, { env: { PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (d) => { output += d; });
  child.stderr.on('data', (d) => { output += d; });
  const ended = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { output: () => output, running: () => child.exitCode === null };
}

// fetch() does not let its caller choose Host.
function ask(port, path, { method = 'GET', host = NAME, headers = {}, body } = {}) {
  return new Promise((done, fail) => {
    const request = http.request({ port, host: '127.0.0.1', path, method, headers: { host, ...headers } }, done);
    request.on('error', fail);
    request.end(body);
  });
}

async function text(reply) {
  let all = '';
  for await (const piece of reply) all += piece;
  return all;
}

// A job that nobody waits for, so that what arrives of its events has not been kept until the end.
const long = { model: 'tiny', depth: 24, seeds: Array.from({ length: 64 }, (_, i) => i), train: { steps: 20 } };

async function servesThrough(t, daemon, proxy, port) {
  await until(`the proxy to listen: ${proxy.output()}`, async () => {
    assert.ok(proxy.running(), proxy.output());
    return ask(port, '/healthz').then((r) => [200, 503].includes((r.resume(), r.statusCode)), () => false);
  });
  assert.match(await text(await ask(port, '/')), /<title>/);
  const stranger = await ask(new URL(daemon.url).port, '/api/v1', { host: 'other.example.org' });
  stranger.resume();
  assert.notEqual(stranger.statusCode, 200); // the name counts, and the proxy passes it on
  const body = JSON.stringify(long);
  const posted = await ask(port, '/api/v1/jobs', { method: 'POST', body,
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } });
  assert.equal(posted.statusCode, 202, await text(posted));
  const job = posted.headers.location;
  const events = await ask(port, `${job}/events`);
  assert.match(events.headers['content-type'], /^text\/event-stream/);
  let stream = '';
  events.on('data', (d) => { stream += d; });
  const closed = once(events, 'close');
  await until('two events', () => stream.split('\n\n').length > 2);
  assert.equal((await daemon.get(job)).state, 'running');
  await daemon.request('DELETE', job);
  await closed;
  assert.match(stream, /^event: end$/m);
  // 16 MiB, the largest text that the daemon takes.
  const corpus = await ask(port, '/api/v1/corpora/large', { method: 'PUT', body: Buffer.alloc(16 << 20, 'a tale '),
    headers: { 'content-type': 'text/plain', 'content-length': 16 << 20 } });
  assert.ok(corpus.statusCode < 300, `${corpus.statusCode}: ${await text(corpus)}`);
}

const behind = (t) => withDaemon(t, { args: ['--workers', '1'], env: { NORMSCOPE_HOSTS: NAME } });

test('nginx as the page has it passes the name, events as they come, and large texts', { skip: without('nginx') }, async (t) => {
  const daemon = await behind(t), dir = makeDir(), port = await freePort();
  const [location] = blocks('nginx');
  assert.match(location, /http:\/\/127\.0\.0\.1:8080;/);
  const conf = join(dir, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${dir}/${n};`);
  writeFileSync(conf, `daemon off; master_process off; pid ${dir}/pid; error_log stderr; events {}
    http { access_log off; ${temporary.join(' ')}
      server { listen 127.0.0.1:${port}; server_name ${NAME};
        ${location.replace('http://127.0.0.1:8080', daemon.url)} } }`);
  await servesThrough(t, daemon, beside(t, 'nginx', ['-e', 'stderr', '-c', conf]), port);
});

test('Caddy with deploy/Caddyfile does the same', { skip: without('caddy') }, async (t) => {
  const daemon = await behind(t), dir = makeDir(), port = await freePort();
  const env = { SITE: `http://${NAME}:${port}`, UPSTREAM: new URL(daemon.url).host, HOME: dir, XDG_DATA_HOME: dir,
    XDG_CONFIG_HOME: dir, CADDY_ADMIN: `unix/${dir}/admin` };
  const caddy = beside(t, 'caddy', ['run', '--adapter', 'caddyfile', '--config', join(root, 'deploy/Caddyfile')], env);
  await servesThrough(t, daemon, caddy, port);
});

test('Prometheus scrapes by the page, its rules hold, and Grafana\'s expressions have values',
  { skip: without('prometheus') || without('promtool') }, async (t) => {
    const token = 'a-token-of-sixteen-and-more', dir = makeDir(), port = await freePort();
    writeFileSync(join(dir, 'token'), token, { mode: 0o600 });
    const daemon = await withDaemon(t, { token, args: ['--token-file', join(dir, 'token')] });
    await daemon.finish({ model: 'tiny', depth: 2, seeds: [0] });
    const [scrape, rules] = blocks('yaml');
    assert.match(scrape, /\/etc\/prometheus\/normscope\.token/);
    mkdirSync(join(dir, 'data'));
    writeFileSync(join(dir, 'rules.yml'), rules);
    writeFileSync(join(dir, 'prometheus.yml'),
      `global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n${scrape
        .replace('/etc/prometheus/normscope.token', join(dir, 'token')).replace('127.0.0.1:8080', new URL(daemon.url).host)}`);
    const checked = spawnSync('promtool', ['check', 'config', join(dir, 'prometheus.yml')], { encoding: 'utf8', env: { PATH } });
    assert.equal(checked.status, 0, checked.stderr);
    const prometheus = beside(t, 'prometheus', [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`,
      `--web.listen-address=127.0.0.1:${port}`]);
    const api = async (path) => {
      assert.ok(prometheus.running(), prometheus.output());
      const reply = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`).catch(() => null);
      return reply?.ok ? (await reply.json()).data : null;
    };
    const value = async (expression) => (await api(`query?query=${encodeURIComponent(expression)}`))?.result ?? [];
    await until('a scrape', async () => (await value('up{job="normscope"}'))[0]?.value[1] === '1');
    const expressions = [...page.split('\nFor Grafana: ')[1].split('\n\n')[0].matchAll(/`([^`]+)`/g)].map((m) => m[1]);
    assert.ok(expressions.length >= 4);
    for (const expression of expressions)
      await until(`a value of ${expression}`, async () => (await value(expression)).length > 0);
    const judged = await until('the rules to be evaluated', async () => {
      const all = (await api('rules'))?.groups.flatMap((g) => g.rules) ?? [];
      return all.length > 0 && all.every((r) => r.health !== 'unknown') && all;
    });
    assert.deepEqual(judged.map((r) => [r.name, r.health, r.state]).filter(([, health, state]) => health !== 'ok' || state !== 'inactive'), []);
  });
