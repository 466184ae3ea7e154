// Tasks and chat: what agents are doing, and which of their calls wait for a person, who decides here.

import { meter } from './charts.js';
import { tasks as connect } from './homeroom.js';
import { Table, announce, calmly, clock, duration, h, number, panel, state, tile, write } from './parts.js';

const LOOK_MILLIS = 4_000;
const TASKS = 100;
const KINDS = { pending: 'wait', in_progress: 'run', verifying: 'run', completed: 'good', failed: 'bad' };
const PARTS = { api_status: 'API', database_status: 'Records', vector_db_status: 'Search', model_service_status: 'Models' };

export class Work {
  static title = 'Tasks and chat';

  constructor(session, figures) {
    Object.assign(this, { session, figures, tasks: new Map(), cards: new Map(), decided: new Set() });
    this.redraw = calmly(() => this.#draw());
    this.levels = this.levels.bind(this);
  }

  mount(root) {
    this.note = h('p', { class: 'note', role: 'status' });
    root.append(this.note);
    if (!this.session.has('chat'))
      return write(this.note, 'Tasks and chat have the accounts of labs: sign in with the name and password of one.');
    this.tiles = {
      waiting: tile('Wait for approval'),
      running: tile('Tasks that run'),
      pending: tile('Tasks that wait'),
      answers: tile('Answers under way'),
    };
    this.approvals = h('ul', { class: 'cards' });
    this.list = new Table({
      caption: 'Tasks',
      id: ({ id }) => id,
      columns: this.#columns(),
      filter: true,
      empty: 'There is no task.',
      sort: { key: 'created', down: true },
    });
    this.talks = new Table({
      caption: 'Your sessions with agents',
      id: ({ id }) => id,
      columns: this.#talkColumns(),
      empty: 'You have no session.',
      sort: { key: 'created', down: true },
    });
    this.health = h('ul', { class: 'states' });
    root.append(
      h(
        'div',
        { class: 'tiles' },
        Object.values(this.tiles).map(({ element }) => element),
      ),
    );
    const whose = this.session.is('operator')
      ? 'Calls of tools that agents may not make by themselves, in any session.'
      : 'Calls of tools that agents may not make by themselves, in your sessions.';
    const parts = [
      panel('Waiting for approval', { wide: true, note: whose }, this.approvals),
      panel('Tasks', { wide: true }, this.list.element),
      panel('Parts', {}, this.health),
      panel('Sessions', { note: 'Your own; sessions of others have no list.' }, this.talks.element),
    ];
    root.append(h('div', { class: 'grid' }, parts));
    this.line = connect(this.session.places.chat, () => this.session.token('chat'));
    this.line.addEventListener('message', ({ detail }) => this.#hear(detail));
    this.line.addEventListener('state', ({ detail }) => this.#stands(detail));
    this.line.watch({ channel: 'tasks' });
    this.line.watch({ channel: 'system_status' });
    this.line.start();
    this.timer = setInterval(() => document.hidden || this.#look(), LOOK_MILLIS);
    this.figures.addEventListener('change', this.levels);
    this.levels();
    this.#look();
  }

  unmount() {
    clearInterval(this.timer);
    this.line?.stop();
    this.figures.removeEventListener('change', this.levels);
  }

  #columns() {
    const progress = (row) => {
      const bar = meter('Progress');
      bar.set(row.progress, 1, `${number(Math.round(row.progress * 100))} % done`);
      return [bar.element, h('span', { class: 'beside' }, `${number(Math.round(row.progress * 100))} %`)];
    };
    const is_open = ({ status }) => status !== 'completed' && status !== 'failed';
    const cancel = (row) =>
      is_open(row)
        ? h(
            'button',
            { type: 'button', onclick: () => this.#cancel(row) },
            'Cancel',
            h('span', { class: 'unseen' }, ` the task ${row.title ?? row.id}`),
          )
        : '–';
    return [
      { key: 'title', label: 'Task', value: ({ title, id }) => title ?? id },
      {
        key: 'status',
        label: 'State',
        value: ({ status }) => status,
        cell: ({ status }) => state(KINDS[status] ?? 'warn', status.replaceAll('_', ' ')),
      },
      {
        key: 'progress',
        label: 'Progress',
        value: ({ progress }) => progress,
        cell: progress,
        mark: ({ progress }) => progress.toFixed(2),
        is_number: true,
      },
      { key: 'agent', label: 'Agent', value: ({ agent_id }) => agent_id ?? 'people', is_spare: true },
      { key: 'priority', label: 'Priority', value: ({ priority }) => priority ?? '', is_spare: true },
      {
        key: 'created',
        label: 'Asked',
        value: ({ created_at }) => created_at ?? '',
        text: ({ created_at }) => (created_at ? clock(created_at) : '–'),
        is_spare: true,
      },
      { key: 'cancel', label: 'Cancel', sort: false, value: () => '', mark: is_open, cell: cancel },
    ];
  }

  #talkColumns() {
    return [
      { key: 'title', label: 'Session', value: ({ title }) => title },
      {
        key: 'status',
        label: 'State',
        value: ({ status }) => status,
        cell: ({ status }) => state(status === 'active' ? 'run' : 'none', status),
      },
      { key: 'created', label: 'Begun', value: ({ created_at }) => created_at, text: ({ created_at }) => clock(created_at) },
    ];
  }

  #stands({ state, millis, why }) {
    const words = {
      connecting: 'Connecting …',
      ready: 'Live.',
      waiting: `The connection was lost; trying again in ${duration((millis ?? 0) / 1_000)}.`,
      over: why === 'stopped' ? '' : `Not connected: ${why}`,
    };
    write(this.note, words[state]);
    if (state === 'ready') this.#load();
  }

  async #load() {
    try {
      const rows = await this.session.rest.chat.get('/api/v1/tasks', { limit: TASKS });
      for (const row of rows) this.tasks.set(row.id, row);
    } catch (refusal) {
      write(this.note, `The tasks cannot be read: ${refusal.message}`);
    }
    this.#draw();
  }

  #hear({ type, data }) {
    if (type === 'system_status_update') return this.#parts(data);
    if (!['task_update', 'task_completion', 'task_error'].includes(type)) return;
    const known = this.tasks.get(data.task_id);
    if (!known) this.#ask(data.task_id);
    const { task_id, ...news } = data;
    this.tasks.set(task_id, { id: task_id, progress: 0, created_at: news.updated_at, ...known, ...news });
    this.redraw();
  }

