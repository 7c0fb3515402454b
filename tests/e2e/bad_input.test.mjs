// Bad input, through HTTP and on the command line: the right status, a JSON Pointer, the value and what
// is allowed; the same sentence both times; nothing stored is touched, nothing reaches a worker.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { makeDir, runProgram, sql, startDaemon } from './lib.mjs';

let daemon, known;
before(async () => {
  daemon = await startDaemon({ args: ['--workers', '1'] });
  known = await daemon.finish({ name: 'known', depth: 2, seeds: [1] });
});
after(() => daemon.kill());

const dump = () => JSON.stringify([
  sql(daemon.db, 'SELECT * FROM jobs'), sql(daemon.db, 'SELECT * FROM runs'),
  sql(daemon.db, 'SELECT count(*), total(value) FROM measurements'),
  sql(daemon.db, 'SELECT name, hash FROM corpora')]);

// what: the document; then status, code, pointer, and what the message has to say.
const documents = [
  ['not JSON', '{"depth": 12', 400, 'json', undefined, []],
  ['nothing at all', '', 400, 'json', undefined, []],
  ['two documents', '{} {}', 400, 'json', undefined, []],
  ['a number JSON does not have', '{"depth": 012}', 400, 'json', undefined, []],
  ['a bare NaN', '{"train": {"lr": NaN}}', 400, 'json', undefined, []],
  ['not an object', '[1, 2]', 422, 'type', '', ['object']],
  ['a string for a number', '{"depth": "12"}', 422, 'type', '/depth', ['"?12"?', 'integer']],
  ['a fraction for an integer', '{"depth": 1.5}', 422, undefined, '/depth', ['1.5']],
  ['a number for a flag', '{"model": {"bias": 1}}', 422, 'type', '/model/bias', ['true']],
  ['an unknown field', '{"dept": 12}', 422, 'unknown_field', '/dept', ['depth']],
  ['an unknown field deep inside', '{"train": {"learning_rate": 1}}', 422, 'unknown_field',
    '/train/learning_rate', ['lr']],
  ['a field given twice', '{"depth": 6, "depth": 12}', 422, 'duplicate_field', '/depth', []],
  ['depth 0', '{"depth": 0}', 422, 'range', '/depth', ['0', '1', '4096']],
  ['depth 10^9', '{"depth": 1000000000}', 422, undefined, '/depth', ['1000000000', '4096']],
  ['a number beyond every range', '{"train": {"lr": 1e999}}', undefined, undefined, '/train/lr', []],
  ['an unknown name', '{"strategy": "pre_norm"}', 422, 'unknown_name', '/strategy', ['pre_norm', 'pre_ln']],
  ['d_model not divisible by n_heads', '{"model": {"d_model": 64, "n_heads": 5}}', 422, 'combination',
    '/model/n_heads', ['5', '64']],
  ['n_heads not divisible by n_kv_heads', '{"model": {"d_model": 64, "n_heads": 4, "n_kv_heads": 3}}', 422,
    'combination', '/model/n_kv_heads', ['3', '4']],
  ['the same seed twice', '{"seeds": [1, 2, 1]}', 422, undefined, '/seeds/2', ['1']],
  ['no seeds', '{"seeds": []}', 422, 'range', '/seeds', []],
  ['a probe after the end', '{"train": 5, "measure": {"steps": [0, 9]}}', 422, 'combination', '/measure/steps/1',
    ['9', '5']],
  ['a bad value inside a sweep', '{"sweep": {"depth": [6, 12, -1]}}', 422, 'range', '/sweep/depth/2',
    ['-1', '4096']],
  ['a sweep over nothing', '{"sweep": {"depth": []}}', 422, undefined, '/sweep/depth', []],
  ['a sweep over an unknown field', '{"sweep": {"train.rate": [1]}}', 422, 'unknown_field',
    '/sweep/train.rate', []],
  ['more runs than a job may have', JSON.stringify({ sweep: {
    'init.std': Array.from({ length: 100 }, (_, i) => (i + 1) / 1000),
    'train.lr': Array.from({ length: 100 }, (_, i) => (i + 1) / 1000) } }), 422, 'limit', undefined, ['4096']],
  ['a job too big for the memory', '{"model": {"d_model": 65536, "n_heads": 64}, "depth": 4096}', 422,
    'limit', undefined, []],
  ['a job too big for the time', '{"model": {"d_model": 2048, "n_heads": 16}, "depth": 60, "train": 100000}',
    422, 'limit', undefined, []],
];

for (const [what, text, status, code, pointer, says] of documents) {
  test(`refused alike by POST and by run: ${what}`, async () => {
    const stored = dump();
    const reply = await daemon.request('POST', '/api/v1/jobs',
      { body: text, headers: { 'content-type': 'application/json' } });
    assert.equal(reply.type, 'application/problem+json');
    const problem = reply.body;
    assert.ok(reply.status >= 400 && reply.status < 500, `${reply.status}`);
    if (status) assert.equal(reply.status, status, reply.text);
    assert.equal(problem.status, reply.status);
    if (code) assert.equal(problem.code, code, reply.text);
    if (pointer !== undefined) assert.equal(problem.pointer ?? '', pointer, reply.text);
    for (const word of says) assert.match(problem.detail, new RegExp(word), reply.text);
    assert.equal(dump(), stored);

    const run = await runProgram(['run', '-'], { input: text });
    assert.equal(run.status, 2, run.stderr);
    assert.equal(run.stdout, '');
    assert.ok(run.stderr.includes(problem.detail), `"${run.stderr}" has not the sentence of HTTP: ${reply.text}`);
    if (problem.pointer) assert.ok(run.stderr.includes(problem.pointer), run.stderr);
  });
}

