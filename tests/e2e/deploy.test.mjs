// What an operator meets: what `make install` writes, the manual page, completions, the units, the first token,
// health, metrics, backups. The container has a test of its own that takes minutes: make docker-test.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { Daemon, environment, makeDir, program, root, runProgram, sql, until, withDaemon } from './lib.mjs';

const read = (path) => readFileSync(join(root, path), 'utf8');
const has = (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;
const without = (command) => (has(command) ? false : `${command} is not here`);

function call(command, args, { cwd = root, input, env = {} } = {}) {
  const { status, stdout, stderr } = spawnSync(command, args,
    { cwd, input, env: { ...environment, ...env }, encoding: 'utf8' });
  return { status, stdout, stderr };
}

const files = (dir) => readdirSync(dir, { recursive: true, withFileTypes: true })
  .filter((f) => !f.isDirectory()).map((f) => relative(dir, join(f.parentPath ?? f.path, f.name))).sort();

// Rows of the option table, from its source: [name, argument].
const options = [...read('server/command/option.def').matchAll(/^OPTION\(\w+, "([\w-]+)", \w+, "([^"]*)"/gm)]
  .map((m) => [m[1], m[2]]);
const commands = [...read('server/command/option.def').matchAll(/^COMMAND\((\w+),/gm)].map((m) => m[1])
  .filter((name) => name !== 'worker');

// --- install ---

function make(target, destination, prefix) {
  const build = relative(root, dirname(program)) || '.';
  const made = call('make', ['-s', target, `BUILD=${build.startsWith('..') ? dirname(program) : build}`,
    `DESTDIR=${destination}`, `PREFIX=${prefix}`], { env: { MAKEFLAGS: '', MAKELEVEL: '' } });
  assert.equal(made.status, 0, made.stderr);
}

test('install writes what it says below DESTDIR, and uninstall removes all of it', () => {
  const destination = makeDir();
  make('install-files', destination, '/usr');
  const at = (path) => join(destination, 'usr', path);
  for (const path of ['bin/normscope', 'share/man/man1/normscope.1', 'share/zsh/vendor-completions/_normscope',
    'share/bash-completion/completions/normscope', 'share/fish/vendor_completions.d/normscope.fish',
    'lib/systemd/system/normscope.service', 'lib/systemd/system/normscope.socket',
    'share/normscope/LICENSE', 'share/normscope/schema/001_init.sql', 'share/normscope/schema/job.json', 'share/normscope/static/index.html']) {
    assert.ok(existsSync(at(path)), path);
    assert.equal(statSync(at(path)).mode & 0o777, path === 'bin/normscope' ? 0o755 : 0o644, path);
    assert.ok(statSync(at(path)).size > 100, `${path} is empty`);
  }
  assert.match(readFileSync(at('lib/systemd/system/normscope.service'), 'utf8'), /^ExecStart=\/usr\/bin\/normscope serve/m);
  assert.equal(call(at('bin/normscope'), ['version']).status, 0);
  make('uninstall', destination, '/usr');
  assert.deepEqual(files(destination), []);
});

test('the licence is MIT, with one holder, wherever it is named', () => {
  const holder = 'the Normscope authors';
  const [, notice, grant] = /^MIT License\n\nCopyright \(c\) (2026 .*)\n\n([^]*)$/.exec(read('LICENSE'));
  assert.equal(notice, `2026 ${holder}`);
  const own = read('deploy/debian/copyright').split(/^Files: /m)[1];
  assert.match(own, new RegExp(`^\\*\nCopyright: ${notice}\nLicense: Expat\n`));
  assert.equal(own.split('License: Expat\n')[1].replace(/^ \.?/gm, '').trim(), grant.trim());
  for (const args of [['version'], ['--version'], ['manual']]) {
    const { stdout } = call(program, args);
    assert.match(stdout, new RegExp(`^Copyright ${notice}`, 'm'), args.join(' '));
    assert.match(stdout, /licence MIT/i, args.join(' '));
  }
  assert.deepEqual(JSON.parse(call(program, ['schema', 'openapi']).stdout).info.license, { name: 'MIT', identifier: 'MIT' });
  assert.match(read('deploy/Dockerfile'), /image\.licenses="MIT"/);
});

// --- manual page and completions: made from the table, so what is to be shown is that they say all of it ---

test('the manual page names every command and option, and man finds nothing wrong with it', () => {
  const page = call(program, ['manual']);
  assert.equal(page.status, 0);
  for (const [name] of options) assert.ok(page.stdout.includes(name.replaceAll('-', '\\-')), `--${name}`);
  for (const name of commands) assert.match(page.stdout, new RegExp(`^\\.SS normscope ${name}\\b`, 'm'));
  if (!has('man')) return;
  const shown = call('man', ['--warnings', '-E', 'UTF-8', '-l', '-'],
    { input: page.stdout, env: { MANWIDTH: '100', LC_ALL: 'C.UTF-8' } });
  assert.equal(shown.stderr, '');
  assert.equal(shown.status, 0);
  assert.match(shown.stdout, /--token-file FILE/);
});

function bashOffers(words) {
  const script = join(makeDir(), 'completion');
  writeFileSync(script, call(program, ['completion', 'bash']).stdout);
  const run = call('bash', ['-c', `complete() { :; }; . ${script}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _normscope; ` +
    'printf "%s\\n" "${COMPREPLY[@]}"', 'bash', ...words]);
  assert.equal(run.stderr, '');
  return run.stdout.split('\n').filter(Boolean);
}

test('bash completes commands, options, and values that the table names', () => {
  assert.deepEqual(bashOffers(['normscope', '']).sort(), [...commands, '--help', '--version'].sort());
  assert.deepEqual(bashOffers(['normscope', 'run', '--format', '']), ['json', 'csv', 'ndjson']);
  assert.deepEqual(bashOffers(['normscope', 'serve', '--token']), ['--token-file']);
  assert.deepEqual(bashOffers(['normscope', 'run', '--strategy', 'peri_']), ['peri_ln', 'peri_ln_emb']);
  assert.ok(bashOffers(['normscope', 'run', 'gallery:post']).includes('gallery:post-ln-48'));
  assert.ok(bashOffers(['normscope', 'describe', 'pl']).includes('placements'));
  assert.deepEqual(bashOffers(['normscope', 'completion', '']), ['bash', 'zsh', 'fish']);
  assert.ok(bashOffers(['normscope', 'run', '--out', 'READ']).includes('README.md'));
});

test('zsh and fish read their completions, which name every option', () => {
  for (const shell of ['zsh', 'fish']) {
    const text = call(program, ['completion', shell]).stdout;
    for (const [name] of options) assert.match(text, new RegExp(`(--|-l )${name}\\b`), `${shell}: ${name}`);
    const file = join(makeDir(), shell);
    writeFileSync(file, text);
    if (has(shell)) assert.deepEqual(call(shell, ['-n', file]), { status: 0, stdout: '', stderr: '' });
  }
  assert.equal(call(program, ['completion', 'tcsh']).status, 2);
});

// --- units ---

test('systemd finds nothing wrong with the units, and little that they leave open', { skip: without('systemd-analyze') }, () => {
  const dir = makeDir();
  const unit = join(dir, 'normscope.service');
  writeFileSync(unit, read('deploy/normscope.service').replace('@BINDIR@', dirname(program)));
  writeFileSync(join(dir, 'normscope.socket'), read('deploy/normscope.socket'));
  const seen = call('systemd-analyze', ['verify', '--man=no', unit, join(dir, 'normscope.socket')]);
  const ours = seen.stderr.split('\n').filter((line) => /normscope/.test(line));
  assert.deepEqual(ours, []);
  assert.equal(seen.status, 0, seen.stderr);
  const exposure = call('systemd-analyze', ['security', '--offline=true', '--threshold=15', unit]);
  assert.equal(exposure.status, 0, exposure.stdout.split('\n').slice(-3).join('\n'));
});

test('the compose file is one', { skip: without('docker-compose') }, () => {
  const seen = call('docker-compose', ['-f', 'deploy/compose.yaml', '--profile', 'tls', 'config']);
  assert.equal(seen.status, 0, seen.stderr);
  assert.match(seen.stdout, /read_only: true/);
});

// --- the daemon as operators use it ---

// Its token is the one that its first start said.
class FirstStart extends Daemon {
  get auth() {
    const said = /^ {2}(ns_[0-9a-f]{64})$/m.exec(this.output);
    return said ? { authorization: `Bearer ${said[1]}` } : {};
  }

  set auth(_) {}
}

test('the first start makes a token and says it once; SIGHUP takes another one', async (t) => {
  const dir = makeDir();
  const file = join(dir, 'token');
  const settings = { dir, args: ['--make-token', '--token-file', file] };
  const daemon = await new FirstStart(settings).start();
  t.after(() => daemon.kill());
  const first = daemon.auth.authorization;
  const asks = async (authorization) => (await fetch(`${daemon.url}/metrics`, { headers: { authorization } })).status;
  assert.deepEqual([await asks(first), await asks('Bearer x')], [200, 401]);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(file, 'utf8'), /^sha256:[0-9a-f]{64}\n$/);
  assert.match((await runProgram(['token'], { env: { NORMSCOPE_TOKEN_FILE: file } })).stdout, /token --new/);
  const second = `Bearer ${(await runProgram(['token', '--new', '--token-file', file])).stdout.trim()}`;
  assert.deepEqual([await asks(first), await asks(second)], [200, 401]); // not before it is told
  daemon.process.kill('SIGHUP');
  await until('the new token to count', async () => await asks(second) === 200);
  assert.equal(await asks(first), 401);
  await daemon.stop();
  const output = daemon.output.length;
  await assert.rejects(daemon.start(), () => true); // the first token does not open it any more
  assert.doesNotMatch(daemon.output.slice(output), /ns_[0-9a-f]/);
});

test('a socket that the service manager holds is served, the first connection included',
  { skip: without('systemd-socket-activate') }, async (t) => {
    const dir = makeDir();
    const held = createServer().listen(0, '127.0.0.1');
    await once(held, 'listening');
    const { port } = held.address();
    await new Promise((done) => held.close(done));
    const child = spawn('systemd-socket-activate', ['-l', `127.0.0.1:${port}`, '-E', `PATH=${process.env.PATH}`, program,
      'serve', '--workers', '1', '--listen', '127.0.0.1:1', '--db', join(dir, 'x.db')], { env: environment, stdio: 'ignore' });
    t.after(() => child.kill('SIGKILL'));
    const health = await until('the socket to be held', () => fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null));
    assert.ok([200, 503].includes(health.status)); // 503: its worker is not up yet
    const ended = once(child, 'exit');
    child.kill('SIGHUP'); // no token file: the end
    assert.deepEqual(await ended, [0, null]);
  });

test('health speaks by its exit status; metrics need the token where there is one', async (t) => {
  const daemon = await withDaemon(t);
  const listen = new URL(daemon.url).host;
  const well = await runProgram(['health', '--listen', listen]);
  assert.deepEqual([well.status, JSON.parse(well.stdout).status], [0, 'ok']);
  const everywhere = await runProgram(['health'], { env: { NORMSCOPE_LISTEN: listen.replace('127.0.0.1', '0.0.0.0') } });
  assert.equal(everywhere.status, 0);
  await daemon.finish({ depth: 2, model: 'tiny', seeds: [0, 1] });
  const { text, headers } = await daemon.request('GET', '/metrics');
  assert.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  const values = parseMetrics(text);
  assert.equal(values.get('normscope_runs{state="done"}'), 2);
  assert.equal(values.get('normscope_jobs{state="failed"}'), 0);
  assert.equal(values.get('normscope_store_ok'), 1);
  assert.equal(values.get('normscope_workers_alive'), daemon.workers().length);
  assert.ok(values.get('process_resident_memory_bytes') > 1e6);
  assert.ok(values.get('normscope_database_bytes') + values.get('normscope_database_wal_bytes') > 4096);
  await daemon.stop();
  const ill = await runProgram(['health', '--listen', listen]);
  assert.equal(ill.status, 1);
  assert.match(ill.stderr, /no answer/);
});

// The text exposition format, strictly: every sample has its HELP and TYPE before it, none comes twice.
function parseMetrics(text) {
  const values = new Map(), types = new Map();
  let helped;
  assert.ok(text.endsWith('\n'));
  for (const line of text.split('\n').slice(0, -1)) {
    const help = /^# HELP (\S+) \S/.exec(line), type = /^# TYPE (\S+) (gauge|counter)$/.exec(line);
    if (help) { helped = help[1]; continue; }
    if (type) {
      assert.equal(type[1], helped);
      assert.ok(!types.has(type[1]), `${type[1]} comes twice`);
      types.set(type[1], type[2]);
      continue;
    }
    const sample = /^([a-z_]+)(\{[a-z]+="[^"\\]*"(?:,[a-z]+="[^"\\]*")*\})? (-?\d+(?:\.\d+)?(?:e[+-]\d+)?)$/.exec(line);
    assert.ok(sample, `no sample: ${line}`);
    assert.ok(types.has(sample[1]), `${sample[1]} has no type`);
    const key = sample[1] + (sample[2] ?? '');
    assert.ok(!values.has(key), `${key} comes twice`);
    values.set(key, Number(sample[3]));
  }
  return values;
}

test('a backup taken while the daemon writes is whole, and serves in its place', async (t) => {
  const daemon = await withDaemon(t);
  const done = await daemon.finish({ depth: 2, model: 'tiny', seeds: [0] });
  const busy = await daemon.submit({ depth: 6, model: 'tiny', seeds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] });
  const copy = join(daemon.dir, 'copy.db');
  const made = await runProgram(['backup', '--db', daemon.db, copy]);
  assert.equal(made.status, 0, made.stderr);
  assert.match(made.stdout, /2 jobs, 13 runs/);
  assert.equal(statSync(copy).mode & 0o077, 0);
  assert.deepEqual(sql(copy, 'PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
  const again = await runProgram(['backup', '--db', daemon.db, copy]);
  assert.equal(again.status, 1);
  assert.match(again.stderr, /there already/);
  const series = (d, id) => d.get(`/api/v1/jobs/${id}/series?format=csv`);
  const before = await series(daemon, done.id);
  await daemon.kill();
  const dir = makeDir();
  const other = await withDaemon(t, { dir, args: ['--db', copy] });
  assert.equal(await series(other, done.id), before);
  assert.equal((await other.wait(busy.id)).state, 'done'); // what was waiting goes on
});
