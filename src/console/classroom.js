// A classroom: who is here, who comes and goes, and who was here when. The console is a member of the room itself, under its own label, so
// that everybody in it may know that somebody watches.

import { History, spark } from './charts.js';
import { presence } from './homeroom.js';
import { Table, announce, calmly, choice, clock, duration, h, moment, number, panel, show, tile, write } from './parts.js';

const PAGE = 1_000;
const ROOMS_MILLIS = 5_000;
const SECOND = 1_000;
// Comings and goings that are shown.
const NEWS = 60;
const LABEL = 'console';
const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;

/** Who is in a room, by what is told of it: the list as it was asked for, and the events meanwhile. */
export class Roll {
  constructor() {
    this.here = new Map();
    this.gone = new Set();
  }

  /** Somebody came. */
  enter({ agent_id, sequence_id }, since) {
    if (this.gone.has(sequence_id)) return false;
    const is_new = !this.here.has(agent_id);
    this.here.set(agent_id, { agent_id, sequence_id, since: is_new ? since : this.here.get(agent_id).since });
    return is_new;
  }

  /** Somebody went. Of one whose coming was not heard of that is remembered, in case the list that is on its way still has him. */
  leave({ agent_id, sequence_id }) {
    this.gone.add(sequence_id);
    if (this.here.get(agent_id)?.sequence_id !== sequence_id) return false;
    return this.here.delete(agent_id);
  }

  /** Begins a list; what is heard from now on counts more. */
  begin() {
    this.gone.clear();
    this.heard = new Set(this.here.keys());
  }

  /** The whole list has come: who is neither in it nor came since has gone. */
  end(list, came) {
    const named = new Set(list.map(({ agent_id }) => agent_id));
    for (const id of this.heard) if (!named.has(id) && !came.has(id)) this.here.delete(id);
    for (const member of list) this.enter(member, undefined);
    this.gone.clear();
  }
}

/** What all these ids end with, from a dot on: the audience, said once instead of a thousand times. */
export function ending(ids) {
  let [shared] = ids;
  if (shared === undefined || ids.length < 2) return '';
  for (const id of ids) while (!id.endsWith(shared)) shared = shared.slice(1);
  const dot = shared.indexOf('.');
  return dot < 0 ? '' : shared.slice(dot);
}

export class Classroom {
  static title = 'Classroom';

  constructor(session) {
    this.session = session;
    this.redraw = calmly(() => this.draw());
  }

