// Pictures of the console as somebody sees it who has signed in: every view, light and dark, at a desk and in a hand; or the one of README.
// node pictures.mjs '{"url":…,"name":…,"password":…,"room":…,"quiz":…}' FOLDER [VIEW…]
// node pictures.mjs '{…}' FILE.png

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch, signedIn } from './launch.mjs';

const [about, place, ...wanted] = process.argv.slice(2);
const given = JSON.parse(about);
const VIEWS = { school: 'school', classroom: `classroom/${given.room}`, quiz: `quiz/${given.quiz}`, labs: 'labs', work: 'work' };
const SIZES = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
];
// Figures need two readings, and drawings a few more.
const SETTLE_MILLIS = Number(process.env.SETTLE ?? 9_000);

async function show(page, view) {
  await page.locator(`#views a[href="#${view}"]`).click();
  await page.evaluate((hash) => (location.hash = hash), VIEWS[view]);
  await page.mouse.move(0, 0);
  await page.waitForTimeout(SETTLE_MILLIS);
}

const browser = await launch();
if (place.endsWith('.png')) {
  const page = await signedIn(browser, given, { viewport: { width: 1280, height: 1300 }, colorScheme: 'light' });
  await show(page, 'quiz');
  // By then the drawing of answers a second has something to show.
  await page.waitForTimeout(60_000);
  await page.screenshot({ path: place });
} else {
  mkdirSync(place, { recursive: true });
  for (const viewport of SIZES) {
    for (const colorScheme of ['light', 'dark']) {
      const page = await signedIn(browser, given, { viewport, colorScheme });
      for (const view of Object.keys(VIEWS).filter((view) => wanted.length === 0 || wanted.includes(view))) {
        await show(page, view);
        const path = join(place, `${view}-${viewport.width}-${colorScheme}`);
        await page.screenshot({ path: `${path}.png` });
        await page.screenshot({ path: `${path}-whole.png`, fullPage: true });
      }
      await page.close();
    }
  }
}
await browser.close();
