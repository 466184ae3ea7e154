// The console: who is signed in sees a school, a view at a time. What is shown is in the address behind the `#`, without any secret.

import { Classroom } from './classroom.js';
import { Figures, worries } from './figures.js';
import { Labs } from './labs.js';
import { Operator } from './operator.js';
import { h, show, write } from './parts.js';
import { Quiz } from './quiz.js';
import { Session } from './session.js';
import { Work } from './work.js';

const VIEWS = { school: Operator, classroom: Classroom, quiz: Quiz, labs: Labs, work: Work };
// What only operators see.
const GUARDED = new Set(['school']);
const THEMES = ['auto', 'light', 'dark'];

const at = (id) => document.getElementById(id);
const { presence, quiz, labs, chat } = document.documentElement.dataset;
const session = new Session({ presence, quiz, labs, chat });
const figures = new Figures(session.internal);

let view;
let name;

const allowed = () => Object.keys(VIEWS).filter((name) => !GUARDED.has(name) || session.is('operator'));

function wanted() {
  const [asked] = location.hash.slice(1).split('/');
  return allowed().includes(asked) ? asked : allowed()[0];
}

/** Shows what the address says; `is_asked` when a person went there, who then begins at its heading. */
function go(is_asked) {
  const next = wanted();
  if (next === name) return view.address?.();
  view?.unmount();
  name = next;
  const heading = h('h1', { tabindex: '-1' }, VIEWS[name].title);
  at('view').replaceChildren(heading);
  document.title = `${VIEWS[name].title} · Homeroom`;
  document.querySelectorAll('#views a').forEach((link) => {
    if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  });
  view = new VIEWS[name](session, figures);
  view.mount(at('view'));
  if (is_asked) heading.focus();
}

function leave() {
  view?.unmount();
  view = name = undefined;
  at('view').replaceChildren();
}

/** Signed in, or not any more. */
function stand(why = '') {
  const is_in = session.isSignedIn;
  document.body.dataset.view = is_in ? 'signed-in' : 'signing-in';
  for (const id of ['views', 'who', 'view']) show(at(id), is_in);
  show(at('sign-in'), !is_in);
  if (is_in) {
    const roles = ['operator', 'teacher'].filter((role) => session.is(role)).join(', ');
    write(at('name'), session.name);
    write(at('roles'), `(${roles})`);
    document.querySelectorAll('#views li').forEach((item) => show(item, allowed().includes(item.firstElementChild.hash.slice(1))));
    figures.start();
    return go(false);
  }
  leave();
  figures.stop();
  document.title = 'Sign in · Homeroom';
  write(at('sign-in-fault'), why);
  at('user').focus();
}

const SAID = { 429: ({ retryAfterSeconds }) => `Too many tries. Please wait ${retryAfterSeconds ?? 60} seconds.` };

at('sign-in').addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = at('sign-in').querySelector('button');
  button.disabled = true;
  write(at('sign-in-fault'), '');
  try {
    await session.signIn(at('user').value.trim(), at('password').value);
    at('password').value = '';
    at('view').querySelector('h1')?.focus();
  } catch (refusal) {
    write(at('sign-in-fault'), SAID[refusal.status]?.(refusal) ?? `${refusal.message}.`.replace(/\.\.$/, '.'));
    at('password').select();
  } finally {
    button.disabled = false;
  }
});

at('sign-out').addEventListener('click', () => session.signOut());
session.addEventListener('change', ({ detail }) => stand(detail));
addEventListener('hashchange', () => session.isSignedIn && go(true));
addEventListener('online', () => view?.line?.hurry());

at('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  root.dataset.theme = next;
  write(at('theme-name'), next);
});

figures.addEventListener('change', () => {
  const [first] = worries(figures);
  const sign = at('pulse');
  sign.className = `pulse ${first?.kind ?? 'good'}`;
  write(at('pulse-words'), { bad: 'trouble', warn: 'look' }[first?.kind] ?? 'well');
});

stand();
