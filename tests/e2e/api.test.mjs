// The API from a client's side: the whole life of a job, events, CSV, corpora, equal jobs, cancel, delete,
// restart. Every reply is validated against the published schemas by lib.mjs.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { makeDir, parseCsv, readEvents, runProgram, sql, startDaemon, until, withDaemon } from './lib.mjs';

let daemon;
before(async () => {
  daemon = await startDaemon({ args: ['--workers', '2'] });
});
after(() => daemon.kill());

const small = {
  name: 'small study',
  depth: 3,
  train: { steps: 2 },
  seeds: [0, 1],
  sweep: { strategy: ['pre_ln', 'post_ln'] },
};

test('the life of a job: 202, Location, runs, series, chart, steps, SQL', async () => {
  const reply = await daemon.request('POST', '/api/v1/jobs', { body: small });
  assert.equal(reply.status, 202);
  const { id } = reply.body;
  assert.equal(reply.headers.get('location'), `/api/v1/jobs/${id}`);
  const job = await daemon.wait(id);
  assert.equal(job.state, 'done');
  assert.deepEqual([job.name, job.runs_total, job.runs_done, job.runs_failed], ['small study', 4, 4, 0]);
  assert.match(job.hash, /^[0-9a-f]{64}$/);
  assert.equal(job.progress.fraction, 1);

  const { runs } = await daemon.get(job.links.runs);
  assert.deepEqual(runs.map((r) => [r.idx, r.arm.strategy, r.seed]),
    [[0, 'pre_ln', 0], [1, 'pre_ln', 1], [2, 'post_ln', 0], [3, 'post_ln', 1]]);
  const run = await daemon.get(`/api/v1/runs/${runs[0].id}`);
  assert.equal(run.spec.depth, 3);
  assert.ok(run.provenance);

  const series = await daemon.get(`${job.links.series}?metric=var&site=resid_out&step=0`);
  assert.deepEqual(series.columns,
    ['run_id', 'seed', 'arm', 'step', 'layer', 'site', 'metric', 'param', 'value', 'reason', 'item', 'item_kind']);
  assert.equal(series.truncated, false);
  assert.equal(series.rows.length, 4 * 3); // a run's three blocks
  const stored = sql(daemon.db, `SELECT run_id, layer, value FROM v_measurements WHERE job_id = ${id}
    AND metric = 'var' AND site = 'resid_out' AND step = 0 ORDER BY run_id, layer`);
  assert.deepEqual(series.rows.map((r) => ({ run_id: r[0], layer: r[4], value: r[8] })), stored);

  const chart = await daemon.get(`/api/v1/jobs/${id}/chart?metric=var&site=resid_out&step=2`);
  assert.equal(chart.arms.length, 2);
  for (const arm of chart.arms) {
    assert.equal(arm.seeds, 2);
    assert.equal(arm.points.length, 3);
    for (const p of arm.points) assert.ok(p.min <= p.mean && p.mean <= p.max);
  }
  const steps = await daemon.get(`/api/v1/jobs/${id}/steps`);
  assert.equal(steps.rows.length, 4 * 3); // losses at 0, 1 and 2 updates

  const { jobs } = await daemon.get('/api/v1/jobs?state=done&limit=1');
  assert.equal(jobs[0].id, id);
});

