// Desktops side by side, each as a screen that shows its state: seen from afar, opened by one press.

import { h, icon, write } from './parts.js';

/** `set(desktops)`: each with `id`, `name`, `user`, `agent_id`, its sign's `kind`, its state in `words`, and whether it `is_open`. */
export class Wall {
  #screens = new Map();

  constructor(empty) {
    this.empty = h('p', { class: 'note' }, empty);
    this.list = h('ul', { class: 'wall' });
    this.element = h(
      'div',
      { class: 'scroll bare', tabindex: '0', role: 'region', 'aria-label': 'Desktops as screens' },
      this.list,
      this.empty,
    );
  }

  set(desktops) {
    const names = (a, b) => (a.user === b.user ? a.name.localeCompare(b.name) : (a.user ?? '').localeCompare(b.user ?? ''));
    const shown = [...desktops].sort(names).map((desktop) => this.#screen(desktop));
    this.#screens = new Map(shown.map((screen) => [screen.id, screen]));
    shown.forEach(({ element }, place) => {
      if (this.list.children[place] !== element) this.list.insertBefore(element, this.list.children[place] ?? null);
    });
    while (this.list.children.length > shown.length) this.list.lastChild.remove();
    this.empty.hidden = shown.length > 0;
  }

  #screen(desktop) {
    const { id, name, user, agent_id, kind, words, is_open } = desktop;
    // A screen is made again only when its state is another one, so that the focus stays on it.
    const about = `${kind}\u0000${words}\u0000${is_open}`;
    const known = this.#screens.get(id);
    if (known?.about === about) {
      write(known.where, agent_id ?? '');
      return known;
    }
    const seen = [icon(kind), h('span', {}, words)];
    const given = { class: `glass ${kind}`, href: `../lab/${encodeURIComponent(id)}`, target: '_blank', rel: 'noopener' };
    const glass = is_open
      ? h(
          'a',
          { ...given, title: 'Open in a new tab' },
          seen,
          h('span', { class: 'unseen' }, `: open the desktop ${name} of ${user}, in a new tab`),
        )
      : h('span', { class: `glass ${kind}` }, seen);
    const where = h('span', {}, agent_id ?? '');
    const was_there = known?.element.contains(document.activeElement);
    const element = h('li', {}, glass, h('strong', {}, user ?? ''), h('span', { title: name }, name), where);
    if (was_there) {
      known.element.replaceWith(element);
      element.querySelector('a')?.focus();
    }
    return { id, about, element, where };
  }
}
