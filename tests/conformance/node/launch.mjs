// Chromium without a window, as the system has it, and the console in it.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const KINDS = { js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' };

/** A browser. */
export function launch() {
  const names = 'command -v chromium || command -v chromium-browser || command -v google-chrome';
  const executablePath = execFileSync('sh', ['-c', names], { encoding: 'utf8' }).trim();
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic'] });
}

/** The console of somebody who has signed in. With ASSETS=FOLDER its files are those, though the server has others built in. */
export async function signedIn(browser, { url, name, password }, looks) {
  const page = await browser.newPage({ reducedMotion: 'reduce', ...looks });
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
  await page.locator('#sign-in button').click();
  await page.locator('#views').waitFor();
  return page;
}