test('the verdict: of the job, its arms and runs, in SQL and in the last event; skipped runs of a search', async () => {
  const study = { model: 'relu_xavier', depth: 24, seeds: [0, 1], sweep: { strategy: ['post_ln', 'pre_ln'] },
    measure: { metrics: ['moments', 'geometry', 'gradient'] }, expect: [{ metric: 'cos_mean', max: 0.99 }] };
  const { id } = (await daemon.request('POST', '/api/v1/jobs', { body: study })).body;
  const early = await daemon.get(`/api/v1/jobs/${id}/verdict`);
  assert.ok(early.verdict === null || early.state === 'done');
  const events = await readEvents(`${daemon.url}/api/v1/jobs/${id}/events`, AbortSignal.timeout(60000));
  assert.equal(events.at(-1).data.verdict, 'fail');
  const told = await daemon.get(`/api/v1/jobs/${id}/verdict`);
  assert.equal(told.verdict, 'fail');
  assert.deepEqual(told.arms.map((a) => [a.arm.strategy, a.rank, a.verdict, a.seeds]), [['pre_ln', 1, 'pass', 2], ['post_ln', 2, 'fail', 2]]);
  const collapse = told.arms[1].rules.find((r) => r.rule === 'token_collapse');
  assert.ok(collapse.verdict === 'fail' && collapse.value > collapse.threshold && collapse.layer < 24);
  assert.equal(told.arms[1].rules.find((r) => r.rule === 'expect/0').verdict, 'fail');
  assert.ok(told.differs.includes('/strategy/placement'));
  const job = await daemon.get(`/api/v1/jobs/${id}`);
  assert.deepEqual([job.verdict, job.sentence], [told.verdict, told.sentence]);
  const { runs } = await daemon.get(job.links.runs);
  assert.deepEqual(runs.map((r) => r.verdict), ['fail', 'fail', 'pass', 'pass']);
  const own = await daemon.get(`/api/v1/runs/${runs[0].id}/verdict`);
  assert.deepEqual([own.verdict, own.sentence, own.seed, own.arm], ['fail', runs[0].sentence, 0, { strategy: 'post_ln' }]);
  assert.deepEqual(own.rules.map((r) => [r.rule, r.source]), told.arms[1].rules.map((r) => [r.rule, r.source]));
  const [bad] = own.rules.filter((r) => r.rule === 'token_collapse');
  assert.deepEqual([bad.verdict, bad.threshold, bad.comparison, bad.metric], ['fail', collapse.threshold, 'at most', 'cos_mean']);
  assert.deepEqual(sql(daemon.db, `SELECT verdict FROM v_runs WHERE job_id = ${id} ORDER BY idx`).map((r) => r.verdict), runs.map((r) => r.verdict));
  const search = await daemon.finish({ model: 'relu_xavier', strategy: 'post_ln', seeds: [0], find: { min_depth: 2, max_depth: 24 },
    measure: { metrics: ['moments', 'geometry', 'gradient'] } });
  assert.equal(search.runs_done + search.runs_skipped, search.runs_total);
  assert.ok(search.runs_skipped > 12);
  const [depth] = (await daemon.get(search.links.verdict)).max_depth;
  assert.equal(depth.shallowest_fail, depth.deepest_pass + 1);
});

test('the ranking of a job, by mean rank and by weights, is that of the command line', async () => {
  const job = await daemon.finish({ ...small, measure: { metrics: ['proxy', 'token_corr'] } });
  const borda = await daemon.get(job.links.ranking);
  assert.equal(borda.method, 'borda');
  assert.equal(borda.few_seeds, true);
  assert.deepEqual(borda.arms.map((a) => a.runs), [2, 2]);
  assert.ok(borda.terms.every((t) => t.measured));
  assert.ok(borda.arms[0].score <= borda.arms[1].score);
  assert.ok(borda.others.some((o) => o.metric === 'zen' && o.direction === 'higher'));
  for (const a of borda.arms) {
    assert.equal(a.values.length, borda.terms.length + borda.others.length);
    assert.ok([1, 1.5, 2].includes(a.values.find((v) => v.metric === 'zen').rank));
    assert.ok(a.parameters > 0 && a.flops > 0);
  }
  const csv = (await daemon.request('GET', `${job.links.ranking}?format=csv`)).text.trim().split('\r\n').map((l) => l.split(','));
  const [zen, zenRank] = ['zen', 'zen_rank'].map((name) => csv[0].indexOf(name) - csv[0].length);
  assert.deepEqual(csv.slice(1).map((l) => [Number(l.at(zen)), Number(l.at(zenRank))]),
    borda.arms.map((a) => a.values.find((v) => v.metric === 'zen')).map((v) => [v.mean, v.rank]));
  const robot = await daemon.get(`${job.links.ranking}?weights=param_count:-1,zen:0.5`);
  assert.equal(robot.method, 'robot');
  const file = `${makeDir()}/result.json`;
  const again = { ...small, measure: { metrics: ['proxy', 'token_corr'] } };
  writeFileSync(file, (await runProgram(['run', '--quiet', '-'], { input: JSON.stringify(again) })).stdout);
  for (const [args, reply] of [[[], borda], [['--by', 'param_count:-1,zen:0.5'], robot]]) {
    const { job_id, state, ...rest } = reply;
    const told = JSON.parse((await runProgram(['rank', '--json', ...args, file])).stdout);
    assert.deepEqual(told, rest);
    assert.equal(state, 'done');
    assert.ok(job_id > 0);
  }
  const bad = await daemon.request('GET', `${job.links.ranking}?weights=zen:2`);
  assert.equal(bad.status, 400);
  const none = await daemon.finish(small);
  assert.deepEqual((await daemon.get(none.links.ranking)).arms.map((a) => a.values.length), [1, 1]);
  assert.equal((await daemon.request('GET', '/api/v1/jobs/999999/ranking')).status, 404);
});

