// Pictures of the console as somebody sees it who has signed in: every view, light and dark, at a desk and in a hand.
// node pictures.mjs '{"url":…,"name":…,"password":…,"room":…,"quiz":…}' FOLDER [VIEW…]
// With ASSETS=../../../src/console it is shown with the files as they are there, though the server has others built in.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [about, folder, ...wanted] = process.argv.slice(2);
const { url, name, password, room, quiz } = JSON.parse(about);
const VIEWS = { school: 'school', classroom: `classroom/${room}`, quiz: `quiz/${quiz}`, labs: 'labs', work: 'work' };
const SIZES = [
  [1280, 800],
  [390, 844],
];
const KINDS = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };

export function browser() {
  const found = execFileSync('sh', ['-c', 'command -v chromium || command -v chromium-browser || command -v google-chrome'], {
    encoding: 'utf8',
  });
  return chromium.launch({ executablePath: found.trim(), args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
}

mkdirSync(folder, { recursive: true });
const chrome = await browser();
for (const [width, height] of SIZES) {
  for (const colorScheme of ['light', 'dark']) {
    const page = await chrome.newPage({ viewport: { width, height }, colorScheme, reducedMotion: 'reduce' });
    page.on('pageerror', (error) => console.error(`${error}`));
    page.on('console', (said) => said.type() === 'error' && console.error(said.text()));
    if (process.env.ASSETS) {
      await page.route('**/console/assets/**', (route) => {
        const file = route.request().url().split('/').at(-1);
        return route.fulfill({ body: readFileSync(join(process.env.ASSETS, file)), contentType: KINDS[file.split('.')[1]] });
      });
    }
    await page.goto(url);
    await page.locator('#user').fill(name);
    await page.locator('#password').fill(password);
    await page.keyboard.press('Enter');
    for (const view of Object.keys(VIEWS).filter((view) => wanted.length === 0 || wanted.includes(view))) {
      await page.evaluate((hash) => (location.hash = hash), VIEWS[view]);
      // Figures need two readings, and drawings a few.
      await page.waitForTimeout(Number(process.env.SETTLE ?? 9_000));
      const place = (more) => ({ path: join(folder, `${view}-${width}-${colorScheme}${more}.png`) });
      await page.screenshot(place(''));
      await page.screenshot({ ...place('-whole'), fullPage: true });
    }
    await page.close();
  }
}
await chrome.close();