  mount(root) {
    this.choice = choice('Rooms with people', (id) => id && this.watch(id));
    this.field = h('input', { id: 'room', name: 'room', autocomplete: 'off', spellcheck: 'false', placeholder: 'uuid', size: 36 });
    this.fault = h('p', { class: 'fault', role: 'alert' });
    const form = h(
      'form',
      { class: 'bar', onsubmit: (event) => this.#asked(event) },
      this.choice.element,
      h('label', { class: 'field' }, 'or its id ', this.field),
      h('button', { type: 'submit' }, 'Watch'),
    );
    this.line_state = h('p', { class: 'note', role: 'status' });
    this.board = h('div', { hidden: true });
    root.append(form, this.fault, this.line_state, this.board);
    this.#build();
    this.timers = [setInterval(() => document.hidden || this.#rooms(), ROOMS_MILLIS), setInterval(() => this.#second(), SECOND)];
    this.#rooms();
    this.address();
  }

  /** Watches the room that the address names. */
  address() {
    const asked = location.hash.split('/')[1];
    if (asked && UUID.test(asked)) this.watch(asked);
  }

  unmount() {
    this.timers.forEach(clearInterval);
    this.line?.stop();
  }

  #build() {
    const drawn = (label, about = label) => {
      const line = spark(about);
      return { ...tile(label, line.element), line };
    };
    this.count = drawn('Here now', 'People here');
    this.flow = { in: drawn('Came in the last minute'), out: drawn('Went in the last minute') };
    this.day = tile('Were here today');
    this.news = h('ol', { class: 'news' });
    this.people = new Table({
      caption: 'Who is here',
      id: ({ agent_id }) => agent_id,
      filter: true,
      size: 250,
      empty: 'Nobody is here.',
      columns: [
        { key: 'name', label: 'Who', value: ({ name }) => name },
        {
          key: 'since',
          label: 'Since',
          value: ({ since }) => since ?? 0,
          text: ({ since }) => (since ? clock(since) : 'before this page'),
        },
      ],
    });
    this.attendance = new Table({
      caption: 'Attendance today',
      id: ({ name }) => name,
      filter: true,
      empty: 'Nobody was here.',
      head: h('button', { type: 'button', onclick: () => this.#attended() }, 'Read again'),
      columns: [
        { key: 'name', label: 'Who', value: ({ name }) => name },
        { key: 'first', label: 'First came', value: ({ first }) => first, text: ({ first }) => clock(first) },
        {
          key: 'last',
          label: 'Last left',
          value: ({ last }) => last ?? Infinity,
          text: ({ last }) => (last ? clock(last) : 'is here'),
        },
        { key: 'times', label: 'Times', value: ({ times }) => times, is_number: true },
        {
          key: 'seconds',
          label: 'Was here for',
          value: ({ seconds }) => Math.floor(seconds),
          text: ({ seconds }) => duration(Math.floor(seconds)),
          is_number: true,
        },
      ],
    });
    this.download = h('a', { class: 'button', download: 'attendance.csv' }, 'Save as CSV');
    this.attendance_note = h('p', { class: 'note', role: 'status' });
    const tiles = [this.count, this.flow.in, this.flow.out, this.day].map(({ element }) => element);
    this.people_note = h('p', { class: 'note' });
    const seats = panel('Who is here', {}, this.people_note, this.people.element);
    const flow = panel('Coming and going', {}, this.news);
    const days = panel('Attendance', { wide: true, tools: this.download }, this.attendance_note, this.attendance.element);
    this.board.append(h('div', { class: 'tiles' }, tiles), h('div', { class: 'grid' }, seats, flow, days));
  }

  #asked(event) {
    event.preventDefault();
    const id = this.field.value.trim().toLowerCase();
    const is_id = UUID.test(id);
    write(this.fault, is_id ? '' : 'The id of a classroom is a UUID, such as 6f1a2b3c-0000-4000-8000-0123456789ab.');
    if (is_id) this.watch(id);
    else this.field.focus();
  }

  async #rooms() {
    try {
      const rooms = await this.session.internal.get('/api/v1/classrooms', { limit: 200 });
      // This page is a member itself where it watches.
      const others = ({ classroom_id, members }) => members - (classroom_id === this.room && this.line?.state === 'ready' ? 1 : 0);
      const people = (count) => (count === 1 ? '1 person' : `${number(count)} people`);
      const named = rooms.map((room) => [room.classroom_id, `${room.classroom_id} – ${people(others(room))}`]);
      this.choice.set([['', rooms.length === 0 ? 'nobody is in any room' : 'choose one'], ...named]);
      this.choice.select.value = named.some(([id]) => id === this.room) ? this.room : '';
    } catch {
      // It is asked for again soon.
    }
  }

  /** Watches a room from now on. */
  watch(room) {
    if (this.room === room) return;
    this.line?.stop();
    Object.assign(this, {
      room,
      roll: new Roll(),
      past: new History(),
      flows: { in: new History(), out: new History() },
      told: [],
      moves: [],
    });
    this.field.value = room;
    this.choice.select.value = room;
    history.replaceState(null, '', `#classroom/${room}`);
    show(this.board, true);
    this.news.replaceChildren();
    const attendance = `${this.session.places.internal}/api/v1/classrooms/${room}/attendance`;
    this.download.href = `${attendance}?format=csv&from=${Math.floor(midnight() / 1_000)}`;
    this.#attended();
    this.#join();
    this.draw();
  }

  #join() {
    if (!this.session.has('presence')) {
      write(this.line_state, 'Tokens of classrooms are not made here, so what is shown is read from the attendance every five seconds.');
      this.timers.push(setInterval(() => document.hidden || this.#attended(), ROOMS_MILLIS));
      return;
    }
    const own = { classroom: this.room, label: LABEL };
    const line = presence(this.session.places.presence, () => this.session.token('presence'), own);
    this.line = line;
    line.addEventListener('message', ({ detail }) => line === this.line && this.#hear(detail));
    line.addEventListener('state', ({ detail }) => line === this.line && this.#stands(detail));
    line.start();
  }

  #stands({ state, millis, why }) {
    const words = {
      connecting: 'Connecting …',
      ready: 'Live. You are in this room as “console”, and others can see that.',
      waiting: `The connection was lost; trying again in ${duration((millis ?? 0) / 1_000)}.`,
      over: why === 'stopped' ? '' : `Not connected: ${String(why).replaceAll('_', ' ')}.`,
    };
    write(this.line_state, words[state]);
    if (state === 'ready') this.#list();
  }

  /** Asks who is here; what is heard meanwhile counts more. */
  async #list() {
    const { room, roll } = this;
    roll.begin();
    this.came = new Set();
    const list = [];
    try {
      for (;;) {
        const after = list.at(-1)?.sequence_id ?? 0;
        const part = await this.session.rest.presence.get(`/api/v1/classrooms/${room}/agents`, { sequence_id: after, limit: PAGE });
        list.push(...part);
        if (part.length < PAGE || room !== this.room) break;
      }
    } catch (refusal) {
      return write(this.line_state, `Who is here cannot be read: ${refusal.message}`);
    }
    if (room !== this.room) return;
    roll.end(
      list.filter(({ agent_id }) => !this.#isOwn(agent_id)),
      this.came,
    );
    this.draw();
    this.#attended();
  }

  #isOwn(agent_id) {
    return agent_id.startsWith(`${LABEL}.${this.session.name}.`);
  }

  #hear({ id, payload }) {
    if (id?.entity_type !== 'agent') return;
    const { operation, sequence_id } = id;
    if (operation === 'entered') this.#enter([{ agent_id: payload.agent_id, sequence_id }]);
    if (operation === 'left') this.#leave([{ agent_id: payload.agent_id, sequence_id }]);
    if (operation === 'changed') {
      this.#leave(payload.left);
      this.#enter(payload.entered);
    }
    this.redraw();
  }

  #enter(members) {
    const now = Date.now();
    for (const member of members.filter(({ agent_id }) => !this.#isOwn(agent_id))) {
      this.came?.add(member.agent_id);
      if (this.roll.enter(member, now)) this.#tell('in', member.agent_id, now);
    }
  }

  #leave(members) {
    const now = Date.now();
    for (const member of members.filter(({ agent_id }) => !this.#isOwn(agent_id))) {
      if (this.roll.leave(member)) this.#tell('out', member.agent_id, now);
    }
  }

  #tell(way, who, at) {
    this.moves.push({ way, at });
    this.told.unshift({ way, who, at });
    this.told.length = Math.min(this.told.length, NEWS);
  }

  #second() {
    if (!this.room) return;
    const since = Date.now() - 60_000;
    this.moves = this.moves.filter(({ at }) => at >= since);
    this.past.add(this.roll.here.size);
    for (const way of ['in', 'out']) this.flows[way].add(this.#moved(way));
    this.draw();
    const words = `${number(this.roll.here.size)} people are here.`;
    // Once in a while is enough for those who listen.
    if (this.spoken !== words && !(Date.now() - this.spoken_at < 10_000)) {
      this.spoken = words;
      this.spoken_at = Date.now();
      announce(words);
    }
  }

  /** How many came or went within the last minute. */
  #moved(wanted) {
    return this.moves.filter(({ way }) => way === wanted).length;
  }