test('the coordinate check tells parametrizations apart along the width', async () => {
  const job = {
    model: { vocab: 32, n_heads: 2, tied: false }, depth: 2, init: 'lecun', seeds: [0],
    data: { batches: 1, batch: 2, seq_len: 8 }, train: { steps: 2, lr: 0.01, weight_decay: 0, clip: null },
    measure: { steps: [0, 1, 2], metrics: ['coordinate'], sites: ['resid_out', 'lm_logits'] },
    sweep: { 'train.parametrization': ['standard', 'mup'], 'model.d_model': [32, 64, 128] },
  };
  const { id } = await daemon.finish(job);
  const check = await daemon.get(`/api/v1/jobs/${id}/coordinates`);
  assert.equal(check.axis, 'model.d_model');
  assert.equal(check.verdict, 'fail');
  assert.deepEqual(check.arms.map((a) => a.arm),
    [{ 'train.parametrization': 'standard' }, { 'train.parametrization': 'mup' }]);
  for (const arm of check.arms) assert.deepEqual(arm.values, [32, 64, 128]);
  const slopes = check.arms.map((a) => a.rows.find((r) => r.site === 'resid_out' && r.at === 'last'
    && r.metric === 'delta_mean_abs' && r.step === 2).slope);
  assert.ok(slopes[0] > 0.5 && Math.abs(slopes[1]) < 0.3, `${slopes}`);
  const refused = await daemon.request('GET', `/api/v1/jobs/${id}/coordinates?axis=depth`);
  assert.equal(refused.status, 400);
});

test('CSV is what JSON is, by format and by Accept, and a parser takes it', async () => {
  const { id } = await daemon.finish(small);
  const url = `/api/v1/jobs/${id}/series?metric=rms,grad_norm`;
  const json = await daemon.get(url);
  const csv = await daemon.request('GET', `${url}&format=csv`);
  assert.equal(csv.type, 'text/csv');
  const accepted = await daemon.request('GET', url, { headers: { accept: 'text/csv' } });
  assert.equal(accepted.text, csv.text);
  const [header, ...rows] = parseCsv(csv.text);
  assert.deepEqual(header, json.columns);
  assert.equal(rows.length, json.rows.length);
  assert.ok(rows.length > 50);
  rows.forEach((row, i) => {
    const value = json.columns.map((_, k) => json.rows[i][k]);
    assert.deepEqual(JSON.parse(row[2]), value[2]); // the arm, as JSON text
    assert.equal(Number(row[8]), value[8]);
    assert.deepEqual([row[5], row[6]], [value[5], value[6]]);
  });
});

