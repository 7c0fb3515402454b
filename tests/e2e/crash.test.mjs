// What survives: kill -9 of the daemon and of its workers, a polite stop, and the same bits afterwards.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeDir, runProgram, sleep, sql, startDaemon, storedBits, until, withDaemon } from './lib.mjs';

// About a dozen runs of a few tenths of a second each: time to hit one in the middle.
const study = {
  name: 'crash study',
  model: { d_model: 64, n_heads: 4 },
  data: { source: 'random_tokens', batch: 4, seq_len: 64 },
  train: { steps: 4 },
  seeds: [0, 1, 2],
  sweep: { strategy: ['pre_ln', 'post_ln'], depth: [8, 16] },
};
// One run that takes some seconds.
const long = { model: { d_model: 128, n_heads: 4 }, depth: 16, train: { steps: 30 }, seeds: [7] };

// Nothing doubled, nothing half there, nothing damaged.
function checkDatabase(db) {
  assert.deepEqual(sql(db, 'PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
  assert.deepEqual(sql(db, 'PRAGMA foreign_key_check'), []);
  assert.deepEqual(sql(db, 'SELECT hash, count(*) n FROM jobs GROUP BY hash HAVING n > 1'), []);
  assert.deepEqual(sql(db, 'SELECT job_id, idx, count(*) n FROM runs GROUP BY 1, 2 HAVING n > 1'), []);
  assert.deepEqual(sql(db, `SELECT run_id, step, layer, site_id, metric_id, param_id, count(*) n
    FROM measurements GROUP BY 1, 2, 3, 4, 5, 6 HAVING n > 1`), []);
  assert.deepEqual(sql(db, 'SELECT run_id, step, count(*) n FROM steps GROUP BY 1, 2 HAVING n > 1'), []);
  assert.deepEqual(sql(db, `SELECT r.id, r.state FROM runs r WHERE r.state <> 'done' AND
    (EXISTS (SELECT 1 FROM measurements m WHERE m.run_id = r.id) OR
     EXISTS (SELECT 1 FROM steps t WHERE t.run_id = r.id))`), [], 'rows of a run that is not done');
  assert.deepEqual(sql(db, `SELECT j.id FROM jobs j WHERE j.runs_total <>
    (SELECT count(*) FROM runs r WHERE r.job_id = j.id)`), []);
}

const workersGone = (pids) => until('the workers to end with the daemon', () => pids.every((pid) => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}), 5000);

test('kill -9 in the middle of a job: the job finishes, nothing doubled, same bits', async (t) => {
  const first = await startDaemon({ args: ['--workers', '2'] });
  const { id } = await first.submit(study);
  await until('two runs to be done, one running', async () => {
    const job = await first.job(id);
    return job.runs_done >= 2 && job.state === 'running';
  }, 60000, 5);
  const workers = first.workers();
  assert.ok(workers.length >= 2);
  await first.kill();
  await workersGone(workers);

  checkDatabase(first.db);
  const finished = sql(first.db, `SELECT idx FROM runs WHERE state = 'done'`).map((r) => r.idx);
  assert.ok(finished.length >= 2 && finished.length < 12, `${finished.length} of 12 runs were done`);
  const kept = `r.idx IN (${finished})`;
  const before = storedBits(first.db, id, kept);

  const second = await withDaemon(t, { dir: first.dir, args: ['--workers', '2'] });
  const job = await second.wait(id);
  assert.equal(job.state, 'done');
  assert.equal(job.runs_done, 12);
  checkDatabase(second.db);
  assert.equal(storedBits(second.db, id, kept), before, 'finished runs were kept as they were');
  assert.deepEqual(sql(second.db, 'SELECT DISTINCT attempts FROM runs'), [{ attempts: 0 }],
    'our own restart is not held against a run');

  const replay = await withDaemon(t, { args: ['--workers', '1'] });
  const again = await replay.finish(study);
  assert.equal(again.hash, job.hash);
  const bits = storedBits(replay.db, again.id);
  assert.ok(bits.length > 10000);
  assert.equal(storedBits(second.db, id), bits, 'a replay gives the same bits');
});

test('kill -9 soon after 202, again and again: every acknowledged job is done once', async (t) => {
  const dir = makeDir();
  const acknowledged = new Map();
  for (let round = 0; round < 5; round++) {
    const daemon = await startDaemon({ dir, args: ['--workers', '2'] });
    for (let k = 0; k < 3; k++) {
      const job = await daemon.submit({ depth: 2, seeds: [1000 * round + k] });
      acknowledged.set(job.hash, job.id);
    }
    await sleep(round * 30);
    await daemon.kill();
    checkDatabase(daemon.db);
  }
  const daemon = await withDaemon(t, { dir, args: ['--workers', '2'] });
  for (const [hash, id] of acknowledged) {
    const job = await daemon.wait(id);
    assert.equal(job.state, 'done');
    assert.equal(job.hash, hash);
  }
  checkDatabase(daemon.db);
});

// Kills the worker that computes the job's only run.
async function killWorker(daemon, id) {
  await until('the run to be running', async () => {
    const { runs } = await daemon.get(`/api/v1/jobs/${id}/runs`);
    return runs[0].state === 'running' && daemon.workers().length > 0;
  }, 30000, 5);
  await sleep(100); // into the computation
  for (const pid of daemon.workers()) process.kill(pid, 'SIGKILL');
}

test('kill -9 of a worker: its run is queued once more and finishes', async (t) => {
  const daemon = await withDaemon(t, { args: ['--workers', '1'] });
  const { id } = await daemon.submit(long);
  await killWorker(daemon, id);
  const job = await daemon.wait(id);
  assert.equal(job.state, 'done', JSON.stringify(job.error));
  assert.deepEqual(sql(daemon.db, 'SELECT attempts, state FROM runs'), [{ attempts: 1, state: 'done' }]);
  checkDatabase(daemon.db);
});

test('a run that kills its worker twice fails with the reason, and the daemon goes on', async (t) => {
  const daemon = await withDaemon(t, { args: ['--workers', '1'] });
  const { id } = await daemon.submit(long);
  await killWorker(daemon, id);
  await until('the second attempt', () =>
    sql(daemon.db, 'SELECT attempts, state FROM runs').some((r) => r.attempts === 1 && r.state === 'running'));
  await killWorker(daemon, id);
  const job = await daemon.wait(id);
  assert.equal(job.state, 'failed');
  assert.equal(job.error.code, 'worker');
  assert.equal((await daemon.finish({ depth: 2, seeds: [1] })).state, 'done');
  checkDatabase(daemon.db);
});

test('SIGTERM: exit 0 within 5 s, the running job is finished after a restart', async (t) => {
  const first = await startDaemon({ args: ['--workers', '2'] });
  const { id } = await first.submit(study);
  await until('a run to be done', async () => (await first.job(id)).runs_done >= 1, 60000, 5);
  const workers = first.workers();
  const { code, ms } = await first.stop();
  assert.equal(code, 0, first.output);
  assert.ok(ms < 5000, `took ${ms} ms`);
  await workersGone(workers);
  checkDatabase(first.db);
  const second = await withDaemon(t, { dir: first.dir, args: ['--workers', '2'] });
  assert.equal((await second.wait(id)).state, 'done');
  assert.deepEqual(sql(second.db, 'SELECT DISTINCT attempts FROM runs'), [{ attempts: 0 }]);
  checkDatabase(second.db);
});

test('a second daemon on the same database, and on the same port, is refused in one line', async (t) => {
  const daemon = await withDaemon(t, { args: ['--workers', '1'] });
  const same_db = await runProgram(['serve', '--listen', '127.0.0.1:0', '--db', daemon.db]);
  assert.notEqual(same_db.status, 0);
  assert.match(same_db.stderr, /database|normscope\.db/);
  const port = new URL(daemon.url).port;
  const same_port = await runProgram(['serve', '--listen', `127.0.0.1:${port}`, '--db', `${makeDir()}/x.db`]);
  assert.notEqual(same_port.status, 0);
  assert.match(same_port.stderr, new RegExp(`127\\.0\\.0\\.1:${port} is taken`));
});

test('the same bits with 1, 2 and 4 threads, in both precisions', async () => {
  for (const precision of ['float32', 'float64']) {
    const job = JSON.stringify({
      model: { d_model: 64, n_heads: 4, n_kv_heads: 2, position: 'rope', activation: 'swiglu' },
      strategy: 'peri_ln', depth: 6, precision, train: { steps: 3 }, seeds: [5],
    });
    const texts = [];
    for (const threads of ['1', '2', '4']) {
      const run = await runProgram(['run', '-', '--format', 'csv', '--threads', threads], { input: job });
      assert.equal(run.status, 0, run.stderr);
      texts.push(run.stdout);
    }
    assert.ok(texts[0].split('\n').length > 500);
    assert.equal(texts[1], texts[0], `${precision}, 2 threads`);
    assert.equal(texts[2], texts[0], `${precision}, 4 threads`);
  }
});

test('the daemon and the command line store the same numbers', async (t) => {
  const daemon = await withDaemon(t);
  const job = { depth: 4, seeds: [3], train: 2 };
  const { id } = await daemon.finish(job);
  const served = await daemon.get(`/api/v1/jobs/${id}/series?format=csv`);
  const run = await runProgram(['run', '-', '--format', 'csv'], { input: JSON.stringify(job) });
  assert.equal(run.status, 0, run.stderr);
  const numbers = (csv) => csv.trim().split('\n').slice(1).map((l) => l.slice(l.indexOf(',') + 1)).sort();
  assert.deepEqual(numbers(run.stdout), numbers(served)); // all columns but run_id
});
