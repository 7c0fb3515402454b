// The dashboard in Debian's Chromium, against the real daemon: what a person sees and does. Every page
// is watched for console errors and for requests that leave the daemon.
//
// NORMSCOPE_URL tests a daemon that is running already (the tests of an empty database are then skipped
// when it has jobs); otherwise NORMSCOPE_BIN or build/normscope is started here.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { makeDir, sleep, sql, startDaemon, until, withDaemon } from './lib.mjs';

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 360, height: 740 };
const XSS = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';

let browser;
let daemon;
let url;

before(async () => {
  if (process.env.NORMSCOPE_URL) url = process.env.NORMSCOPE_URL.replace(/\/$/, '');
  else {
    daemon = await startDaemon({ args: ['--workers', '2'] });
    url = daemon.url;
  }
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: FLAGS });
});
after(async () => {
  await browser?.close();
  await daemon?.kill();
});

// A page at #path. Its test fails on anything unexpected; expected: what the console may say.
async function open(t, path = '', { viewport = WIDE, base = url, expected = null, ...options } = {}) {
  const context = await browser.newContext({ viewport, ...options });
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (e) => faults.push(`exception: ${e.message}`));
  page.on('console', (m) => {
    if (m.type() === 'error' && !expected?.test(m.text())) faults.push(`console: ${m.text()}`);
  });
  page.on('request', (r) => {
    if (!/^(blob|data):/.test(r.url()) && !r.url().startsWith(`${base}/`)) faults.push(`request to ${r.url()}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(faults, []);
  });
  page.setDefaultTimeout(15000);
  await page.goto(`${base}/${path}`);
  return page;
}

async function api(path, options, base = url) {
  const reply = await fetch(`${base}/api/v1/${path}`, options);
  return reply.json();
}

const post = (job) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(job) });

async function submit(job, base = url) {
  const { id } = await api('jobs', post(job), base);
  assert.ok(id, 'the job was taken');
  await until(`job ${id} to end`, async () => {
    const { state } = await api(`jobs/${id}`, {}, base);
    return ['done', 'failed', 'cancelled'].includes(state);
  }, 120000, 50);
  return id;
}

const study = { name: 'browser study', depth: 4, train: 3, seeds: [0, 1, 2], sweep: { strategy: ['pre_ln', 'post_ln'] } };
let studied;
const studyId = () => (studied ??= submit(study));

const lines = (page) => page.locator('.picture .plot path.line');
const noOverflow = (page) => page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);

test('an empty database: what this is, and a button that runs the demo', async (t) => {
  if ((await api('jobs')).jobs.length) return t.skip('the database is not empty');
  const page = await open(t);
  await page.waitForSelector('#demo');
  assert.match(await page.textContent('.lead'), /transformer/);
  assert.equal(await page.getAttribute('.welcome a.button', 'href'), '#/new');
  await page.click('#demo');
  await page.waitForURL(/#\/jobs\/\d+$/);
  await page.waitForSelector('.badge');
  assert.match(await page.textContent('h1'), /demo/i);
  await page.waitForFunction(() => /done/.test(document.querySelector('.job-head .badge')?.textContent ?? ''), null, { timeout: 120000 });
  await page.waitForFunction(() => document.querySelectorAll('.picture .plot path.line').length === 9);
  await page.click('.brand');
  await page.waitForSelector('.hero .plot path.line');
  assert.equal(await page.locator('.job-row').count(), 1);
});

test('the picture has a line, a band and a legend entry for each arm, and names for screen readers', async (t) => {
  const page = await open(t, `#/jobs/${await studyId()}`);
  await lines(page).first().waitFor();
  assert.equal(await lines(page).count(), 2);
  assert.equal(await page.locator('.picture .plot path.band').count(), 2);
  const dashes = await lines(page).evaluateAll((all) => all.map((e) => e.getAttribute('stroke-dasharray')));
  assert.notEqual(dashes[0], dashes[1], 'arms differ by more than colour');
  assert.match(await page.getAttribute('.picture svg.plot', 'aria-label'), /var at resid_out/);
  const items = page.locator('.picture .legend-item');
  assert.deepEqual(await items.allTextContents(), ['pre_ln', 'post_ln']);
  await items.nth(1).click();
  await page.waitForFunction(() => document.querySelectorAll('.picture .plot path.line').length === 1);
  assert.equal(await items.nth(1).getAttribute('aria-pressed'), 'false');
  assert.match(page.url(), /hide=1/);
});

test('the table twin has the numbers of the chart API', async (t) => {
  const id = await studyId();
  const page = await open(t, `#/jobs/${id}?metric=rms&site=resid_out&step=3`);
  await lines(page).first().waitFor();
  await page.click('.picture button[aria-controls="depth-table"]');
  const rows = page.locator('#depth-table tbody tr');
  await rows.first().waitFor();
  const chart = await api(`jobs/${id}/chart?metric=rms&site=resid_out&step=3`);
  assert.equal(await rows.count(), 4);
  for (const [a, arm] of chart.arms.entries()) {
    for (const [i, p] of arm.points.entries()) {
      const shown = await rows.nth(i).locator('td').nth(a).getAttribute('data-value');
      assert.equal(Number(shown), p.mean, `${arm.label}, layer ${p.layer}`);
    }
  }
  assert.match(await page.textContent('#depth-table caption'), /rms at resid_out, step 3/);
});

test('log axis by the metric, and by the reader', async (t) => {
  const page = await open(t, `#/jobs/${await studyId()}?metric=var`);
  await lines(page).first().waitFor();
  const before = await lines(page).first().getAttribute('d');
  assert.equal(await page.isChecked('input[name="log"]'), true);
  await page.click('input[name="log"]');
  await page.waitForFunction((d) => document.querySelector('.picture .plot path.line').getAttribute('d') !== d, before);
  assert.match(page.url(), /y=linear/);
  await page.selectOption('select[name="metric"]', 'effective_rank');
  await page.waitForFunction(() => /effective_rank/.test(document.querySelector('.picture svg.plot').getAttribute('aria-label')));
  assert.equal(await page.isChecked('input[name="log"]'), false, 'a rank lives on a linear axis');
});

test('the state of the picture is in the address: reload, and back', async (t) => {
  const page = await open(t, `#/jobs/${await studyId()}`);
  await lines(page).first().waitFor();
  await page.selectOption('select[name="metric"]', 'grad_norm');
  await page.waitForFunction(() => /^grad_norm/.test(document.querySelector('.picture svg.plot').getAttribute('aria-label')));
  await page.selectOption('select[name="step"]', '0');
  await page.waitForFunction(() => /step 0/.test(document.querySelector('.picture svg.plot').getAttribute('aria-label')));
  await page.selectOption('select[name="ref"]', '1');
  await page.waitForFunction(() => /ratio to post_ln/.test(document.querySelector('.picture svg.plot').getAttribute('aria-label')));
  const title = await page.getAttribute('.picture svg.plot', 'aria-label');
  const path = await lines(page).first().getAttribute('d');
  await page.reload();
  await lines(page).first().waitFor();
  assert.equal(await page.getAttribute('.picture svg.plot', 'aria-label'), title);
  assert.equal(await lines(page).first().getAttribute('d'), path);
  await page.goBack();
  await page.waitForFunction(() => !/ratio/.test(document.querySelector('.picture svg.plot').getAttribute('aria-label')));
});

test('every metric that was measured can be drawn', async (t) => {
  const page = await open(t, `#/jobs/${await studyId()}`);
  await lines(page).first().waitFor();
  const metrics = await page.locator('select[name="metric"] option').evaluateAll((all) => all.map((o) => o.value));
  assert.ok(metrics.length > 40);
  for (const metric of metrics) {
    const step = metric === 'param_update_ratio' ? '&step=0' : '';
    await page.evaluate((h) => { location.hash = h; }, `#/jobs/${await studyId()}?metric=${metric}${step}`);
    await page.waitForFunction((m) => document.querySelector('.picture svg.plot')?.getAttribute('aria-label').startsWith(m + ' '), metric);
    assert.equal(await lines(page).count(), 2, metric);
    const drawn = await page.locator('.picture .plot path.marker').count();
    const said = await page.locator('.picture .figure-notes').textContent();
    assert.ok(drawn > 0 || /not shown/.test(said), `${metric}: ${said}`);
  }
});

test('growth laws, losses, runs and the resolved job are on the page', async (t) => {
  const page = await open(t, `#/jobs/${await studyId()}`);
  await page.waitForSelector('#growth-title');
  const growth = page.locator('section:has(#growth-title) tbody tr');
  assert.equal(await growth.count(), 2);
  assert.match(await growth.first().textContent(), /pre_ln.*(flat|linear|exponential|power)/);
  assert.equal(await page.locator('section:has(#loss-title) .plot path.line').count(), 2);
  assert.equal(await page.locator('section:has(#runs-title) tbody tr').count(), 6);
  const shown = JSON.parse(await page.textContent('.json code'));
  assert.deepEqual(shown, (await api(`jobs/${await studyId()}`)).resolved);
});

test('downloads: CSV, and SVG and PNG that stand alone', async (t) => {
  const page = await open(t, `#/jobs/${await studyId()}`, { acceptDownloads: true });
  await lines(page).first().waitFor();
  const save = async (selector) => {
    const [file] = await Promise.all([page.waitForEvent('download'), page.click(selector)]);
    return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
  };
  const csv = await save('button[aria-label="Measurements of all runs as CSV"]');
  assert.match(csv.name, /\.csv$/);
  assert.match(csv.bytes.toString().split('\n')[0], /^run_id,seed,arm,step,layer,site,metric,param,value,reason,item,item_kind\r?$/);
  const svg = (await save('.picture button[aria-label="Save the chart as SVG"]')).bytes.toString();
  assert.match(svg, /^<\?xml/);
  assert.match(svg, /browser study/);
  assert.ok(!/class=|var\(--|https?:\/\/(?!www\.w3\.org)/.test(svg), 'no style from elsewhere');
  assert.match(svg, /<path [^>]*stroke-dasharray="7px, 3px"/);
  assert.match(svg, /<line [^>]*stroke="rgb/, 'the grid has kept its colour');
  const png = (await save('.picture button[aria-label="Save the chart as PNG"]')).bytes;
  assert.equal(png.subarray(1, 4).toString(), 'PNG');
  assert.ok(png.readUInt32BE(16) > 1000 && png.length > 10000);
});

test('the form makes a job: fields and JSON follow each other, the cost is told, submit runs it', async (t) => {
  const page = await open(t, '#/new');
  await page.waitForSelector('#job-json');
  await page.fill('input[name="name"]', 'made in the form');
  await page.fill('input[name="depth"]', '2, 3');
  await page.fill('input[name="seeds"]', '7');
  await page.uncheck('input[name="strategy.name=peri_ln"]');
  const job = JSON.parse(await page.inputValue('#job-json'));
  assert.deepEqual(job.sweep, { strategy: ['post_ln', 'pre_ln'], depth: [2, 3] });
  assert.deepEqual(job.seeds, [7]);
  await page.waitForFunction(() => document.querySelector('.estimate dd')?.textContent === '4');
  await page.fill('#job-json', JSON.stringify({ ...job, depth: undefined, sweep: { depth: [2, 4] }, strategy: 'peri_ln' }));
  assert.equal(await page.inputValue('input[name="depth"]'), '2, 4');
  assert.equal(await page.isChecked('input[name="strategy.name=peri_ln"]'), true);
  assert.equal(await page.isChecked('input[name="strategy.name=pre_ln"]'), false);
  assert.match(page.url(), /job=/, 'the job can be shared as a link');
  await page.click('button[type="submit"]');
  await page.waitForURL(/#\/jobs\/\d+$/);
  assert.equal(await page.textContent('h1'), 'made in the form');
});

test('a refused job: the message stands at its field, whichever way it was written', async (t) => {
  const page = await open(t, '#/new', { expected: /status of 4\d\d/ });
  await page.waitForSelector('#job-json');
  await page.fill('input[name="depth"]', '6, 0');
  await page.click('button[type="submit"]');
  const field = page.locator('.form-field[data-path="depth"]');
  await field.locator('.field-error:not([hidden])').waitFor();
  assert.match(await field.locator('.field-error').textContent(), /1 to 4096/);
  assert.equal(await page.getAttribute('input[name="depth"]', 'aria-invalid'), 'true');
  assert.match(await page.textContent('#form-problem'), /\/sweep\/depth\/1/);
  await page.waitForFunction(() => document.activeElement.name === 'depth'); // the estimate may have said it before
  await page.fill('#job-json', '{"model": {"d_model": 64, "n_heads": 5}}');
  await page.click('button[type="submit"]');
  await page.locator('.form-field[data-path="model.n_heads"] .field-error:not([hidden])').waitFor();
  assert.ok(await page.isVisible('input[name="model.n_heads"]'), 'its group has opened');
  await page.fill('#job-json', '{"deep": 3}');
  await page.click('button[type="submit"]');
  await page.waitForFunction(() => /\/deep/.test(document.querySelector('#form-problem').textContent));
  await page.fill('#job-json', '{"depth": ');
  assert.match(await page.textContent('#json-error'), /Not yet a job/);
});

test('a text is uploaded and a job runs on it', async (t) => {
  const file = join(makeDir(), 'my text.txt');
  writeFileSync(file, 'the quick brown fox jumps over the lazy dog. '.repeat(200));
  const page = await open(t, '#/new', { expected: /status of 422/ }); // a text is asked for before it is there
  await page.waitForSelector('#job-json');
  await page.selectOption('select[name="data.source"]', 'text');
  await page.setInputFiles('#corpus-file', file);
  await page.click('.upload button');
  await page.waitForFunction(() => document.querySelector('#corpus').value === 'my-text');
  assert.deepEqual(JSON.parse(await page.inputValue('#job-json')).data, { source: 'text', corpus: 'my-text' });
  await page.fill('#job-json', '{"depth": 2, "seeds": [1], "data": {"source": "text", "corpus": "my-text"}}');
  await page.click('button[type="submit"]');
  await page.waitForURL(/#\/jobs\/\d+$/);
  await page.waitForFunction(() => /done/.test(document.querySelector('.job-head .badge')?.textContent ?? ''));
});

// A file dropped on an element, as the browser hands it over.
async function drop(page, selector, name, text) {
  const data = await page.evaluateHandle(([n, t]) => {
    const d = new DataTransfer();
    d.items.add(new File([t], n, { type: 'application/json' }));
    return d;
  }, [name, text]);
  for (const type of ['dragover', 'drop']) await page.dispatchEvent(selector, type, { dataTransfer: data });
}

test('a config.json dropped on the form is the model: what became of it is told, and the job runs', async (t) => {
  const page = await open(t, '#/new', { expected: /status of 4\d\d/ });
  const config = { model_type: 'gemma2', hidden_size: 64, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 16, query_pre_attn_scalar: 16,
    num_hidden_layers: 2, intermediate_size: 96, vocab_size: 300, sliding_window: 8, use_cache: true, '<img src=x>': 1 };
  await page.waitForSelector('#job-json');
  await drop(page, '#job-json', 'config.json', JSON.stringify(config));
  await page.waitForFunction(() => /gemma2/.test(document.querySelector('.coverage')?.textContent ?? ''));
  const job = JSON.parse(await page.inputValue('#job-json'));
  assert.deepEqual(job.model, { hf_config: config });
  const told = await page.textContent('.coverage');
  assert.match(told, /sliding_window/);
  assert.match(told, /model\.window 8/);
  assert.match(told, /for generation/);
  assert.match(await page.textContent('.coverage details[open]'), /<img src=x>/);
  await page.fill('input[name="model.width_scale"]', '0.5');
  await page.waitForFunction(() => /d_model 64 becomes 32/.test(document.querySelector('.notes')?.textContent ?? ''));
  await drop(page, '.drop', 'config.json', '{"model_type": "mixtral", "num_local_experts": 8}');
  await page.locator('.form-field[data-path="model.hf_config"] .field-error:not([hidden])').waitFor();
  assert.match(await page.textContent('#form-problem'), /\/model\/hf_config\/num_local_experts/);
  await drop(page, '.drop', 'weights.bin', 'no JSON');
  await page.waitForFunction(() => /is not JSON/.test(document.querySelector('#hf-error').textContent));
  await page.click('.drop button');
  assert.equal(JSON.parse(await page.inputValue('#job-json')).model.hf_config, undefined);
  const file = join(makeDir(), 'config.json');
  writeFileSync(file, JSON.stringify(config));
  await page.setInputFiles('#hf-file', file);
  await page.waitForFunction(() => /hf_config/.test(document.querySelector('#job-json').value));
  const chosen = JSON.parse(await page.inputValue('#job-json'));
  await page.fill('#job-json', JSON.stringify({ model: chosen.model, seeds: [1], data: { seq_len: 16 }, strategy: 'pre_ln' }));
  await page.click('button[type="submit"]');
  await page.waitForURL(/#\/jobs\/\d+$/);
  await page.waitForFunction(() => /done/.test(document.querySelector('.job-head .badge')?.textContent ?? ''));
  assert.match(await page.textContent('[aria-labelledby="read-title"]'), /model\.window 8/);
  const { coverage, notes, resolved } = await api(`jobs/${page.url().match(/\d+$/)[0]}`);
  assert.equal(coverage.model_type, 'gemma2');
  assert.match(notes[0], /width_scale 0.5/);
  assert.equal(resolved.model.d_model, 32);
  assert.equal(resolved.strategy.placement, 'pre_ln');
});

test('a name is text, never markup', async (t) => {
  const id = await submit({ name: XSS, depth: 2, seeds: [3] });
  const page = await open(t);
  await page.waitForSelector('.hero .plot');
  assert.ok((await page.locator('.job-name').allTextContents()).includes(XSS));
  await page.goto(`${url}/#/jobs/${id}`);
  await page.waitForSelector('.picture .plot');
  assert.equal(await page.textContent('h1'), XSS);
  assert.equal(await page.evaluate(() => window.pwned), undefined);
  assert.equal(await page.locator('main img').count(), 0);
});

test('a diverged run is a result: marked on the chart and said in words', async (t) => {
  const id = await submit({ name: 'diverges', depth: 4, strategy: 'none', seeds: [0, 1],
    train: { steps: 6, optimizer: 'sgd', lr: 1e20, clip: null }, measure: { steps: [0, 1, 2, 6] } });
  const { runs } = await api(`jobs/${id}/runs`);
  assert.ok(runs[0].diverged, 'it did diverge');
  const page = await open(t, `#/jobs/${id}?step=${runs[0].diverged_step}`);
  await page.waitForSelector('.picture .figure-notes p');
  assert.match(await page.textContent('.picture .figure-notes'), /diverged at step \d+/);
  assert.match(await page.textContent('section:has(#runs-title)'), /diverged at step \d+(, (gradient of )?block \d+, \w+|, in the loss)/);
  for (const metric of ['var', 'max_abs', 'grad_norm', 'nonfinite']) {
    await page.goto(`${url}/#/jobs/${id}?metric=${metric}&table=1`);
    await page.waitForSelector('#depth-table tbody tr, .figure-notes p');
  }
});

test('a failed job says why', async (t) => {
  if (!daemon) return t.skip('needs a daemon of its own');
  const broken = await withDaemon(t, { args: ['--workers', '1'] });
  const { id } = await api('jobs', post({ name: 'fails', model: { d_model: 256, n_heads: 4 }, depth: 24, train: 3000, seeds: [0] }), broken.url);
  const page = await open(t, `#/jobs/${id}`, { base: broken.url });
  for (const attempts of [0, 1]) { // the second worker that dies on it fails the run
    await until('the run to be computed', () => sql(broken.db, `SELECT 1 FROM runs WHERE state = 'running' AND attempts = ${attempts}`).length);
    await sleep(100);
    for (const pid of broken.workers()) process.kill(pid, 'SIGKILL');
  }
  await page.waitForSelector('.job-head .note.error');
  assert.match(await page.textContent('.job-head .badge'), /failed/);
  assert.match(await page.textContent('.job-head .note.error'), /worker/);
  await page.waitForFunction(() => /failed.*worker/.test(document.querySelector('section:has(#runs-title)').textContent));
  await page.context().close(); // before its daemon goes: the page asks on
});

test('live: a running job moves by itself, and cancel stops it', async (t) => {
  const { id } = await api('jobs', post({ name: 'long', model: { n_heads: 4 }, depth: 24, data: { batches: 1 }, train: 3000, seeds: [0],
    measure: { metrics: ['rms', 'coordinate', 'param_count'] }, sweep: { 'model.d_model': [256, 320] } }));
  const page = await open(t, `#/jobs/${id}`);
  await page.waitForSelector('.job-head progress');
  for (const card of ['.coordinates-card', 'section:has(#ranking-title)']) {
    await page.locator(card).locator('.note').waitFor();
    assert.match(await page.locator(card).locator('.note').textContent(), /No run has finished yet/);
  }
  await page.waitForFunction(() => /step [1-9]\d* of 3000/.test(document.querySelector('.live')?.textContent ?? ''), null, { timeout: 60000 });
  await page.click('button:has-text("Cancel")');
  await page.waitForFunction(() => /cancelled/.test(document.querySelector('.job-head .badge').textContent));
  await page.click('button:has-text("Delete")');
  await page.click('button:has-text("Delete for good?")');
  await page.waitForURL(/#\/$/);
  assert.equal((await api(`jobs/${id}`)).status, 404);
});

test('many jobs: a page of them, and more on demand', async (t) => {
  for (let seed = 1000; seed < 1026; seed++) await api('jobs', post({ model: { d_model: 8, n_heads: 1 }, depth: 1, seeds: [seed] }));
  const page = await open(t);
  await page.waitForSelector('.job-row');
  assert.equal(await page.locator('.job-row').count(), 25);
  await page.click('button:has-text("More jobs")');
  await page.waitForFunction(() => document.querySelectorAll('.job-row').length > 25);
  const ids = await page.locator('.job-row').evaluateAll((all) => all.map((e) => Number(e.dataset.id)));
  assert.deepEqual(ids, [...new Set(ids)].sort((a, b) => b - a), 'newest first, none twice');
  await page.selectOption('select[name="state"]', 'failed');
  await page.waitForFunction(() => /No job is failed/.test(document.querySelector('.job-list').textContent));
  assert.match(page.url(), /state=failed/);
});

test('by keyboard: skip link, chart values, legend, table', async (t) => {
  const page = await open(t, `#/jobs/${await studyId()}`);
  await lines(page).first().waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  const slider = page.locator('.picture .slider');
  const reach = async (selector) => {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press('Tab');
      if (await page.evaluate((s) => document.activeElement.matches(s), selector)) return;
    }
    assert.fail(`Tab does not reach ${selector}`);
  };
  await reach('.picture .slider');
  await page.keyboard.press('ArrowRight');
  assert.equal(await slider.getAttribute('aria-valuenow'), '2');
  assert.match(await slider.getAttribute('aria-valuetext'), /layer 2: .*pre_ln [\d.]/);
  assert.ok(await page.isVisible('.picture .readout'));
  await page.keyboard.press('End');
  assert.equal(await slider.getAttribute('aria-valuenow'), '4');
  await reach('.legend-item');
  await page.keyboard.press('Space');
  await page.waitForFunction(() => document.querySelectorAll('.picture .plot path.line').length === 1);
  assert.ok(await page.evaluate(() => document.activeElement.matches('.legend-item')), 'the focus stays');
  await reach('button[aria-controls="depth-table"]');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#depth-table table');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, 'none', 'the focus can be seen');
});

test('dark and light: by the system and by the button, kept over a reload', async (t) => {
  const page = await open(t, '#/catalogue', { colorScheme: 'dark' });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await paper();
  const light = async () => { await page.waitForFunction((d) => getComputedStyle(document.body).backgroundColor !== d, dark); };
  await page.click('#theme');
  await light();
  await page.reload();
  await light();
  await page.click('#theme');
  assert.equal(await paper(), dark);
});

test('the catalogue shows definitions word for word', async (t) => {
  const page = await open(t, '#/catalogue');
  await page.waitForSelector('#kind-metrics tbody tr');
  const { registries } = await api('registries');
  const text = await page.textContent('main');
  for (const r of registries) for (const row of r.rows) assert.ok(text.includes(row.summary), `${r.kind} ${row.name}`);
});

test('the strategies: searched, read, drawn from the graph, tried', async (t) => {
  const page = await open(t, '#/strategies');
  await page.waitForSelector('.strategy-item');
  const all = await page.locator('.strategy-item').count();
  assert.equal(all, (await api('strategies')).strategies.length);
  await page.fill('input[name="q"]', 'peri');
  await page.waitForFunction((n) => document.querySelectorAll('.strategy-item').length < n, all);
  assert.match(page.url(), /q=peri/);
  await page.click('.strategy-item[data-name="peri_ln"] a');
  await page.waitForSelector('#strategy-title >> text=peri_ln');
  const one = await api('strategies/peri_ln');
  const text = await page.textContent('.strategy');
  for (const said of [one.equation, one.behaviour, one.limits, one.source]) assert.ok(text.includes(said), said);
  assert.equal(await page.locator('svg.network').count(), one.drawing.parts.length);
  const block = page.locator('svg.network').nth(1);
  assert.equal(await block.locator('rect.norm').count(), 4);
  assert.match(await block.textContent(), /attn\.norm_out/);
  assert.match(await block.getAttribute('aria-label'), /Each of the blocks 1 to 8: layernorm, linear, attention/);
  assert.match(await page.locator('.in-words').textContent(), /attn\.norm_in, reads x/);
  await page.click('#try');
  await page.waitForSelector('#job-json');
  assert.deepEqual(JSON.parse(await page.inputValue('#job-json')).sweep, { strategy: ['pre_ln', 'peri_ln'] });
  assert.equal(await page.isChecked('input[name="strategy.name=peri_ln"]'), true);
});

test('every strategy can be shown, those not offered with the reason', async (t) => {
  const { strategies } = await api('strategies');
  const page = await open(t, `#/strategies/${strategies[0].name}`);
  for (const s of strategies) {
    await page.evaluate((name) => { location.hash = `#/strategies/${name}`; }, s.name);
    await page.waitForFunction((name) => document.querySelector('#strategy-title')?.textContent === name, s.name);
    if (s.refused) assert.match(await page.textContent('.strategy .about'), /Not offered/);
    else assert.ok(await page.locator('svg.network').count() >= 3, s.name);
  }
});

test('the gallery: one button runs a job, its page says what was expected and what came', async (t) => {
  const page = await open(t, '#/gallery');
  await page.waitForSelector('.gallery-card');
  const { gallery } = await api('gallery');
  assert.equal(await page.locator('.gallery-card').count(), gallery.length);
  const one = gallery.find((g) => g.name === 'mix-ln');
  const text = await page.textContent('#gallery-mix-ln');
  for (const e of one.expect) assert.ok(text.includes(e.says), e.says);
  await page.click('#gallery-mix-ln button');
  await page.waitForURL(/#\/jobs\/\d+$/);
  await page.waitForFunction((n) => document.querySelectorAll('.expectation.holds').length === n, one.expect.length, { timeout: 60000 });
  await page.click('.expectation a >> nth=2');
  await page.waitForURL(/metric=cos_mean/);
  await page.waitForFunction(() => /^cos_mean at resid_out/.test(document.querySelector('.picture svg.plot')?.getAttribute('aria-label')));
  await page.goto(`${url}/#/gallery`);
  await page.click('#gallery-deepnorm a.button');
  await page.waitForSelector('#job-json');
  assert.match(await page.inputValue('#job-json'), /"strategy": "deepnorm"/);
});

test('a job names its strategies with links into the catalogue', async (t) => {
  const page = await open(t, `#/jobs/${await studyId()}`);
  await page.waitForSelector('.facts .strategies');
  assert.deepEqual(await page.locator('.facts .strategies a').allTextContents(), ['pre_ln', 'post_ln']);
  await page.click('.facts .strategies a >> nth=1');
  await page.waitForSelector('#strategy-title >> text=post_ln');
});

test('the form puts away what the strategy has no use for, and checks lists as they are typed', async (t) => {
  const page = await open(t, '#/new?job={"strategy":"post_ln","depth":4,"seeds":[0]}', { expected: /status of 422/ });
  await page.waitForSelector('.unused details', { state: 'attached' });
  await page.evaluate(() => { for (const d of document.querySelectorAll('details')) d.open = true; });
  const field = (path) => page.locator(`.form-field[data-path="${path}"]`);
  assert.equal(await field('strategy.out_gain_init').isVisible(), false);
  assert.match((await page.locator('.unused').allTextContents()).join(' '), /out_gain_init needs a norm with a learned gain on the branch outputs/);
  await page.check('input[name="strategy.name=peri_ln"]');
  await field('strategy.out_gain_init').waitFor({ state: 'visible' });
  await page.fill('textarea[name="strategy.overrides"]', '[{"layers": "early"');
  assert.match(await field('strategy.overrides').locator('.field-error').textContent(), /Not yet part of the job/);
  assert.ok(!(await page.inputValue('#job-json')).includes('early'));
  await page.fill('textarea[name="strategy.overrides"]', '[{"layers": "early", "norm": "non"}]');
  await page.waitForFunction(() => /did you mean none/.test(document.querySelector('.form-field[data-path="strategy.overrides"] .field-error').textContent));
  await page.fill('textarea[name="strategy.overrides"]', '[{"layers": "early", "norm": "none"}]');
  await page.waitForFunction(() => document.querySelector('.form-field[data-path="strategy.overrides"] .field-error').hidden && document.querySelector('.estimate dd'));
  assert.deepEqual(JSON.parse(await page.inputValue('#job-json')).strategy, { overrides: [{ layers: 'early', norm: 'none' }] });
});

test('360 px wide: nothing makes the page scroll sideways', async (t) => {
  const id = await studyId();
  const page = await open(t, '', { viewport: NARROW });
  for (const path of ['#/', `#/jobs/${id}?table=1&losstable=1`, '#/new', '#/gallery', '#/strategies', '#/strategies/ngpt', '#/catalogue', '#/nowhere']) {
    await page.goto(`${url}/${path}`);
    await page.waitForSelector('main :is(h1, h2):visible');
    await page.waitForLoadState('networkidle');
    assert.ok(await noOverflow(page), path);
  }
  await page.goto(`${url}/#/new`);
  await page.waitForSelector('details.group');
  await page.evaluate(() => { for (const d of document.querySelectorAll('details')) d.open = true; });
  assert.ok(await noOverflow(page), 'with all fields open');
});

test('the verdict: of the job, of strategy by depth, of each arm with its rules; theory in the picture', async (t) => {
  const job = await api('jobs', { method: 'POST', headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: 'verdict', model: 'relu_xavier', seeds: [0, 1], sweep: { strategy: ['pre_ln', 'post_ln'], depth: [3, 30] } }) });
  await until('the job ends', async () => (await api(`jobs/${job.id}`)).state === 'done', 60000, 200);
  const page = await open(t, `#/jobs/${job.id}`);
  const card = page.locator('.verdict-card');
  await card.locator('.heat-map').waitFor();
  assert.match(await card.locator('.lead').innerText(), /tokens become identical/);
  assert.equal(await card.locator('h2 .verdict-fail').count(), 1);
  assert.deepEqual(await card.locator('.heat-map tbody th').allInnerTexts(), ['pre_ln', 'post_ln']);
  assert.match((await card.locator('.heat-map tbody tr').nth(1).innerText()).replace(/\s+/g, ' '), /fail$/);
  assert.equal(await card.locator('.arm-verdict').count(), 4);
  await card.locator('.arm-verdict').last().locator('.opener').click();
  assert.ok(await card.locator('.rule-fail').first().isVisible());
  assert.ok(await page.locator('.picture .theory').count() >= 4);
  assert.match(await page.locator('.picture .figure-notes').innerText(), /theory predicts/);
});

test('a search for the deepest network: what it did not need is left out, a warning is no pass', async (t) => {
  const id = await submit({ name: 'how deep', model: 'relu_xavier', seeds: [0, 1], sweep: { strategy: ['post_ln', 'pre_ln'] }, find: { min_depth: 4, max_depth: 40 },
    measure: { metrics: ['moments', 'geometry', 'gradient'] } });
  const job = await api(`jobs/${id}`);
  assert.ok(job.runs_skipped > 20);
  const { arms } = await api(`jobs/${id}/verdict`);
  const page = await open(t, `#/jobs/${id}`);
  await lines(page).first().waitFor({ state: 'attached' });
  const legend = (await page.locator('.picture .legend button[aria-pressed]').allTextContents()).map((s) => s.trim());
  /* A run that was under way when its depth became needless has measured something. */
  const { runs } = await api(`jobs/${id}/runs`);
  const ran = new Set(runs.filter((r) => r.state !== 'skipped').map((r) => JSON.stringify(r.arm))).size;
  assert.equal(legend.length, ran);
  assert.ok(legend.every((s) => /^(post|pre)_ln · depth \d+$/.test(s)), legend.join());
  assert.equal((await api(`jobs/${id}/chart?metric=var`)).arms.length, ran, 'the same by curl');
  const card = page.locator('section:has(#runs-title)');
  assert.equal(await card.locator('.badge-skipped').count(), 0);
  assert.match(await card.textContent(), new RegExp(`${job.runs_skipped} runs were not needed`));
  assert.match(await page.locator('.facts').textContent(), new RegExp(`[^\\d]${job.runs_done} runs`));
  const depths = (verdict) => Math.max(...arms.filter((a) => a.arm.strategy === 'post_ln' && a.verdict === verdict).map((a) => a.arm.depth));
  assert.ok(depths('warn') > depths('pass'));
  assert.match(await page.locator('.deepest').textContent(), new RegExp(`post_ln: passes up to ${depths('pass')} blocks, has a warning up to ${depths('warn')}, fails from ${depths('warn') + 1}`));
});

test('arms say which field a value is of, unless it is a name', async (t) => {
  const id = await submit({ name: 'labels', depth: 2, seeds: [0], model: { d_model: 16, n_heads: 2 }, measure: { metrics: ['var'] },
    sweep: { rounding: ['none', 'fp16'], strategy: ['none', { name: 'deepnorm', beta: 1 }] } });
  const page = await open(t, `#/jobs/${id}`);
  await lines(page).first().waitFor({ state: 'attached' });
  assert.deepEqual((await page.locator('.picture .legend button[aria-pressed]').allTextContents()).map((s) => s.trim()),
    ['none · rounding none', 'deepnorm beta 1 · rounding none', 'none · rounding fp16', 'deepnorm beta 1 · rounding fp16']);
  const { arms } = await api(`jobs/${id}/chart?metric=var`);
  assert.deepEqual(arms.map((a) => a.label).slice(0, 2), ['none at 2 blocks, rounding none', 'deepnorm beta 1 at 2 blocks, rounding none']);
});

test('390 px wide: tables with long names keep room for their values', async (t) => {
  const id = await submit({ name: 'long names', model: { d_model: 16, n_heads: 2 }, seeds: [0], measure: { metrics: ['moments', 'fit'] },
    sweep: { strategy: ['layernorm_scaling', 'residual_inv_sqrt_depth'], 'init.scheme': ['full_megatron', 'truncated_normal'], depth: [4, 6] } });
  const page = await open(t, `#/jobs/${id}`, { viewport: { width: 390, height: 844 } });
  for (const table of ['.heat-map', '.growth']) {
    await page.locator(`${table} tbody tr`).first().waitFor();
    const [name, box] = await page.locator(`${table} tbody th`).first().evaluate((e) => [e.offsetWidth, e.closest('.scroll').clientWidth]);
    assert.ok(name < box / 2, `${table}: ${name} of ${box}`);
  }
  const lineHigh = await page.locator('.heat-map td.heat').first().evaluate((e) => e.querySelector('.icon').getBoundingClientRect().bottom > e.querySelector('span').getBoundingClientRect().top);
  assert.ok(lineHigh, 'icon and word on one line');
});

test('a job that is not there, and a page that is not there', async (t) => {
  const page = await open(t, '#/jobs/999999', { expected: /404/ });
  await page.waitForSelector('.note.error');
  assert.match(await page.textContent('h1'), /no job 999999/);
  await page.evaluate(() => { location.hash = '#/nowhere'; });
  await page.waitForFunction(() => /no such page/.test(document.querySelector('h1').textContent));
});

test('rules and seeds, run by run: what the service says of one run, opened in its row', async (t) => {
  const id = await studyId();
  const page = await open(t, `#/jobs/${id}`);
  const opener = page.locator('.runs .opener').first();
  await opener.waitFor();
  assert.equal(await opener.getAttribute('aria-expanded'), 'false');
  await opener.focus();
  await page.keyboard.press('Enter');
  await page.locator('.runs .details-row .rules').waitFor();
  assert.equal(await opener.getAttribute('aria-expanded'), 'true');
  const { runs } = await api(`jobs/${id}/runs`);
  const said = await api(`runs/${runs[0].id}/verdict`);
  const rows = page.locator('.runs .details-row .rules tbody tr');
  assert.equal(await rows.count(), said.rules.length);
  const text = await page.locator('.runs .details-row').first().textContent();
  for (const rule of said.rules) for (const part of [rule.rule, rule.says, rule.source]) assert.ok(text.includes(part), part);
  assert.match(text, /at most/);
});

const PROXIES = ['hidden_cov_per_row', 'synflow_log10', 'token_corr', 'param_count', 'pass_flops', 'snip_log10'];
let ranked;
const rankedId = () => (ranked ??= submit({ name: 'proxies', depth: 3, train: 2, seeds: [0, 1, 2],
  measure: { metrics: [...PROXIES, 'cos_mean', 'rms'] }, sweep: { strategy: ['pre_ln', 'post_ln', 'peri_ln'] } }));

test('the ranking: values and ranks of the service, sorted by any column, definitions, CSV, weights', async (t) => {
  const id = await rankedId();
  const page = await open(t, `#/jobs/${id}`, { acceptDownloads: true, expected: /status of 400/ });
  const card = page.locator('section:has(#ranking-title)');
  const rows = card.locator('tbody tr');
  const arms = async () => (await rows.locator('th').allTextContents()).map((s) => s.trim());
  await rows.first().waitFor();
  const answer = await api(`jobs/${id}/ranking`);
  assert.deepEqual(await arms(), answer.arms.map((a) => a.arm.strategy));
  const heads = (await card.locator('thead th').allTextContents()).map((s) => s.replace(/[▲▼]/, '').replace('size-confounded', ''));
  for (const [i, a] of answer.arms.entries()) {
    assert.deepEqual(a.values.map((v) => v.metric).sort(), [...PROXIES].sort());
    for (const v of a.values) {
      const cell = rows.nth(i).locator('td').nth(heads.indexOf(v.metric) - 1);
      assert.equal(Number(await cell.getAttribute('title')), v.mean, `${v.metric} of ${a.arm.strategy}`);
      if (v.metric === 'pass_flops') assert.deepEqual([v.rank, /rank/.test(await cell.textContent())], [null, false]);
      else assert.match(await cell.textContent(), new RegExp(`rank ${v.rank} of 3`));
    }
  }
  assert.equal(await card.locator('thead th', { hasText: 'synflow_log10' }).locator('.chip').textContent(), 'size-confounded');
  assert.equal(await card.locator('thead th', { hasText: 'token_corr' }).locator('.chip').count(), 0);
  assert.match(await card.locator('tfoot').textContent(), /final loss/);

  const by = card.locator('button[data-sort="snip_log10"]');
  await by.focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/sort=snip_log10-down/);
  assert.equal(await card.locator('th[aria-sort="descending"]').count(), 1);
  assert.ok(await page.evaluate(() => document.activeElement.dataset.sort === 'snip_log10'), 'the focus stays');
  const at = heads.indexOf('snip_log10') - 1;
  const shown = await Promise.all([0, 1, 2].map(async (i) => Number(await rows.nth(i).locator('td').nth(at).getAttribute('title'))));
  assert.deepEqual(shown, [...shown].sort((a, b) => b - a), 'the best is on top');

  await card.locator('summary').click();
  const text = await card.locator('.definitions').textContent();
  const { rows: registry } = await api('registries/metrics');
  for (const name of PROXIES) assert.ok(text.includes(registry.find((m) => m.name === name).summary), name);
  await card.locator('input[name="proxy=pass_flops"]').uncheck();
  await page.waitForFunction(() => !document.querySelector('[data-sort="pass_flops"]') && document.querySelector('[data-sort="flops"]'));

  const [file] = await Promise.all([page.waitForEvent('download'), card.locator('button[aria-label="The ranking as CSV"]').click()]);
  const csv = readFileSync(await file.path()).toString().trim().split('\r\n');
  assert.equal(csv.length, 4);
  assert.match(csv[0], /^arm,rank,score,runs,parameters,flops,final_loss,.*snip_log10,snip_log10_std,snip_log10_rank/);
  assert.ok(csv[1].includes(String(answer.arms[0].values[0].mean)));
  assert.equal(csv.join('\r\n'), (await (await fetch(`${url}/api/v1/jobs/${id}/ranking?format=csv`)).text()).trim());

  await page.fill('input[name="weights"]', 'snip_log10:1, nonsense:1');
  await page.keyboard.press('Enter');
  await card.locator('.field-error').waitFor();
  assert.match(await card.locator('.field-error').textContent(), /nonsense/);
  await page.fill('input[name="weights"]', 'snip_log10:-1');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('[data-sort="score"]')?.textContent.startsWith('Weighted sum'));
  const weighed = await api(`jobs/${id}/ranking?weights=snip_log10:-1`);
  assert.deepEqual(await arms(), weighed.arms.map((a) => a.arm.strategy));
  await page.goto(`${url}/#/jobs/${await studyId()}`);
  await lines(page).first().waitFor();
  assert.equal(await card.isVisible(), false, 'no proxies, no ranking');
});

test('proxies that are no terms, and undefined ones: no rank is made up, the reason is said', async (t) => {
  const id = await submit({ name: 'zen', model: { d_model: 16, n_heads: 2 }, depth: 2, seeds: [0], measure: { metrics: ['naswot', 'snip', 'rms'] },
    sweep: { 'init.std': [0.02, 1e-30] } });
  const page = await open(t, `#/jobs/${id}`);
  const card = page.locator('section:has(#ranking-title)');
  await card.locator('tbody tr').nth(1).waitFor();
  assert.match(await card.locator('.note').textContent(), /none of the terms .* no order/);
  assert.equal(await card.locator('[data-sort="rank"]').count(), 0);
  assert.match(await card.locator('tbody tr').nth(1).textContent(), /singular/);
  const { arms } = await api(`jobs/${id}/ranking`);
  assert.deepEqual(arms.map((a) => a.values.find((v) => v.metric === 'naswot')).map((v) => [v.rank, v.reason]), [[1, null], [2, 'SINGULAR']]);
});

test('many arms: some of each colour are drawn, the arms are folded, the heat map has them all', async (t) => {
  const id = await submit({ name: 'many arms', model: { d_model: 8, n_heads: 1 }, seeds: [0], measure: { metrics: ['var', 'cos_mean'] },
    sweep: { strategy: ['pre_ln', 'post_ln', 'peri_ln'], depth: [2, 3], 'train.lr': [1, 2, 3, 4, 5, 6, 7].map((v) => v / 1000) } });
  const page = await open(t, `#/jobs/${id}`);
  await lines(page).first().waitFor();
  assert.equal(await lines(page).count(), 24);
  const colours = await page.locator('.picture .plot .arm').evaluateAll((all) => [...new Set(all.map((e) => e.getAttribute('class')))]);
  assert.equal(colours.length, 3);
  assert.match(await page.textContent('.picture .legend-box'), /24 of 42 arms shown/);
  assert.equal(await page.locator('.heat-map tbody tr').count(), 21);
  assert.equal(await page.locator('.arm-list:not([open])').count(), 2);
});

let widened;
const widenedId = () => (widened ??= submit({ name: 'widths', model: { vocab: 32, n_heads: 2, tied: false }, depth: 2, init: 'lecun', seeds: [0, 1],
  data: { batches: 1, seq_len: 8 }, train: { steps: 2, lr: 0.01, weight_decay: 0, clip: null }, measure: { steps: [0, 1, 2], metrics: ['coordinate'] },
  sweep: { 'train.parametrization': ['standard', 'mup'], 'model.d_model': [16, 32, 64] } }));

test('the coordinate check: a row per site with its slopes, and any site as a picture', async (t) => {
  const id = await widenedId();
  const page = await open(t, `#/jobs/${id}`);
  const card = page.locator('.coordinates-card');
  await card.locator('.plot path.line').first().waitFor();
  const answer = await api(`jobs/${id}/coordinates`);
  assert.equal(answer.verdict, 'fail');
  assert.equal(await card.locator('h2 .verdict-fail').count(), 1);
  assert.match(await card.locator('.definition').textContent(), /not judged at init/i);
  for (const [i, arm] of answer.arms.entries()) {
    const block = card.locator('.coordinates-arm').nth(i);
    assert.match(await block.locator('summary').textContent(), new RegExp(`${arm.arm['train.parametrization']}.*2 seeds`));
    const judged = arm.rows.filter((r) => r.metric === answer.judged_by && r.step > 0);
    assert.equal(await block.locator('tbody tr').count(), new Set(judged.map((r) => `${r.site} ${r.at}`)).size);
    const titles = await block.locator('td.num[title]').evaluateAll((all) => all.map((e) => Number(e.title)));
    assert.deepEqual(titles.sort(), judged.map((r) => r.slope).filter((v) => typeof v === 'number').sort());
    assert.equal(await block.locator('.slope-fail').count(), judged.filter((r) => r.verdict === 'fail').length);
  }
  assert.equal(await card.locator('.plot path.line').count(), 2, 'a line per step');
  const site = card.locator('.coordinates-arm').nth(1).locator('button[data-site="lm_logits, head"], button[data-site="resid_out, last"]').first();
  await site.focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/coord=1\./);
  const name = await page.evaluate(() => document.activeElement.dataset.site);
  assert.ok(name, 'the focus stays');
  assert.equal(await card.locator('.spark-button[aria-pressed="true"]').getAttribute('data-site'), name);
  assert.match(await card.locator('svg.plot').getAttribute('aria-label'), new RegExp(`^delta_mean_abs of ${name}, along model.d_model: parametrization mup`));
  await card.locator('button[aria-controls="coordinates-table"]').click();
  const [where, at] = name.split(', ');
  const row = answer.arms[1].rows.find((r) => r.site === where && r.at === at && r.metric === answer.judged_by && r.step === 2);
  await card.locator('#coordinates-table tbody tr').first().waitFor();
  const values = await card.locator('#coordinates-table tbody tr td:nth-of-type(2)').evaluateAll((all) => all.map((e) => Number(e.dataset.value)));
  assert.deepEqual(values, row.values);
  await page.goto(`${url}/#/jobs/${await studyId()}`);
  await lines(page).first().waitFor();
  assert.equal(await card.isVisible(), false, 'nothing to check, no card');
});

test('the form has rows for rules and for the deepest network; they follow the JSON and go to their errors', async (t) => {
  const page = await open(t, '#/new', { expected: /status of 4\d\d/ });
  await page.waitForSelector('#job-json');
  const job = async () => JSON.parse(await page.inputValue('#job-json'));
  await page.check('input[name="find"]');
  assert.deepEqual((await job()).find, { max_depth: 24 }, 'the depths that were swept become the limit');
  assert.equal((await job()).sweep.depth, undefined);
  await page.fill('input[name="find.min_depth"]', '6');
  assert.deepEqual((await job()).find, { max_depth: 24, min_depth: 6 });
  await page.click('button[name="expect.add"]');
  assert.equal(await page.evaluate(() => document.activeElement.name), 'expect.0.metric');
  const row = page.locator('.expect-row').first();
  await page.selectOption('select[name="expect.0.metric"]', 'cos_mean');
  assert.equal((await job()).expect, undefined, 'without a bound it is no rule yet');
  assert.match(await row.locator('.lacks').textContent(), /needs a metric and a bound/);
  const { rows: registry } = await api('registries/metrics');
  assert.ok((await row.textContent()).includes(registry.find((m) => m.name === 'cos_mean').summary));
  await page.fill('input[name="expect.0.max"]', '0.9');
  await page.selectOption('select[name="expect.0.verdict"]', 'warn');
  assert.deepEqual((await job()).expect, [{ metric: 'cos_mean', max: 0.9, verdict: 'warn' }]);
  assert.equal(await row.locator('.lacks').isVisible(), false);
  await page.fill('input[name="expect.0.step"]', '7');
  await page.locator('.expect-row.invalid').waitFor();
  assert.match(await page.textContent('.form-field[data-path="expect"] .field-error'), /does not have this step/);
  await page.fill('input[name="expect.0.step"]', '');
  await page.waitForFunction(() => !document.querySelector('.expect-row.invalid') && document.querySelector('.estimate dd'));
  assert.ok(await page.locator('select[name="expect.0.metric"] option[value="snip"]').evaluate((o) => o.disabled), 'what is not measured cannot be expected');
  await page.fill('#job-json', '{"name": "found", "depth": 8, "seeds": [0, 1], "find": "max_depth", "expect": [{"metric": "rms", "min": 0.001}, {"metric": "cos_mean", "max": 1}]}');
  assert.equal(await page.locator('.expect-row').count(), 2);
  assert.equal(await page.inputValue('input[name="expect.0.min"]'), '0.001');
  assert.ok(await page.isChecked('input[name="find"]'));
  await page.click('.expect-row:nth-child(1) button[aria-label^="Remove"]');
  assert.deepEqual((await job()).expect, [{ metric: 'cos_mean', max: 1 }]);
  await page.click('button[type="submit"]');
  await page.waitForURL(/#\/jobs\/\d+$/);
  await page.waitForFunction(() => /passes up to 8 blocks/.test(document.querySelector('.deepest')?.textContent ?? ''));
});

test('390 px wide and a diverged check: no sideways scroll, no picture that breaks', async (t) => {
  const id = await submit({ name: `diverged ${'x'.repeat(90)}`, depth: 3, strategy: 'none', seeds: [0, 1], data: { batches: 1 },
    train: { steps: 2, optimizer: 'sgd', lr: 1e20, clip: null }, measure: { steps: [0, 1, 2], metrics: ['coordinate', 'hidden_cov_per_row', 'snip', 'param_count', 'rms'] },
    sweep: { 'model.d_model': [16, 32] } });
  const page = await open(t, `#/jobs/${id}`, { viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  await page.locator('.coordinates .slope-fail').first().waitFor();
  assert.match(await page.locator('.coordinates-card .figure-notes').textContent(), /not finite|Infinity|NaN/);
  await page.locator('section:has(#ranking-title) tbody tr').first().waitFor();
  await page.locator('.runs .opener').first().click();
  await page.locator('.runs .rules').waitFor();
  assert.ok(await noOverflow(page));
  for (const other of [await rankedId(), await widenedId()]) {
    await page.goto(`${url}/#/jobs/${other}`);
    await page.locator('.runs tbody tr').first().waitFor();
    await page.waitForLoadState('networkidle');
    await page.evaluate(() => { for (const d of document.querySelectorAll('details')) d.open = true; });
    assert.ok(await noOverflow(page), `job ${other}`);
  }
});