test('an equal job is answered from the store, whatever its name and layout', async () => {
  const first = await daemon.finish(small);
  const reply = await daemon.request('POST', '/api/v1/jobs', {
    body: { sweep: { strategy: ['pre_ln', 'post_ln'] }, seeds: [0, 1], train: 2, depth: 3, name: 'again',
      model: 'tiny', measure: { steps: [0, 2] } },
  });
  assert.equal(reply.status, 200);
  assert.equal(reply.body.existing, true);
  assert.equal(reply.body.id, first.id);
  const other = await daemon.submit({ ...small, seeds: [0, 2] });
  assert.notEqual(other.id, first.id);
  assert.notEqual(other.hash, first.hash);
});

test('a Hugging Face config is a model: its coverage is told, and the same fields are the same job', async () => {
  const hf_config = { model_type: 'gpt2', n_embd: 32, n_head: 2, n_layer: 2, vocab_size: 50, resid_pdrop: 0.1, odd: [1] };
  const body = { model: { hf_config }, seeds: [3], data: { seq_len: 8 } };
  const estimate = (await daemon.request('POST', '/api/v1/estimate', { body })).body;
  const { used, defaulted, ignored, unsupported } = estimate.coverage;
  assert.deepEqual(used.find((u) => u.field === 'n_embd'), { field: 'n_embd', value: 32, became: { 'model.d_model': 32 } });
  assert.deepEqual(defaulted.find((u) => u.field === 'activation_function').became, { 'model.activation': 'gelu_tanh' });
  assert.deepEqual(ignored.map((i) => i.field), ['resid_pdrop']);
  assert.deepEqual(unsupported.map((u) => [u.field, u.value]), [['odd', [1]]]);
  const job = await daemon.finish(body);
  assert.deepEqual(job.coverage, estimate.coverage, 'the stored job says it too');
  assert.equal(job.resolved.model.hf_config, undefined);
  const fields = { model: { d_model: 32, n_heads: 2, vocab: 50, activation: 'gelu_tanh', bias: true }, depth: 2, seeds: [3], data: { seq_len: 8 } };
  const same = await daemon.request('POST', '/api/v1/jobs', { body: fields });
  assert.equal(same.status, 200, same.text);
  assert.equal(same.body.id, job.id);
  assert.equal(same.body.coverage, null, 'of this request, which has no config');
  const refused = await daemon.request('POST', '/api/v1/jobs', { body: { model: { hf_config: { ...hf_config, is_encoder_decoder: true } } } });
  assert.equal(refused.status, 422);
  assert.equal(refused.body.pointer, '/model/hf_config/is_encoder_decoder');
});

test('predict: a table for people says what each code in a cell stands for', async () => {
  const job = { strategy: 'post_ln', depth: 1000, model: { d_model: 16384 }, train: { loss: 'grad_iid' } };
  const { stdout } = await runProgram(['predict', '-'], { input: JSON.stringify(job) });
  assert.match(stdout, /  NO_LAW_SPREAD\n/);
  assert.match(stdout, /^  NO_LAW_SPREAD: not predicted: attention logits/m);
});

test('a narrower model: plain fields in the resolved job, a note on what it does to the prediction', async () => {
  const { resolved, notes } = (await daemon.request('POST', '/api/v1/estimate', { body: { model: { preset: 'gpt2', width_scale: 0.25 }, depth: 2 } })).body;
  assert.deepEqual([resolved.model.d_model, resolved.model.n_heads, resolved.model.head_dim, resolved.model.d_ff], [192, 3, 64, 768]);
  assert.equal(resolved.init.std, 0.04);
  assert.equal(notes.length, 1);
  assert.match(notes[0], /width_scale 0.25: d_model 768 becomes 192.*1\/sqrt\(d_model\), here by 2;/);
});

