// Desktops: who runs them, which there are and how they are; a desktop is opened in its own page.

import { meter } from './charts.js';
import { Table, choice, duration, h, icon, moment, number, panel, show, state, tile, write } from './parts.js';
import { Wall } from './wall.js';

const LOOK_MILLIS = 6_000;
const PAGE = 100;
const KINDS = {
  Running: 'good',
  Pending: 'wait',
  Waking: 'wait',
  Hibernating: 'wait',
  Terminating: 'wait',
  Hibernated: 'sleep',
  Failed: 'bad',
  Terminated: 'none',
};
// How the states are called that the node counts, and in which order.
const COUNTED = {
  running: ['good', 'running'],
  hibernated: ['sleep', 'asleep'],
  pending: ['wait', 'being made'],
  waking: ['wait', 'waking'],
  hibernating: ['wait', 'falling asleep'],
  terminating: ['wait', 'being closed'],
  failed: ['bad', 'failed'],
};
const VIEWS = [
  ['screens', 'screens'],
  ['list', 'list'],
];
const phase = ({ status, state: now }) => status?.phase ?? now;
const signOf = (row) => KINDS[phase(row)] ?? 'warn';
const AGENTS = { online: 'good', draining: 'warn', offline: 'bad' };

export class Labs {
  static title = 'Labs';

  constructor(session, figures) {
    Object.assign(this, { session, figures, page: 1, wanted: '', text: '', rows: [] });
    this.levels = this.levels.bind(this);
  }

  mount(root) {
    this.note = h('p', { class: 'note', role: 'status' });
    root.append(this.note);
    if (!this.session.has('labs'))
      return write(this.note, 'Labs have accounts of their own: sign in with the name and password of one (homeroom user shows them).');
    this.tiles = {
      agents: tile('Agents online'),
      sessions: tile('Desktops'),
      places: tile('Free places'),
      watched: tile('Watched now'),
    };
    this.agents = new Table({
      caption: 'Agents that run desktops',
      id: ({ agent_id }) => agent_id,
      columns: this.#agentColumns(),
      empty: 'No agent is known.',
    });
    this.sessions = new Table({
      caption: 'Desktops',
      id: ({ id }) => id,
      columns: this.#sessionColumns(),
      empty: 'There is no desktop.',
    });
    this.wall = new Wall('There is no desktop.');
    this.pages = h('p', { class: 'note', role: 'status' });
    this.counts = h('ul', { class: 'legend counts', 'aria-label': 'Desktops of this node by their state' });
    root.append(
      h(
        'div',
        { class: 'tiles' },
        Object.values(this.tiles).map(({ element }) => element),
      ),
    );
    root.append(
      h(
        'div',
        { class: 'grid' },
        panel(
          'Desktops',
          { wide: true },
          this.counts,
          h('div', { class: 'bar' }, this.#head()),
          this.wall.element,
          this.sessions.element,
          this.pages,
        ),
        panel('Agents', { wide: true }, this.agents.element),
      ),
    );
    this.timer = setInterval(() => document.hidden || this.#look(), LOOK_MILLIS);
    this.figures.addEventListener('change', this.levels);
    this.#shown('screens');
    this.levels();
    this.#look();
  }

  unmount() {
    clearInterval(this.timer);
    this.figures.removeEventListener('change', this.levels);
  }

  #head() {
    const states = choice('State', (value) => {
      Object.assign(this, { wanted: value, page: 1 });
      this.#look();
    });
    states.set([
      ['', 'any'],
      ['running', 'running'],
      ['hibernated', 'asleep'],
      ['pending', 'being made'],
      ['terminated', 'closed'],
    ]);
    const views = choice('Shown as', (value) => this.#shown(value));
    views.set(VIEWS);
    const narrow = ({ target }) => {
      this.text = target.value.trim().toLowerCase();
      this.#list();
    };
    const filter = h('label', { class: 'field' }, 'Filter ', h('input', { type: 'search', autocomplete: 'off', oninput: narrow }));
    const turn = (by) => () => {
      this.page = Math.max(1, this.page + by);
      this.#look();
    };
    this.back = h('button', { type: 'button', onclick: turn(-1) }, 'Earlier hundred');
    this.forth = h('button', { type: 'button', onclick: turn(1) }, 'Next hundred');
    return [filter, states.element, views.element, this.back, this.forth];
  }

  #agentColumns() {
    const load = ({ capacity }) => {
      const bar = meter('Desktops of its places');
      const [now, most] = [capacity?.current_sessions ?? 0, capacity?.max_sessions ?? 0];
      bar.set(now, most, `${number(now)} of ${number(most)} places are taken`);
      return [bar.element, h('span', { class: 'beside' }, `${number(now)} / ${number(most)}`)];
    };
    const silent = ({ last_heartbeat }) => (last_heartbeat ? Math.max(0, (Date.now() - Date.parse(last_heartbeat)) / 1_000) : Infinity);
    return [
      { key: 'agent', label: 'Agent', value: ({ agent_id }) => agent_id },
      { key: 'status', label: 'State', value: ({ status }) => status, cell: ({ status }) => state(AGENTS[status] ?? 'warn', status) },
      {
        key: 'load',
        label: 'Desktops / places',
        value: ({ capacity }) => capacity?.current_sessions ?? 0,
        mark: ({ capacity }) => JSON.stringify(capacity),
        cell: load,
        is_number: true,
      },
      { key: 'platform', label: 'Platform', value: ({ platform }) => platform, is_spare: true },
      { key: 'region', label: 'Region', value: ({ region }) => region, is_spare: true },
      {
        key: 'heard',
        label: 'Heard of',
        value: (row) => Math.floor(silent(row)),
        text: (row) => (Number.isFinite(silent(row)) ? `${duration(Math.floor(silent(row)))} ago` : 'never'),
        is_number: true,
      },
    ];
  }

  /** As screens on a wall, or as a list. */
  #shown(view) {
    this.view = view;
    show(this.wall.element, view === 'screens');
    show(this.sessions.element, view === 'list');
    this.#list();
  }

