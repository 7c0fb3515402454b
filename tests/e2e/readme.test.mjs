// The README's commands, as they stand: every block marked ```sh test is pasted, one after the other, into
// one shell whose working directory looks like the repository after `make run`; only the port is changed.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { environment, makeDir, program, root, sql, startDaemon } from './lib.mjs';

const readme = readFileSync(join(root, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```sh test\n([\s\S]*?)^```$/gm)].map((m) => m[1]);

let daemon;
before(async () => {
  const dir = makeDir();
  symlinkSync(dirname(program), join(dir, 'build'));
  symlinkSync(join(root, 'tests'), join(dir, 'tests'));
  daemon = await startDaemon({ dir, args: ['--demo'] });
});
after(() => daemon.kill());

test('with --demo an empty database gets the demo study, and it finishes', async () => {
  const { jobs } = await daemon.get('/api/v1/jobs');
  assert.equal(jobs.length, 1);
  const demo = await daemon.wait(jobs[0].id);
  assert.equal(demo.state, 'done', JSON.stringify(demo.error));
  assert.equal(demo.runs_done, 27);
  const depths = sql(daemon.db, 'SELECT DISTINCT depth FROM runs ORDER BY 1').map((r) => r.depth);
  assert.deepEqual(depths, [6, 12, 24]);
  assert.equal(sql(daemon.db, 'SELECT DISTINCT source FROM runs')[0].source, 'text');
});

test('the curl line that the daemon prints at start works when pasted', async () => {
  const [, line] = /^ +try +(curl .*)$/m.exec(daemon.output);
  const job = JSON.parse(execFileSync('bash', ['-c', line], { encoding: 'utf8', env: environment }));
  assert.equal(job.resolved.strategy.placement, 'peri_ln');
  assert.equal((await daemon.wait(job.id)).state, 'done');
});

test('every command of the README works when pasted', async () => {
  assert.ok(blocks.length >= 8, `${blocks.length} blocks`);
  const { host } = new URL(daemon.url);
  const marked = blocks.map((b, i) => `printf '\\n@@ %d\\n' ${i}\n${b.replaceAll('127.0.0.1:8080', host)}`);
  const shell = spawn('bash', ['-euo', 'pipefail'], { cwd: daemon.dir, env: environment });
  let output = '';
  shell.stdout.on('data', (d) => { output += d; });
  shell.stderr.on('data', (d) => { output += d; });
  shell.stdin.end(marked.join('\n'));
  const status = await new Promise((done) => shell.on('close', done));
  const parts = output.split(/\n@@ \d+\n/).slice(1);
  const last = parts.length - 1;
  assert.equal(status, 0, `block ${last}:\n${blocks[last]}\nsaid:\n${parts[last]?.slice(-2000)}`);
  parts.forEach((text, i) => {
    assert.notEqual(text.trim(), '', `no answer to:\n${blocks[i]}`);
    assert.doesNotMatch(text, /problem\+json|about:blank/, `an error in answer to:\n${blocks[i]}\n${text}`);
  });
});

test('commands of the README are pasted here, but for those that make the daemon itself or take long', () => {
  const others = [...readme.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((m) => m[1]);
  for (const text of others) assert.match(text, /^(make run|build\/normscope run --rank)/, text);
});

test('every file and folder that the README names is there', () => {
  const names = [...readme.matchAll(/`((?:core|server|schema|static|tests|deploy)\/[\w./-]*)`/g)].map((m) => m[1]);
  assert.ok(names.length > 10);
  for (const name of names) assert.ok(existsSync(join(root, name)), `${name} does not exist`);
});

test('every function that the README names is in the sources', () => {
  const sources = execFileSync('grep', ['-rhE', '^[a-z].*\\(', 'core', 'server'],
    { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
  for (const [, name] of readme.matchAll(/`([a-z]\w+)\(\)`/g)) {
    assert.ok(new RegExp(`\\b${name}\\(`).test(sources), `${name}() is in no source`);
  }
});

test('the table of options is the one of the program', () => {
  const rows = [...readFileSync(join(root, 'server/command/option.def'), 'utf8')
    .matchAll(/^OPTION\(\w+, "([\w-]+)", \w+, "([^"]*)", ([^"]+?), (?:"([^"]*)"|NULL),[^"]*"([^"]*)"\)$/gm)];
  assert.ok(rows.length > 20);
  const table = [...readme.matchAll(/^\| `--([\w-]+)( [^`]*)?` \| ([\w, ]+) \| (.*?) \| (.*) \|$/gm)];
  assert.deepEqual(table.map((m) => [m[1], (m[2] ?? '').trim().replaceAll('\\|', '|'), m[4], m[5]]),
    rows.map((m) => [m[1], m[2], m[4] ?? '', m[5]]));
});
