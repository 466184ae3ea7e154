// The tools above a screen, and the keys that lead to them.

import { closePanel, hint, openPanel, view } from './view.js';

const SCALING = 'homeroom.labs.scaling';
const at = (id) => document.getElementById(id);

/** Wires the tools to a screen. */
export function equip(screen) {
  at('three-keys').addEventListener('click', () => screen.sendThreeKeys());
  scaling(screen);
  fullscreen(screen);
  clipboard(screen);
  keys(screen);
}

function scaling(screen) {
  const choice = at('scaling');
  const kept = localStorage.getItem(SCALING);
  if ([...choice.options].some((option) => option.value === kept)) choice.value = kept;
  screen.scaling = choice.value;
  choice.addEventListener('change', () => {
    localStorage.setItem(SCALING, choice.value);
    screen.scaling = choice.value;
    screen.focus();
  });
}

function fullscreen(screen) {
  const tool = at('fullscreen');
  if (!document.fullscreenEnabled) tool.hidden = true;
  tool.addEventListener('click', async () => {
    try {
      if (document.fullscreenElement) await document.exitFullscreen();
      else await document.documentElement.requestFullscreen({ navigationUI: 'hide' });
    } catch {
      hint('The browser does not allow full screen here.');
    }
    screen.focus();
  });
  document.addEventListener('fullscreenchange', () => {
    const is = document.fullscreenElement !== null;
    tool.setAttribute('aria-pressed', String(is));
    // Where the browser lets it, keys such as Alt-Tab go to the desktop as well.
    if (is) navigator.keyboard?.lock?.().catch(() => {});
    else navigator.keyboard?.unlock?.();
    if (is) hint('The tools are at the upper edge. Ctrl+Alt+Shift leads there from the keyboard.');
  });
}

function clipboard(screen) {
  const text = at('clipboard-text');
  const close = () => {
    closePanel();
    screen.focus();
  };
  at('clipboard').addEventListener('click', () => (at('clipboard-panel').hidden ? openPanel() : close()));
  at('clipboard-send').addEventListener('click', () => {
    screen.sendText(text.value);
    close();
    hint('The text is on the desktop’s clipboard.');
  });
  at('clipboard-copy').hidden = navigator.clipboard === undefined;
  at('clipboard-copy').addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(text.value);
      hint('Copied.');
    } catch {
      hint('The browser does not allow that here: select the text and copy it.');
    }
  });
  screen.addEventListener('clipboard', (event) => {
    text.value = event.detail;
  });
}

function keys(screen) {
  const held = ['Control', 'Alt', 'Shift'];
  addEventListener('keydown', (event) => {
    if (view() !== 'screen') return;
    if (held.includes(event.key) && event.ctrlKey && event.altKey && event.shiftKey) {
      // After noVNC has heard it too.
      setTimeout(() => {
        screen.release();
        at('three-keys').focus({ focusVisible: true });
        hint('The keyboard is yours. Escape gives it back to the desktop.');
      });
    } else if (event.key === 'Escape' && (at('bar').contains(event.target) || at('clipboard-panel').contains(event.target))) {
      closePanel();
      screen.focus();
    }
  }, true);
  // As toolbars are walked through: with the arrows.
  at('tools').addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined || event.target.tagName === 'SELECT') return;
    const tools = [...at('tools').querySelectorAll('button, select')].filter((tool) => tool.offsetParent !== null);
    tools[(tools.indexOf(event.target) + step + tools.length) % tools.length]?.focus();
  });
}
