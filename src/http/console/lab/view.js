// What is on the page: one view at a time, and hints that pass.

const HINT_MILLIS = 5_000;

const at = (id) => document.getElementById(id);
let hintTimer;

/** What is seen now. */
export const view = () => document.body.dataset.view;

function show(name, card) {
  document.body.dataset.view = name;
  for (const id of ['sign-in', 'unlock', 'state']) at(id).hidden = id !== card;
  at('screen-tools').hidden = name !== 'screen';
  at('sign-out').hidden = name === 'signing-in';
  if (name !== 'screen') {
    closePanel();
    at('hint').classList.remove('shown');
  }
}

/** Asks who is there. */
export function askWho(fault = '') {
  if (view() !== 'signing-in') {
    show('signing-in', 'sign-in');
    at(at('username').value === '' ? 'username' : 'password').focus();
  }
  at('sign-in-fault').textContent = fault;
}

/** Asks for the desktop's own password, and its user where it wants one. */
export function askUnlock(types) {
  show('locked', 'unlock');
  at('unlock-user').hidden = !types.includes('username');
  at('desktop-password').focus();
}

export function showScreen() {
  show('screen', undefined);
}

/** A state in words. `actions` are pairs of a label and what it does; the first is what is most likely wanted. */
export function showState(name, title, text, { actions = [], step } = {}) {
  const isNew = view() !== name;
  show(name, 'state');
  at('state-title').textContent = title;
  at('state-text').textContent = text;
  showSteps(step);
  const row = at('state-actions');
  if (isNew || row.childElementCount !== actions.length) {
    row.replaceChildren(...actions.map(button));
    if (actions.length > 0) row.firstElementChild.focus({ focusVisible: false });
  }
}

function button([label, act], index) {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = index === 0 ? 'primary' : 'plain';
  made.textContent = label;
  made.addEventListener('click', () => {
    made.disabled = true;
    act();
  });
  return made;
}

function showSteps(step) {
  const steps = [...at('steps').children];
  const now = steps.findIndex((item) => item.dataset.phase === step);
  at('steps').hidden = now < 0;
  steps.forEach((item, index) => {
    item.className = index < now ? 'done' : index === now ? 'now' : '';
  });
}

/** Whose page it is. */
export function showSession(session) {
  at('name').textContent = session.template;
  at('about').textContent = session.name;
  document.title = `${session.template} · desktop`;
}

export function forgetSession() {
  at('name').textContent = 'Desktop';
  at('about').textContent = '';
  document.title = 'Desktop';
}

/** A word that passes. */
export function hint(text) {
  const place = at('hint');
  place.textContent = text;
  place.classList.add('shown');
  clearTimeout(hintTimer);
  hintTimer = setTimeout(() => place.classList.remove('shown'), HINT_MILLIS);
}

export function closePanel() {
  at('clipboard-panel').hidden = true;
  at('clipboard').setAttribute('aria-expanded', 'false');
}

export function openPanel() {
  at('clipboard-panel').hidden = false;
  at('clipboard').setAttribute('aria-expanded', 'true');
  at('clipboard-text').focus();
}
