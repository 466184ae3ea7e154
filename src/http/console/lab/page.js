// The page of one desktop: who is there, how the desktop is, and its screen while it runs.

import { Labs } from './api.js';
import { Screen } from './screen.js';
import { equip } from './toolbar.js';
import { askUnlock, askWho, forgetSession, hint, showScreen, showSession, showState, view } from './view.js';

// How long to wait before the next try to reach a screen that was lost; each wait is up to a fifth shorter or longer.
const WAITS_MILLIS = [500, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000];
// A screen that was there for so long begins with the first of them again.
const STEADY_MILLIS = 10_000;
// How often to look at a desktop that becomes something; slower after a while, since looks are counted.
const LOOK_MILLIS = [1_000, 1_000, 1_500, 2_000, 2_000, 3_000, 5_000];
// Close codes of the viewer's socket: the stream ended, another viewer came or the token is good no longer.
const [OVER, POLICY] = [1000, 1008];

const at = (id) => document.getElementById(id);
const id = decodeURIComponent(location.pathname.split('/').pop());
const labs = new Labs(document.documentElement.dataset.labs);
const screen = new Screen(at('screen'));

let timer;
let looks = 0;
let losses = 0;
let shownAt = 0;
// Answers of an earlier round are of no interest.
let round = 0;

const pause = (millis) => millis * (0.8 + Math.random() * 0.4);
const later = (millis, act) => {
  clearTimeout(timer);
  timer = setTimeout(act, pause(millis));
};
const nth = (waits, n) => waits[Math.min(n, waits.length - 1)];

/** Looks at how the desktop is, and goes on from there. */
async function look() {
  clearTimeout(timer);
  if (!labs.isSignedIn) return askWho();
  const mine = ++round;
  try {
    const session = await labs.session(id);
    if (mine === round) found(session);
  } catch (refusal) {
    if (mine === round) refused(refusal);
  }
}

function found(session) {
  showSession(session);
  const { phase, message } = session.status;
  switch (phase) {
    case 'Running':
      return connect(session);
    case 'Pending':
      return waiting('Your desktop is being made ready', message, looks < 2 ? 'asked' : 'starting');
    case 'Waking':
      return waiting('Your desktop is waking up', message, 'starting');
    case 'Hibernating':
      return waiting('Your desktop is going to sleep', message);
    case 'Terminating':
      return waiting('Your desktop is being closed', message);
    case 'Hibernated':
      return idle('asleep', 'Your desktop is asleep', 'Everything in your home folder is kept. Waking it takes a moment.', [['Wake', wake]]);
    case 'Terminated':
      return idle('ended', 'This desktop is closed', 'It will not come back; a new one can be asked for.', []);
    default:
      return idle('failed', 'This desktop has failed', message, [['Look again', look]]);
  }
}

function refused(refusal) {
  switch (refusal.status) {
    case 401:
      return signedOut('Please sign in again.');
    case 403:
      return idle('missing', 'This desktop is not yours', 'It belongs to somebody else.', [['Sign in as somebody else', signOut]]);
    case 404:
      return idle('missing', 'There is no such desktop', 'Its address is wrong, or it was never there.', [['Look again', look]]);
    case 429:
      waiting('One moment', 'The server asks us to slow down.');
      return later((refusal.retryAfterSeconds ?? 10) * 1_000, look);
    default:
      return lost(refusal.message);
  }
}

function waiting(title, text, step) {
  screen.clear();
  showState('waiting', title, text, { step });
  later(nth(LOOK_MILLIS, looks++), look);
}

function idle(name, title, text, actions) {
  clearTimeout(timer);
  screen.clear();
  looks = 0;
  showState(name, title, text, { actions });
}

function connect(session) {
  looks = 0;
  if (screen.isThere) return;
  if (view() !== 'lost') showState('loading', 'Connecting', 'The screen is on its way.', { step: 'ready' });
  screen.watch(labs.socket(session));
}

/** The screen, or the server, cannot be reached: another try follows, later each time. */
function lost(why) {
  const wait = pause(nth(WAITS_MILLIS, losses++));
  const actions = [['Try now', () => look()]];
  const text = `${why} Trying again${wait < 1_500 ? '' : ` in ${Math.round(wait / 1_000)} seconds`}.`;
  showState('lost', 'The connection was lost', text, { actions });
  at('state-actions').querySelectorAll('button').forEach((button) => (button.disabled = false));
  clearTimeout(timer);
  timer = setTimeout(look, wait);
}

async function wake() {
  showState('waiting', 'Your desktop is waking up', '', { step: 'asked' });
  const mine = ++round;
  try {
    await labs.wake(id);
    looks = 0;
    if (mine === round) look();
  } catch (refusal) {
    if (mine !== round) return;
    if ([0, 401, 403, 404, 429].includes(refusal.status)) return refused(refusal);
    idle('failed', 'It could not be woken', refusal.message, [['Try again', wake], ['Look again', look]]);
  }
}

function signedOut(fault) {
  round++;
  clearTimeout(timer);
  screen.clear();
  forgetSession();
  labs.signOut();
  askWho(fault);
}

const signOut = () => signedOut('');

screen.addEventListener('shown', () => {
  shownAt = performance.now();
  showScreen();
  screen.focus();
});

screen.addEventListener('over', ({ detail: { code, reason } }) => {
  if (shownAt > 0 && performance.now() - shownAt > STEADY_MILLIS) losses = 0;
  shownAt = 0;
  if (code === POLICY && reason.includes('newer')) {
    const actions = [['Use it here', look]];
    return showState('elsewhere', 'Your desktop is open elsewhere', 'It is shown in one place at a time.', { actions });
  }
  if (code === POLICY && reason.includes('token')) return signedOut('Please sign in again.');
  // The session itself may have ended, or gone to sleep; if it runs, the first wait of `lost` keeps us from knocking too fast.
  if (code === OVER && losses === 0) {
    losses = 1;
    return look();
  }
  lost('The screen is out of reach.');
});

screen.addEventListener('locked', (event) => askUnlock(event.detail));
screen.addEventListener('refused', (event) => hint(event.detail ?? 'The desktop did not take the password.'));

at('unlock').addEventListener('submit', (event) => {
  event.preventDefault();
  screen.unlock({ username: at('desktop-user').value, password: at('desktop-password').value });
  at('desktop-password').value = '';
  showState('loading', 'Connecting', 'The screen is on its way.');
});

at('sign-in').addEventListener('submit', async (event) => {
  event.preventDefault();
  const button = event.submitter ?? at('sign-in').querySelector('button');
  button.disabled = true;
  try {
    await labs.signIn(at('username').value.trim(), at('password').value);
    at('password').value = '';
    showState('loading', 'One moment', '');
    look();
  } catch (refusal) {
    const wrong = refusal.status === 401;
    const busy = refusal.status === 429 ? `Too many tries. Please wait ${refusal.retryAfterSeconds ?? 60} seconds.` : refusal.message;
    askWho(wrong ? 'The name or the password is not right.' : busy);
    if (wrong) at('password').select();
  } finally {
    button.disabled = false;
  }
});

at('sign-out').addEventListener('click', signOut);
addEventListener('online', () => view() === 'lost' && look());
addEventListener('pageshow', (event) => event.persisted && look());

equip(screen);
look();