  draw() {
    const people = [...this.roll.here.values()];
    const shared = ending(people.map(({ agent_id }) => agent_id));
    const name = (id) => (shared && id.endsWith(shared) ? id.slice(0, -shared.length) || id : id);
    this.count.set(number(people.length), people.length === 1 ? 'person' : 'people');
    this.count.line.draw(this.past);
    for (const way of ['in', 'out']) {
      const count = this.#moved(way);
      this.flow[way].set(number(count), count === 1 ? 'time' : 'times');
      this.flow[way].line.draw(this.flows[way]);
    }
    write(this.people_note, shared ? `All names end with ${shared}` : '');
    this.people.set(people.map((member) => ({ ...member, name: name(member.agent_id) })));
    this.#drawNews(name);
  }

  #drawNews(name) {
    const lines = this.told.map(({ way, who, at }) => `${clock(at)}\u0000${way}\u0000${name(who)}`);
    if (lines.length === 0)
      return this.news.replaceChildren(h('li', { class: 'empty' }, 'Nobody has come or gone since this page watches.'));
    const text = lines.join('\n');
    if (this.news_text === text) return;
    this.news_text = text;
    const words = { in: 'came', out: 'went' };
    this.news.replaceChildren(
      ...lines.map((line) => {
        const [at, way, who] = line.split('\u0000');
        return h(
          'li',
          { class: way },
          h('time', {}, at),
          h('span', { class: 'way' }, way === 'in' ? '→' : '←', ` ${words[way]}`),
          h('span', { class: 'who' }, who),
        );
      }),
    );
  }

  async #attended() {
    const { room } = this;
    const from = midnight();
    try {
      const query = { from: Math.floor(from / 1_000), format: 'json' };
      const rows = await this.session.internal.get(`/api/v1/classrooms/${room}/attendance`, query);
      if (room !== this.room) return;
      const own = rows.filter(({ agent_id }) => !this.#isOwn(agent_id));
      const people = summed(own, from);
      const shared = ending(people.map(({ name }) => name));
      this.attendance.set(people.map((one) => ({ ...one, name: shared ? one.name.slice(0, -shared.length) : one.name })));
      this.day.set(number(people.length), people.length === 1 ? 'person' : 'people');
      write(this.attendance_note, `Since ${moment(from)}, read at ${clock(Date.now())}.`);
      for (const { agent_id, entered_at, left_at } of own) {
        const one = left_at === null && this.roll.here.get(agent_id);
        if (one) one.since ??= Date.parse(entered_at);
      }
      if (!this.session.has('presence')) this.#present(own);
    } catch (refusal) {
      write(this.attendance_note, `The attendance cannot be read: ${refusal.message}`);
    }
  }

  /** Who is here, as the attendance has it. */
  #present(rows) {
    const here = rows.filter(({ left_at }) => left_at === null);
    const known = new Set(here.map(({ agent_id }) => agent_id));
    this.#leave([...this.roll.here.values()].filter(({ agent_id }) => !known.has(agent_id)));
    this.roll.gone.clear();
    for (const { agent_id, entered_at } of here) this.roll.enter({ agent_id, sequence_id: entered_at }, Date.parse(entered_at));
    this.redraw();
  }
}

/** Each one's times as one row; times before `from` do not count. */
export function summed(rows, from, now = Date.now()) {
  const people = new Map();
  for (const { agent_id, entered_at, left_at } of rows) {
    const [entered, left] = [Date.parse(entered_at), left_at === null ? undefined : Date.parse(left_at)];
    const one = people.get(agent_id) ?? { name: agent_id, first: entered, last: 0, times: 0, seconds: 0 };
    one.first = Math.min(one.first, entered);
    one.last = left === undefined || one.last === undefined ? undefined : Math.max(one.last, left);
    one.times += 1;
    one.seconds += Math.max(0, (left ?? now) - Math.max(entered, from)) / 1_000;
    people.set(agent_id, one);
  }
  return [...people.values()];
}

function midnight() {
  return new Date().setHours(0, 0, 0, 0);
}