test('the resolved job is complete, and posting it again is the same job', async () => {
  const job = await daemon.finish({ depth: 2, seeds: [9] });
  const estimate = (await daemon.request('POST', '/api/v1/estimate', { body: { depth: 2, seeds: [9] } })).body;
  assert.equal(estimate.hash, job.hash);
  assert.equal(estimate.runs, 1);
  assert.deepEqual(estimate.resolved, job.resolved);
  for (const key of ['model', 'strategy', 'depth', 'init', 'data', 'train', 'measure', 'seeds', 'precision']) {
    assert.ok(key in job.resolved, key);
  }
  const again = await daemon.request('POST', '/api/v1/jobs', { body: job.resolved });
  assert.equal(again.status, 200, again.text);
  assert.equal(again.body.id, job.id);
});

test('events: progress until the end, each valid JSON, fractions do not go back', async () => {
  const { id } = await daemon.submit({ ...small, name: 'watched', seeds: [11, 12, 13] });
  const events = await readEvents(`${daemon.url}/api/v1/jobs/${id}/events`, AbortSignal.timeout(60000));
  assert.equal(events.at(-1).event, 'end');
  assert.equal(events.at(-1).data.state, 'done');
  const progress = events.filter((e) => e.event === 'progress').map((e) => e.data);
  assert.ok(progress.length >= 1);
  for (const p of progress) {
    assert.ok(['queued', 'running', 'done'].includes(p.state), p.state);
    assert.ok('queue_position' in p);
  }
  const fractions = progress.map((p) => p.progress?.fraction ?? p.fraction);
  fractions.reduce((a, b) => (assert.ok(b >= a, `${fractions}`), b));
  const late = await readEvents(`${daemon.url}/api/v1/jobs/${id}/events`, AbortSignal.timeout(10000));
  assert.equal(late.at(-1).event, 'end', 'an ended job says so at once');
});

test('cancel stops the work soon and touches only its own job', async (t) => {
  const alone = await withDaemon(t, { args: ['--workers', '1'] });
  const long = { model: { d_model: 256, n_heads: 4 }, depth: 24, train: 2000, seeds: [1] };
  const running = await alone.submit(long);
  const waiting = await alone.submit({ depth: 2, seeds: [5] });
  await until('it to run', async () => (await alone.job(running.id)).state === 'running');
  const begun = Date.now();
  const reply = await alone.request('POST', `/api/v1/jobs/${running.id}/cancel`);
  assert.equal(reply.status, 200);
  assert.equal(reply.body.state, 'cancelled');
  assert.ok(Date.now() - begun < 1000);
  assert.equal((await alone.wait(waiting.id, 20000)).state, 'done');
  assert.equal((await alone.job(running.id)).state, 'cancelled');
  assert.deepEqual(sql(alone.db, `SELECT count(*) n FROM measurements m JOIN runs r ON r.id = m.run_id
    WHERE r.job_id = ${running.id}`), [{ n: 0 }]);
  const twice = await alone.request('POST', `/api/v1/jobs/${waiting.id}/cancel`);
  assert.equal(twice.status, 200);
  assert.equal(twice.body.state, 'done', 'an ended job stays as it is');
  const again = await alone.submit(long);
  assert.notEqual(again.id, running.id, 'a cancelled job is not found as an equal one');
  assert.equal((await alone.request('DELETE', `/api/v1/jobs/${again.id}`)).body.state, 'cancelled');
});

test('DELETE of an ended job removes it and its rows, and nothing else', async () => {
  const kept = await daemon.finish({ depth: 2, seeds: [21] });
  const gone = await daemon.finish({ depth: 2, seeds: [22] });
  const reply = await daemon.request('DELETE', `/api/v1/jobs/${gone.id}`);
  assert.equal(reply.status, 204);
  assert.equal((await daemon.request('GET', `/api/v1/jobs/${gone.id}`)).status, 404);
  const count = (id) => sql(daemon.db, `SELECT count(*) n FROM runs WHERE job_id = ${id}`)[0].n;
  assert.equal(count(gone.id), 0);
  assert.equal(count(kept.id), 1);
  assert.deepEqual(sql(daemon.db, 'SELECT count(*) n FROM measurements WHERE run_id NOT IN (SELECT id FROM runs)'),
    [{ n: 0 }]);
});