  /** What a task is that was only heard of. */
  async #ask(id) {
    try {
      const row = await this.session.rest.chat.get(`/api/v1/tasks/${encodeURIComponent(id)}`);
      this.tasks.set(id, { ...row, ...this.tasks.get(id), title: row.title, created_at: row.created_at });
      this.redraw();
    } catch {
      // It is shown by its id.
    }
  }

  async #cancel({ id }) {
    try {
      await this.session.rest.chat.post(`/api/v1/tasks/${encodeURIComponent(id)}/cancel`);
      announce('The task is cancelled.');
    } catch (refusal) {
      write(this.note, `It could not be cancelled: ${refusal.message}`);
    }
  }

  #parts(status) {
    const kind = { operational: 'good', degraded: 'warn', down: 'bad' };
    this.health.replaceChildren(
      ...Object.entries(PARTS).map(([key, name]) => h('li', {}, h('span', {}, name), state(kind[status[key]] ?? 'warn', status[key]))),
    );
  }

  #draw() {
    const open = [...this.tasks.values()].sort((a, b) => ((a.created_at ?? '') < (b.created_at ?? '') ? 1 : -1));
    for (const { id } of open.slice(10 * TASKS)) this.tasks.delete(id);
    this.list.set([...this.tasks.values()]);
  }

  levels() {
    const level = (name) => number(this.figures.level(name) ?? NaN);
    this.tiles.running.set(level('homeroom_tasks_running'), 'on this node');
    this.tiles.pending.set(level('homeroom_tasks_waiting'), 'on this node');
    this.tiles.answers.set(level('homeroom_chat_answers'), 'on this node');
  }

  async #look() {
    const chat = this.session.rest.chat;
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      const { data } = await chat.get('/api/v1/sessions/', { page_size: 50 });
      this.talks.set(data);
      this.#cards(this.session.is('operator') ? await this.#all() : await this.#own(data));
    } catch (refusal) {
      if (refusal.status === 401) return this.session.expired();
      write(this.note, `What waits cannot be read: ${refusal.message}`);
    } finally {
      this.isLooking = false;
    }
  }

  /** Those of any session: which there are, from the internal listener; what would be called, by the token of an admin. */
  async #all() {
    const { data } = await this.session.internal.get('/api/v1/approvals');
    const unknown = new Set(data.filter(({ id }) => !this.cards.has(id)).map(({ session_id }) => session_id));
    const told = new Map();
    for (const session of unknown) for (const approval of await this.#of(session)) told.set(approval.id, approval);
    return data.map((waiting) => ({ ...waiting, ...told.get(waiting.id) }));
  }

  async #own(sessions) {
    const found = [];
    for (const { id, status } of sessions) {
      if (status !== 'active') continue;
      found.push(...(await this.#of(id)).map((approval) => ({ ...approval, session_id: id, user: this.session.name })));
    }
    return found;
  }

  async #of(session) {
    try {
      return (await this.session.rest.chat.get(`/api/v1/sessions/${session}/approvals`)).data;
    } catch (refusal) {
      if (refusal.status === 404) return [];
      throw refusal;
    }
  }

  #cards(listed) {
    // A list that was on its way while something was decided still has it.
    const waiting = listed.filter(({ id }) => !this.decided.has(id));
    const ids = new Set(waiting.map(({ id }) => id));
    for (const id of [...this.cards.keys()]) if (!ids.has(id)) this.#drop(id);
    const fresh = waiting.filter(({ id }) => !this.cards.has(id));
    for (const approval of fresh) {
      const card = this.#card(approval);
      this.cards.set(approval.id, card);
      this.approvals.append(card.element);
    }
    if (fresh.length > 0) announce(`${number(waiting.length)} calls wait for approval.`);
    this.tiles.waiting.set(number(waiting.length), waiting.length === 1 ? 'call' : 'calls');
    for (const { left, expires } of this.cards.values())
      write(left, `expires in ${duration(Math.max(0, Math.floor((expires - Date.now()) / 1_000)))}`);
    this.approvals.classList.toggle('empty', waiting.length === 0);
  }

  #card(approval) {
    const { id, session_id, tool_name, user, created_at, expires_at } = approval;
    const left = h('span', {});
    const fault = h('p', { class: 'fault', role: 'alert' });
    const reason = h('input', { autocomplete: 'off', maxlength: 2_000, placeholder: 'why, if you like' });
    const said = h('label', { class: 'field' }, 'Reason ', reason);
    const buttons = [];
    const decide = (way, body) => async () => {
      buttons.forEach((button) => (button.disabled = true));
      const card = this.cards.get(id);
      if (card) card.isBusy = true;
      try {
        await this.session.rest.chat.post(`/api/v1/sessions/${session_id}/approvals/${id}/${way}`, body());
        announce(way === 'approve' ? `${tool_name} is approved.` : `${tool_name} is rejected.`);
        this.#decided(id);
      } catch (refusal) {
        write(fault, refusal.message);
        buttons.forEach((button) => (button.disabled = false));
        if (card) card.isBusy = false;
      }
    };
    const words = () => reason.value.trim() || undefined;
    buttons.push(
      h(
        'button',
        { type: 'button', class: 'primary', onclick: decide('approve', () => ({ comment: words() })) },
        'Approve',
        h('span', { class: 'unseen' }, ` ${tool_name} for ${user}`),
      ),
    );
    buttons.push(
      h(
        'button',
        { type: 'button', onclick: decide('reject', () => ({ reason: words() })) },
        'Reject',
        h('span', { class: 'unseen' }, ` ${tool_name} for ${user}`),
      ),
    );
    const head = h('h3', {}, tool_name, h('span', { class: 'of' }, user ? ` for ${user}` : ''));
    const about = h('p', { class: 'note' }, `asked at ${clock(created_at)}, `, left);
    const call =
      approval.arguments && h('pre', { tabindex: '0', 'aria-label': 'What would be called' }, JSON.stringify(approval.arguments, null, 2));
    const element = h('li', { class: 'card' }, head, about, call, fault, h('div', { class: 'bar' }, buttons, said));
    return { element, left, expires: Date.parse(expires_at) };
  }

  /** Decided here: it goes, and does not come back. */
  #decided(id) {
    this.decided.add(id);
    this.#drop(id);
    this.tiles.waiting.set(number(this.cards.size), this.cards.size === 1 ? 'call' : 'calls');
    this.approvals.classList.toggle('empty', this.cards.size === 0);
  }

  /** Gone from here; whoever was on it by keyboard goes on with the next one. */
  #drop(id) {
    const card = this.cards.get(id);
    if (!card) return;
    const { element, isBusy } = card;
    const next = element.nextElementSibling ?? element.previousElementSibling;
    const was_there = element.contains(document.activeElement) || (isBusy && document.activeElement === document.body);
    element.remove();
    this.cards.delete(id);
    if (was_there) (next?.querySelector('button') ?? document.querySelector('#view h1'))?.focus();
  }
}
