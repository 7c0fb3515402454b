// Makes tests/e2e/picture.svg, the picture of the README, again: the real daemon computes the README's first job,
// the dashboard draws it in Chromium, and its SVG button saves it.
//
//   node tests/e2e/picture.mjs        (after `make test`, which fetches playwright-core)
import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { root, startDaemon } from './lib.mjs';

const [, text] = /^ {2}-d '(\{[^]*?\})'\)$/m.exec(readFileSync(join(root, 'README.md'), 'utf8'));
const daemon = await startDaemon({});
const job = await daemon.finish(JSON.parse(text));
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
const page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
await page.goto(`${daemon.url}/#/jobs/${job.id}?metric=cos_mean&site=resid_out&step=0`);
await page.waitForSelector('.picture .plot path.line');
const [file] = await Promise.all([page.waitForEvent('download'), page.click('.picture button[aria-label="Save the chart as SVG"]')]);
copyFileSync(await file.path(), join(root, 'tests/e2e/picture.svg'));
await browser.close();
await daemon.kill();