test('a corpus: PUT, use, its hash beside the result, equal to run with the same file', async () => {
  const text = 'All happy families are alike; every unhappy family is unhappy in its own way. '.repeat(40);
  const put = (body) => daemon.request('PUT', '/api/v1/corpora/tolstoy',
    { body, headers: { 'content-type': 'text/plain' } });
  const created = await put(text);
  assert.equal(created.status, 201);
  assert.equal(created.body.bytes, text.length);
  assert.equal((await put(text)).status, 200);
  const job = { depth: 2, seeds: [1], data: { source: 'text', corpus: 'tolstoy', seq_len: 32 } };
  const done = await daemon.finish(job);
  assert.deepEqual(sql(daemon.db, `SELECT corpus_hash FROM runs WHERE job_id = ${done.id}`),
    [{ corpus_hash: created.body.hash }]);

  const file = `${daemon.dir}/tolstoy.txt`;
  writeFileSync(file, text);
  const run = await runProgram(['run', '-', '--format', 'csv', '--corpus', `tolstoy=${file}`],
    { input: JSON.stringify(job) });
  assert.equal(run.status, 0, run.stderr);
  const csv = await daemon.get(`/api/v1/jobs/${done.id}/series?format=csv`);
  const values = (t) => parseCsv(t).slice(1).map((r) => r.slice(1).join('|')).sort();
  assert.deepEqual(values(run.stdout), values(csv));

  const changed = await put(text.replaceAll('happy', 'merry'));
  assert.notEqual(changed.body.hash, created.body.hash);
  const again = await daemon.submit(job);
  assert.notEqual(again.id, done.id, 'other content is another job');
  await daemon.wait(again.id);
  const { corpora } = await daemon.get('/api/v1/corpora');
  assert.deepEqual(corpora.map((c) => c.name), ['demo', 'tolstoy'], 'the text of the demo study is one of them');
  assert.equal((await daemon.request('DELETE', '/api/v1/corpora/tolstoy')).status, 204);
  assert.equal((await daemon.request('GET', '/api/v1/corpora/tolstoy')).status, 404);
});

test('a loss that is not finite is a result: located, and readable everywhere', async () => {
  const job = await daemon.finish({
    depth: 4, seeds: [1], strategy: 'none', init: { scheme: 'small', std: 3 },
    train: { steps: 20, optimizer: 'sgd', lr: 1e6, clip: null },
  });
  const { runs } = await daemon.get(`/api/v1/jobs/${job.id}/runs`);
  assert.equal(runs[0].diverged, true);
  assert.equal(typeof runs[0].diverged_step, 'number');
  await daemon.get(`/api/v1/jobs/${job.id}/series`); // strict JSON
  const csv = parseCsv(await daemon.get(`/api/v1/jobs/${job.id}/series?format=csv`));
  assert.ok(csv.slice(1).some((r) => r[9] !== ''));
  const losses = await daemon.get(`/api/v1/jobs/${job.id}/steps`);
  assert.ok(losses.rows.some((r) => ['NaN', 'Infinity'].includes(r[4])), JSON.stringify(losses.rows));
  const [row] = sql(daemon.db, `SELECT diverged FROM v_runs WHERE job_id = ${job.id}`);
  assert.equal(row.diverged, 1);
});

test('a full queue answers 503 with Retry-After and keeps nothing; it recovers', async (t) => {
  const narrow = await withDaemon(t, { args: ['--workers', '1', '--queue', '2'] });
  const never = await narrow.request('POST', '/api/v1/jobs', { body: { depth: 2, seeds: [1, 2, 3] } });
  assert.equal(never.status, 422, 'it would never fit');
  const long = await narrow.submit({ depth: 24, train: 1000, seeds: [1, 2] });
  const full = await narrow.request('POST', '/api/v1/jobs', { body: { depth: 2, seeds: [3] } });
  assert.equal(full.status, 503);
  assert.equal(full.body.code, 'full');
  assert.match(full.headers.get('retry-after'), /^[1-9]\d*$/);
  assert.deepEqual(sql(narrow.db, 'SELECT count(*) n FROM jobs'), [{ n: 1 }]);
  await narrow.request('POST', `/api/v1/jobs/${long.id}/cancel`);
  assert.equal((await narrow.finish({ depth: 2, seeds: [3] })).state, 'done');
});