test('a corpus that is not there: its pointer and its name, by POST and by run', async () => {
  const text = '{"data": {"source": "text", "corpus": "nowhere"}}';
  const reply = await daemon.request('POST', '/api/v1/jobs',
    { body: text, headers: { 'content-type': 'application/json' } });
  assert.equal(reply.status, 404);
  assert.equal(reply.body.code, 'not_found');
  assert.equal(reply.body.pointer, '/data/corpus');
  assert.match(reply.body.detail, /nowhere/);
  const run = await runProgram(['run', '-'], { input: text });
  assert.equal(run.status, 2);
  assert.match(run.stderr, /\/data\/corpus/);
  assert.match(run.stderr, /nowhere/);
});

test('a file that cannot be read is named, and no result is printed', async () => {
  const run = await runProgram(['run', '/nowhere/job.json']);
  assert.equal(run.status, 2);
  assert.equal(run.stdout, '');
  assert.match(run.stderr, /\/nowhere\/job\.json/);
});

test('unknown options and commands exit 2 and say what there is', async () => {
  const db = `${makeDir()}/normscope.db`;
  for (const args of [['run', '--colour', '-'], ['frobnicate'], ['run'], ['serve', '--listen', 'nonsense', '--db', db]]) {
    const run = await runProgram(args);
    assert.equal(run.status, 2, `${args.join(' ')}: ${run.stderr}`);
    assert.notEqual(run.stderr, '');
  }
});

// --- what only HTTP has ---

const requests = [
  ['an unknown path', 'GET', '/api/v1/nothing', {}, 404],
  ['an unknown path outside the API', 'GET', '/nothing', {}, 404],
  ['a path that climbs', 'GET', '/static/..%2f..%2fetc/passwd', {}, 404],
  ['an unknown job', 'GET', '/api/v1/jobs/999999', {}, 404],
  ['a job id that is no number', 'GET', '/api/v1/jobs/one', {}, 404],
  ['an unknown run', 'GET', '/api/v1/runs/999999', {}, 404],
  ['an unknown registry', 'GET', '/api/v1/registries/nothing', {}, 404],
  ['an unknown corpus', 'GET', '/api/v1/corpora/nothing', {}, 404],
  ['an unknown schema', 'GET', '/api/v1/schema/nothing', {}, 404],
  ['the wrong method', 'PUT', '/api/v1/jobs', { body: {} }, 405],
  ['the wrong method of a page', 'POST', '/', { body: {} }, 405],
  ['the wrong content type', 'POST', '/api/v1/jobs', { body: '{}', headers: { 'content-type': 'text/plain' } }, 415],
  ['a form', 'POST', '/api/v1/jobs',
    { body: 'depth=12', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
  ['a body over the limit', 'POST', '/api/v1/jobs',
    { body: `{"name": "${'x'.repeat(300000)}"}`, headers: { 'content-type': 'application/json' } }, 413],
  ['an unknown parameter', 'GET', '/api/v1/jobs?colour=red', {}, 400],
  ['a parameter out of range', 'GET', '/api/v1/jobs?limit=0', {}, 400],
  ['a parameter of the wrong kind', 'GET', '/api/v1/jobs?limit=many', {}, 400],
  ['an unknown metric', 'GET', '/api/v1/jobs/1/series?metric=colour', {}, 400],
  ['a format that is not offered', 'GET', '/api/v1/jobs/1/series?format=xml', {}, 400],
  ['a bad corpus name', 'PUT', '/api/v1/corpora/.hidden',
    { body: 'text', headers: { 'content-type': 'text/plain' } }, undefined],
  ['another site', 'POST', '/api/v1/jobs', { body: {}, headers: { origin: 'http://evil.example' } }, 403],
];

for (const [what, method, path, options, status] of requests) {
  test(`refused by HTTP: ${what}`, async () => {
    const stored = dump();
    const reply = await daemon.request(method, path, options);
    assert.equal(reply.type, 'application/problem+json', reply.text);
    assert.ok(reply.status >= 400 && reply.status < 500, `${reply.status}`);
    if (status) assert.equal(reply.status, status, reply.text);
    assert.equal(reply.body.status, reply.status);
    if (reply.status === 405) assert.match(reply.headers.get('allow') ?? '', /[A-Z]/);
    assert.equal(dump(), stored);
  });
}

test('a Host that is not ours is refused', async () => {
  const status = await new Promise((done, fail) => {
    const { port } = new URL(daemon.url);
    http.get({ port, host: '127.0.0.1', path: '/api/v1', headers: { host: 'evil.example' } }, (reply) => {
      reply.resume();
      done(reply.statusCode);
    }).on('error', fail);
  });
  assert.equal(status, 400);
});

test('after all of it the daemon is healthy and the known job is as it was', async () => {
  assert.equal((await daemon.get('/healthz')).status, 'ok');
  const now = await daemon.job(known.id);
  assert.deepEqual(now, known);
  assert.deepEqual(sql(daemon.db, 'SELECT count(*) n FROM jobs'), [{ n: 1 }]);
});