  #list() {
    const texts = (row) => [row.name, row.user, row.agent_id, row.template, phase(row)].join('\u0000').toLowerCase();
    const rows = this.rows.filter((row) => texts(row).includes(this.text));
    if (this.view === 'list') return this.sessions.set(rows);
    const screen = (row) => ({ ...row, kind: signOf(row), words: phase(row).toLowerCase(), is_open: phase(row) !== 'Terminated' });
    return this.wall.set(rows.map(screen));
  }

  #sessionColumns() {
    const opened = (row) =>
      phase(row) === 'Terminated'
        ? '–'
        : h(
            'a',
            { class: 'button', href: `../lab/${encodeURIComponent(row.id)}`, target: '_blank', rel: 'noopener' },
            icon('open'),
            'Open',
            h('span', { class: 'unseen' }, ` the desktop ${row.name}, in a new tab`),
          );
    return [
      { key: 'name', label: 'Desktop', value: ({ name }) => name },
      { key: 'user', label: 'Whose', value: ({ user }) => user, is_spare: true },
      { key: 'phase', label: 'State', value: phase, cell: (row) => state(signOf(row), phase(row).toLowerCase()) },
      { key: 'template', label: 'Template', value: ({ template }) => template, is_spare: true },
      { key: 'agent', label: 'Agent', value: ({ agent_id }) => agent_id ?? '', is_spare: true },
      {
        key: 'created',
        label: 'Made',
        value: ({ created_at }) => created_at,
        text: ({ created_at }) => moment(created_at),
        is_spare: true,
      },
      { key: 'open', label: 'Viewer', sort: false, value: () => '', mark: phase, cell: opened },
    ];
  }

  async #look() {
    const query = { page: this.page, limit: PAGE, ...(this.wanted && { state: this.wanted }) };
    const labs = this.session.rest.labs;
    const asked = (this.asked = {});
    try {
      const [stats, agents, sessions] = await Promise.all([
        labs.get('/api/v1/agents/stats'),
        labs.get('/api/v1/agents', { limit: PAGE }),
        labs.get('/api/v1/sessions', query),
      ]);
      // Another page or state was asked for meanwhile.
      if (asked !== this.asked) return;
      this.#draw(stats, agents, sessions);
      write(this.note, this.session.is('operator') ? '' : 'Your own desktops. Those of others are seen by admins.');
    } catch (refusal) {
      if (refusal.status === 401) return this.session.expired();
      write(this.note, `Labs cannot be read: ${refusal.message}`);
    }
  }

  #draw(stats, agents, sessions) {
    const { online_agents, total_agents, total_capacity, utilization } = stats;
    this.tiles.agents.set(
      `${number(online_agents)}`,
      `of ${number(total_agents)}`,
      stats.draining_agents > 0 ? `${number(stats.draining_agents)} draining` : '',
    );
    this.tiles.sessions.set(number(total_capacity.current_sessions), 'with a place', `${number(utilization.percentage)} % of all places`);
    this.tiles.places.set(number(utilization.sessions_available), 'places');
    this.agents.set(agents.agents);
    this.rows = sessions.sessions;
    this.#list();
    const { page, total, total_pages } = sessions.pagination;
    for (const button of [this.back, this.forth]) show(button, total > PAGE);
    this.back.disabled = page <= 1;
    this.forth.disabled = page >= total_pages;
    write(this.pages, total > PAGE ? `Hundred ${number(page)} of ${number(total_pages)}; ${number(total)} desktops in all.` : '');
    this.levels();
  }

  levels() {
    const watched = this.figures.level('homeroom_labs_watched');
    this.tiles.watched.set(number(watched ?? NaN), 'desktops');
    const counts = this.figures.by('homeroom_labs_sessions', 'state');
    const told = Object.entries(COUNTED).map(([name, [kind, words]]) => [
      kind,
      `${number(counts.get(name) ?? 0)} ${words}`,
      counts.get(name),
    ]);
    const shown = told.filter(([, , count]) => count > 0);
    const text = shown.map(([, words]) => words).join();
    if (this.counted === text) return;
    this.counted = text;
    this.counts.replaceChildren(...shown.map(([kind, words]) => h('li', {}, state(kind, words))));
  }
}
