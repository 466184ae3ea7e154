// `homeroom.js` as the console's page has it, in Chromium: a line of JSON for each state and each message of two lines, and first what
// the page's policy lets through. Until it is killed.
// node in_browser.mjs CONSOLE PRESENCE CLASSROOM STUDENT QUIZZES QUIZ TEACHER

import { launch } from './launch.mjs';

const [console_at, presence_at, classroom, student, quizzes_at, quiz, teacher] = process.argv.slice(2);
const browser = await launch();
const page = await browser.newPage();
const asked = new Set();
page.on('request', (request) => asked.add(new URL(request.url()).origin));
await page.exposeFunction('tell', (told) => console.log(JSON.stringify(told)));
await page.goto(console_at);
await page.locator('#user').waitFor();
const own = [...asked];

// None of these may come to pass: the first three are refused by the policy, the others by the browser because of it.
const passed = await page.evaluate(async () => {
  const refused = [];
  addEventListener('securitypolicyviolation', ({ effectiveDirective }) => refused.push(effectiveDirective));
  const passed = [];
  const other = 'http://localhost:9/x';
  await fetch(other, { mode: 'no-cors' }).then(
    () => passed.push('fetch'),
    () => {},
  );
  await new Promise((done) => Object.assign(new Image(), { onload: done, onerror: done, src: other }));
  try {
    new WebSocket('ws://localhost:9/x').addEventListener('open', () => passed.push('socket'));
  } catch {
    // Some browsers throw at once.
  }
  try {
    passed.push(`eval ${(0, eval)('1')}`);
  } catch {
    refused.push('eval');
  }
  try {
    document.body.innerHTML = '<b>markup</b>';
    passed.push('markup');
  } catch {
    refused.push('markup');
  }
  await new Promise((done) => setTimeout(done));
  return { passed, refused: [...new Set(refused)].sort() };
});
console.log(JSON.stringify({ is: 'policy', own, ...passed }));

await page.evaluate(
  async ([presence_at, classroom, student, quizzes_at, quiz, teacher]) => {
    const module = [...document.querySelectorAll('link[rel=modulepreload]')].find(({ href }) => href.endsWith('/homeroom.js')).href;
    const client = await import(module);
    const lines = {
      presence: client.presence(presence_at, () => student, { classroom, label: 'browser' }),
      quiz: client.quiz(quizzes_at, () => teacher),
    };
    lines.quiz.watch(`quiz:${quiz}`);
    for (const [line, made] of Object.entries(lines)) {
      made.addEventListener('state', ({ detail }) => globalThis.tell({ is: 'state', line, ...detail }));
      made.addEventListener('message', ({ detail }) => globalThis.tell({ is: 'message', line, event: detail.event, t: detail.t }));
      made.start();
    }
  },
  [presence_at, classroom, student, quizzes_at, quiz, teacher],
);