test('with a token file nothing but health answers without the token', async (t) => {
  const token = 'e2e-0123456789abcdef0123456789abcdef';
  const file = `${makeDir()}/token`;
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
  const closed = await startDaemon({ args: ['--workers', '1', '--token-file', file], token });
  t.after(() => closed.kill());
  assert.equal((await fetch(`${closed.url}/healthz`)).status, 200);
  const none = await fetch(`${closed.url}/api/v1/jobs`);
  assert.equal(none.status, 401);
  assert.equal((await none.json()).code, 'unauthorized');
  assert.match(none.headers.get('www-authenticate'), /^Bearer/);
  const wrong = await fetch(`${closed.url}/api/v1/jobs`, { headers: { authorization: `Bearer ${token}x` } });
  assert.equal(wrong.status, 401);
  assert.equal((await closed.finish({ depth: 2, seeds: [1] })).state, 'done');
  assert.ok(!closed.output.includes(token), 'the token is in no log');
});

test('what a client can ask about the program itself', async () => {
  const { links } = await daemon.get('/api/v1');
  const page = await daemon.get('/api/v1/openapi.json');
  for (const link of Object.values(links)) {
    assert.ok(page.paths[link], `${link} is not in the OpenAPI page`);
    if (page.paths[link].get) await daemon.get(link);
  }
  const health = await daemon.get('/healthz');
  assert.equal(health.status, 'ok');
  assert.equal(health.workers_alive, 2);
  const { registries } = await daemon.get('/api/v1/registries').then((r) => (r.registries ? r : { registries: r }));
  const names = Array.isArray(registries) ? registries.map((r) => r.kind) : Object.keys(registries);
  for (const kind of ['norms', 'placements', 'activations', 'positions', 'inits', 'metrics', 'sites', 'optimizers']) {
    assert.ok(names.includes(kind), kind);
    const one = await daemon.get(`/api/v1/registries/${kind}`);
    assert.ok(JSON.stringify(one).includes('"name"'));
  }
  await daemon.get('/api/v1/presets');
  await daemon.get('/api/v1/fields');
  await daemon.get('/api/v1/version');
});

