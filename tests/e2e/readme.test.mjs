// The pages' commands, as they stand: every block marked ```sh test is pasted, one after the other, into one shell
// for each page, whose working directory looks like the repository after `make run`; only the port is changed. The
// operator's page has a test of its own (page.test.mjs).
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { environment, makeDir, program, root, sql, startDaemon } from './lib.mjs';

const read = (path) => readFileSync(join(root, path), 'utf8');
const folders = ['core', 'server', 'schema', 'static', 'tests', 'deploy'];
const pages = ['README.md', ...folders.flatMap((folder) => readdirSync(join(root, folder), { recursive: true })
  .filter((path) => /(^|\/)README\.md$/.test(path) && !/node_modules/.test(path)).map((path) => join(folder, path)).sort())];
const blocksOf = (page, mark) => [...read(page).matchAll(new RegExp(`^\`\`\`${mark}\\n([^]*?)^\`\`\`$`, 'gm'))].map((m) => m[1]);

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

async function paste(page, blocks) {
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
  assert.equal(status, 0, `${page}, block ${last}:\n${blocks[last]}\nsaid:\n${parts[last]?.slice(-2000)}`);
  parts.forEach((text, i) => {
    assert.notEqual(text.trim(), '', `no answer to:\n${blocks[i]}`);
    assert.doesNotMatch(text, /problem\+json|about:blank/, `an error in answer to:\n${blocks[i]}\n${text}`);
  });
}

for (const page of pages) {
  const blocks = blocksOf(page, 'sh test');
  if (blocks.length) test(`every command of ${page} works when pasted`, () => paste(page, blocks));
}

test('there are commands to paste, in the README and beside what they describe', () => {
  const counts = Object.fromEntries(pages.map((page) => [page, blocksOf(page, 'sh test').length]));
  assert.ok(counts['README.md'] >= 5 && counts['server/README.md'] >= 6 && counts['schema/README.md'] >= 1, JSON.stringify(counts));
});

test('commands of the pages are pasted here, but for those that build, make the daemon itself or take long', () => {
  for (const page of pages.filter((p) => p !== 'deploy/README.md')) {
    for (const text of blocksOf(page, 'sh')) assert.match(text, /^(make |build\/normscope run --rank)/, `${page}: ${text}`);
  }
});

test('paths, links and functions that the pages name are there', () => {
  const { status, stdout, stderr } = spawnSync(join(root, 'tests/pages'), { encoding: 'utf8' });
  assert.equal(stdout + stderr, '');
  assert.equal(status, 0);
});

test('the README can be read in two minutes', () => {
  assert.ok(read('README.md').split('\n').length < 200);
  assert.match(read('README.md'), /^# ARCHITECTURE$/m);
});

test('the picture of the README is of the job beside it, as it resolves now', async () => {
  const [, job] = /^ {2}-d '(\{[^]*?\})'\)$/m.exec(read('README.md'));
  const picture = read('tests/e2e/picture.svg');
  assert.ok(statSync(join(root, 'tests/e2e/picture.svg')).size < 100e3);
  assert.doesNotMatch(picture, /class=|<script|https?:\/\/(?!www\.w3\.org)/);
  const { hash } = (await daemon.request('POST', '/api/v1/jobs', { body: JSON.parse(job) })).body;
  assert.ok(picture.includes(`hash ${hash.slice(0, 12)}`), `it is not of job ${hash}: node tests/e2e/picture.mjs`);
});

test('the table of options is the one of the program', () => {
  const rows = [...read('server/command/option.def')
    .matchAll(/^OPTION\(\w+, "([\w-]+)", \w+, "([^"]*)", ([^"]+?), (?:"([^"]*)"|NULL),[^"]*"([^"]*)"\)$/gm)];
  assert.ok(rows.length > 20);
  const table = [...read('server/README.md').matchAll(/^\| `--([\w-]+)( [^`]*)?` \| ([\w, ]+) \| (.*?) \| (.*) \|$/gm)];
  assert.deepEqual(table.map((m) => [m[1], (m[2] ?? '').trim().replaceAll('\\|', '|'), m[4], m[5]]),
    rows.map((m) => [m[1], m[2], m[4] ?? '', m[5]]));
});

test('the table of commands is the one of the program', () => {
  const rows = [...read('server/command/option.def').matchAll(/^COMMAND\((\w+), "([^"]*)", "([^"]*)"\)$/gm)]
    .map(([, name, args, doc]) => [`${name} ${args}`.trim(), doc]).filter(([name]) => name !== 'worker');
  const [, table] = /^\| command \| \|\n\|---\|---\|\n((?:\|.*\n)+)/m.exec(read('server/README.md'));
  assert.deepEqual([...table.replaceAll('\\|', '¦').matchAll(/^\| `([^`]+)` \| (.*) \|$/gm)]
    .map((m) => [m[1].replaceAll('¦', '|'), m[2].replaceAll('¦', '|')]), rows);
});

test('the table of routes is the one of the program', () => {
  const rows = [...read('server/http/route.def').matchAll(/^ROUTE\((\w+), "([^"]*)", \w+, \w+, "([^"]*)", "[^"]*", "([^"]*)"\)$/gm)]
    .map(([, method, path, params, doc]) => [method, path, params.replace('*', ''), doc]);
  assert.ok(rows.length > 30);
  const table = [...read('server/README.md').matchAll(/^\| (GET|POST|PUT|DELETE) \| `([^`]+)` \| (.*?) ?\| (.*) \|$/gm)]
    .map((m) => [m[1], m[2], m[3].replaceAll('`', ''), m[4]]);
  assert.deepEqual(table, rows);
});