test('the dashboard comes from the daemon alone, with headers that forbid anything else', async () => {
  const page = await daemon.request('GET', '/');
  assert.equal(page.type, 'text/html');
  assert.match(page.headers.get('content-security-policy'), /default-src 'self'/);
  assert.doesNotMatch(page.headers.get('content-security-policy'), /unsafe/);
  assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
  const links = [...page.text.matchAll(/(?:src|href)="([^"#]+)"/g)].map((m) => m[1]);
  assert.ok(links.length > 0);
  for (const link of links) {
    const url = new URL(link, daemon.url);
    assert.equal(url.origin, new URL(daemon.url).origin, link);
    const reply = await daemon.request('GET', url.pathname, { valid: false });
    assert.equal(reply.status, 200, link);
  }
});

test('pages of jobs: newest first, each once', async () => {
  const all = [];
  let before = '';
  for (;;) {
    const page = await daemon.get(`/api/v1/jobs?limit=2${before}`);
    all.push(...page.jobs.map((j) => j.id));
    if (page.next === null) break;
    before = `&before=${page.next}`;
  }
  assert.deepEqual(all, [...new Set(all)].sort((a, b) => b - a));
  assert.equal(all.length, sql(daemon.db, 'SELECT count(*) n FROM jobs')[0].n);
});

test('a restart keeps every job, its results and their hashes', async (t) => {
  const first = await startDaemon({ args: ['--workers', '1'] });
  const job = await first.finish(small);
  const csv = await first.get(`/api/v1/jobs/${job.id}/series?format=csv`);
  assert.equal((await first.stop()).code, 0);
  const second = await withDaemon(t, { dir: first.dir, args: ['--workers', '1'] });
  assert.deepEqual(await second.job(job.id), job);
  assert.equal(await second.get(`/api/v1/jobs/${job.id}/series?format=csv`), csv);
  assert.equal((await second.submit(small)).existing, true);
});

test('the catalogue of strategies: every row with parameters and a drawing, and not sent twice', async () => {
  const list = await daemon.request('GET', '/api/v1/strategies');
  const again = await daemon.request('GET', '/api/v1/strategies',
    { headers: { 'if-none-match': list.headers.get('etag') }, valid: false });
  assert.equal(again.status, 304);
  const { strategies } = list.body;
  assert.ok(strategies.length >= 10);
  for (const s of strategies) {
    const one = await daemon.get(s.href);
    assert.equal(one.equation, s.equation);
    assert.equal(one.drawing === null, one.refused !== null);
  }
  const mix = await daemon.get('/api/v1/strategies/peri_ln');
  assert.deepEqual(mix.parameters.find((p) => p.path === 'strategy.placement').value, 'peri_ln');
  assert.equal(mix.lacks.find((p) => p.path === 'strategy.fraction').needs, 'a placement that mixes two kinds of block');
  assert.equal((await daemon.request('GET', '/api/v1/strategies/peri')).status, 404);
});

test('an estimate names the fields that mean nothing to any run of the job', async () => {
  const unused = async (strategy) => (await daemon.request('POST', '/api/v1/estimate', { body: { strategy, depth: 2, seeds: [0] } }))
    .body.unused.map((f) => f.path);
  assert.ok((await unused('post_ln')).includes('strategy.out_gain_init'));
  assert.ok(!(await unused('peri_ln')).includes('strategy.out_gain_init'));
});

test('the gallery: every job is accepted; what came of one that ran is told beside what was expected', async () => {
  const { gallery } = await daemon.get('/api/v1/gallery');
  assert.ok(gallery.length >= 20);
  for (const { job } of gallery) {
    assert.equal((await daemon.request('POST', '/api/v1/estimate', { body: job })).status, 200);
  }
  const one = gallery.find((g) => g.name === 'rezero-dead-first-step');
  const { id } = await daemon.finish(one.job);
  const outcome = await daemon.get(`/api/v1/jobs/${id}/expectations`);
  assert.equal(outcome.gallery, one.name);
  assert.deepEqual(outcome.expectations.map((e) => e.says), one.expect.map((e) => e.says));
  for (const e of outcome.expectations) assert.ok(e.holds, e.says);
  assert.equal(outcome.expectations[0].value, 0);
  const other = await daemon.finish(small);
  assert.deepEqual(await daemon.get(`/api/v1/jobs/${other.id}/expectations`), { gallery: null, expectations: [] });
  assert.equal((await daemon.request('GET', '/api/v1/jobs/999999/expectations')).status, 404);
});

test('run gallery:NAME computes the same numbers and says what holds', async () => {
  const ran = await runProgram(['run', 'gallery:rezero-dead-first-step', '--format', 'csv']);
  assert.equal(ran.status, 0, ran.stderr);
  assert.equal(ran.stderr.split('\n').filter((l) => l.startsWith('holds')).length, 4);
  assert.ok(parseCsv(ran.stdout).length > 1000);
  const { gallery } = await daemon.get('/api/v1/gallery');
  const { id } = await daemon.submit(gallery.find((g) => g.name === 'rezero-dead-first-step').job);
  const { expectations } = await daemon.get(`/api/v1/jobs/${id}/expectations`);
  const gate = Number(/^holds +(\S+) .*one for the gate$/m.exec(ran.stderr)[1]);
  assert.ok(Math.abs(gate / expectations[1].value - 1) < 1e-4);
});
