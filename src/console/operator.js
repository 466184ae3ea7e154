// The operator's view: is all well, where is the load, who is cut off and why, which nodes and keys are there, how far is the drain.

import { meter, spark } from './charts.js';
import { standing, worries } from './figures.js';
import { Table, bytes, clock, duration, h, moment, number, panel, show, state, tile, write } from './parts.js';

// What close codes mean to whoever looks (RFC 6455, and how this server uses them).
const CODES = {
  1000: 'said all there was',
  1001: 'this end goes away',
  1002: 'the peer broke the protocol',
  1003: 'a kind of message that is not taken',
  1007: 'a text that is none',
  1008: 'refused, timed out or no answer to Pings',
  1009: 'too large a message',
  1011: 'a fault of the server',
  1012: 'the server restarts',
  1013: 'the client reads too slowly',
  peer: 'the client said goodbye',
  gone: 'the connection ended without a word',
  other: 'another code',
};
const PRESENCE = {
  success: 'signed in',
  replaced: 'signed in again elsewhere',
  pong_timed_out: 'no answer to a Ping',
  auth_timed_out: 'did not say who they are in time',
  unauthenticated: 'a token that is no good',
  access_denied: 'no permission for the classroom',
  serialization_failed: 'a first message that cannot be read',
  unsupported_request: 'a first message that is no text',
  database_connection_acquisition_failed: 'the store was busy',
  database_query_failed: 'the store failed',
};

// So many connections a shard are no sign of how even the load is.
const FEW = 10;

export class Operator {
  static title = 'School';

  constructor(session, figures) {
    this.figures = figures;
    this.draw = this.draw.bind(this);
  }

  mount(root) {
    this.verdict = h('div', { class: 'verdict', role: 'status' });
    this.tiles = {
      connections: this.#tile('Connections', 'connections'),
      present: this.#tile('In classrooms', 'present'),
      messages: this.#tile('Messages read', 'messages'),
      delivered: this.#tile('Deliveries', 'delivered'),
      latency: this.#tile('Delivery latency', 'latency'),
      slow: this.#tile('Slow readers', 'slow'),
      store: this.#tile('Last batch of the store', 'store'),
      roundTrip: this.#tile('Answer to this page', 'roundTrip'),
    };
    this.drain = this.#drain();
    root.append(
      this.verdict,
      this.drain.element,
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
        this.#shards(),
        h('div', { class: 'stack' }, this.#endings(), this.#certificates(), this.#nodes(), this.#rest()),
        h('div', { class: 'stack' }, this.#signIns(), this.#keys(), this.#keySets()),
      ),
    );
    this.figures.addEventListener('change', this.draw);
    this.draw();
  }

  unmount() {
    this.figures.removeEventListener('change', this.draw);
  }

  #tile(label, history) {
    const line = spark(label);
    return { ...tile(label, line.element), line, history };
  }

  #drain() {
    const bar = (label) => h('progress', { max: 1, 'aria-label': label });
    const [time, gone] = [bar('Time of the drain that is over'), bar('Connections that have gone')];
    const words = h('p');
    const line = (label, bar) => h('p', { class: 'part' }, h('span', { 'aria-hidden': 'true' }, label), bar);
    const element = h('section', { class: 'drain', 'aria-label': 'Drain', hidden: true }, words, line('Time', time), line('Gone', gone));
    return { element, time, gone, words, most: 0 };
  }

  #shards() {
    const share = (row) => {
      const bar = meter(`Share of shard ${row.shard}`);
      bar.set(row.connections, row.most, `${number(row.share * 100)} % of all connections`);
      return [bar.element, h('span', { class: 'beside' }, `${number(row.share * 100)} %`)];
    };
    this.shards = new Table({
      caption: 'Shards of this node, their load and balance',
      id: ({ shard }) => shard,
      columns: [
        { key: 'shard', label: 'Shard', value: ({ shard }) => Number(shard) },
        { key: 'connections', label: 'Connections', value: ({ connections }) => connections, is_number: true },
        { key: 'share', label: 'Share', value: ({ share }) => share, cell: share, mark: ({ share }) => share.toFixed(3) },
        { key: 'messages', label: 'Messages / s', value: ({ messages }) => messages, is_number: true },
        { key: 'delivered', label: 'Deliveries / s', value: ({ delivered }) => delivered, is_number: true },
        { key: 'turns', label: 'Busy turns / s', value: ({ turns }) => turns, is_number: true, is_spare: true },
        { key: 'rooms', label: 'Rooms', value: ({ rooms }) => rooms, is_number: true, is_spare: true },
        { key: 'slow', label: 'Slow readers', value: ({ slow }) => slow, is_number: true },
      ],
    });
    this.balance = h('p', { class: 'note' });
    return panel('Shards', { wide: true }, this.balance, this.shards.element);
  }

  #counts(what, words) {
    return new Table({
      caption: what,
      id: ({ code }) => code,
      sort: { key: 'count', down: true },
      empty: 'None since the start.',
      columns: [
        { key: 'code', label: 'Code', value: ({ code }) => code },
        { key: 'meaning', label: 'Meaning', value: ({ code }) => words[code] ?? code.replaceAll('_', ' ') },
        { key: 'lately', label: 'Last minute', value: ({ lately }) => lately, is_number: true },
        { key: 'count', label: 'In all', value: ({ count }) => count, is_number: true },
      ],
    });
  }

  #endings() {
    this.endings = this.#counts('How WebSockets ended, by close code', CODES);
    return panel('Disconnects', { note: 'How WebSockets ended, by close code.' }, this.endings.element);
  }

  #signIns() {
    this.signIns = this.#counts('What sign-ins to classrooms came to', PRESENCE);
    return panel('Sign-ins to classrooms', { note: 'What came of each, or ended it.' }, this.signIns.element);
  }

  #nodes() {
    this.nodes = new Table({
      caption: 'Nodes that share the records',
      id: ({ name }) => name,
      empty: 'The records cannot be read now.',
      columns: [
        { key: 'name', label: 'Node', value: ({ name, is_self }) => (is_self ? `${name} (this one)` : name) },
        {
          key: 'state',
          label: 'State',
          value: ({ is_alive }) => (is_alive ? 'alive' : 'silent'),
          cell: ({ is_alive }) => (is_alive ? state('good', 'alive') : state('bad', 'silent')),
        },
        { key: 'version', label: 'Version', value: ({ version }) => version },
        { key: 'slot', label: 'Slot', value: ({ slot }) => slot, is_number: true, is_spare: true },
      ],
    });
    this.cluster = h('p', { class: 'note' });
    return panel('Nodes', {}, this.cluster, this.nodes.element);
  }

  #certificates() {
    this.certificates = new Table({
      caption: 'Certificates that listeners show',
      id: ({ listener }) => listener,
      empty: 'No listener speaks TLS: keep them on loopback, or behind what does.',
      columns: [
        { key: 'listener', label: 'Listener', value: ({ listener }) => listener },
        { key: 'subject', label: 'Whose', value: ({ subject }) => subject || '–', is_spare: true },
        {
          key: 'age',
          label: 'Age',
          value: ({ not_before }) => Math.floor((Date.now() - Date.parse(not_before)) / 60_000),
          text: ({ not_before }) => duration(Math.max(0, Math.floor((Date.now() - Date.parse(not_before)) / 1_000))),
          is_number: true,
        },
        {
          key: 'until',
          label: 'Good until',
          value: ({ not_after }) => not_after,
          text: ({ not_after }) => moment(not_after).split(' ')[0],
          is_spare: true,
        },
        {
          key: 'stands',
          label: 'Stands',
          value: (row) => standing(row).days,
          mark: (row) => standing(row).short,
          cell: (row) => state(standing(row).kind, standing(row).short),
        },
      ],
    });
    return panel('Certificates', { note: 'What clients are shown by each listener with TLS.' }, this.certificates.element);
  }

  #keys() {
    this.keys = new Table({
      caption: 'Keys and how old they are',
      id: ({ name }) => name,
      columns: [
        { key: 'name', label: 'Key', value: ({ name }) => name },
        {
          key: 'written',
          label: 'Written',
          value: ({ written_at }) => written_at ?? '',
          text: ({ written_at, missing }) => (written_at ? moment(written_at) : missing),
          is_spare: true,
        },
        {
          key: 'age',
          label: 'Age',
          value: ({ age }) => Math.floor(age / 60),
          text: ({ age }) => (Number.isFinite(age) ? duration(Math.floor(age)) : '–'),
          is_number: true,
        },
      ],
    });
    const note = 'A key’s file: when it was written. Published keys: when they were last read.';
    return panel('Keys', { note }, this.keys.element);
  }

  #keySets() {
    const since = (time) => (time ? Math.max(0, Math.floor((Date.now() - Date.parse(time)) / 1_000)) : NaN);
    this.key_sets = new Table({
      caption: 'Sets of keys that issuers publish',
      id: ({ api, issuer }) => `${api} ${issuer}`,
      columns: [
        { key: 'issuer', label: 'Issuer', value: ({ issuer }) => issuer },
        { key: 'api', label: 'For', value: ({ api }) => api, is_spare: true },
        {
          key: 'keys',
          label: 'Keys',
          value: ({ keys }) => keys,
          mark: ({ keys, former }) => `${keys}+${former}`,
          text: ({ keys, former }) => (former > 0 ? `${number(keys)} and ${number(former)} former` : number(keys)),
          is_number: true,
        },
        {
          key: 'age',
          label: 'Age',
          value: ({ changed_at }) => since(changed_at),
          text: ({ changed_at }) => duration(since(changed_at)),
          is_number: true,
        },
        {
          key: 'stands',
          label: 'Last read',
          value: ({ read_at, fault }) => `${fault ?? ''} ${read_at ?? ''}`,
          cell: ({ read_at, fault }) => state(fault ? 'bad' : 'good', fault ? 'failed' : read_at ? clock(read_at) : 'not yet'),
        },
      ],
    });
    this.key_set_panel = panel(
      'Key sets',
      { note: 'What issuers publish, and how long it is what it is.', hidden: true },
      this.key_sets.element,
    );
    return this.key_set_panel;
  }

  #rest() {
    this.more = h('dl', { class: 'facts' });
    return panel('More of this node', {}, this.more);
  }

  draw() {
    const { figures } = this;
    const all = worries(figures);
    this.verdict.className = `verdict ${all[0]?.kind ?? 'good'}`;
    const words = all.map(({ words }) => words).join('\n') || (figures.now.size > 0 ? 'All is well.' : 'One moment …');
    if (this.said !== words) {
      this.said = words;
      const lines = all.length > 0 ? all.map(({ kind, words }) => h('li', {}, state(kind, words))) : [h('li', {}, state('good', words))];
      this.verdict.replaceChildren(h('ul', {}, lines));
    }
    this.#drawTiles();
    this.#drawShards();
    this.endings.set(counted(figures, 'homeroom_closed_total', 'code'));
    this.signIns.set(counted(figures, 'ws_connection', 'status'));
    this.#drawNode();
  }

  #drawTiles() {
    const { figures, tiles } = this;
    const set = (name, value, unit, about) => {
      tiles[name].set(number(value), unit, about);
      tiles[name].line.draw(figures.history(tiles[name].history));
    };
    const rooms = figures.level('homeroom_rooms');
    set(
      'connections',
      figures.level('homeroom_connections'),
      'open',
      `${number(figures.rate('homeroom_accepted_total') ?? 0)} new, ${number(figures.rate('homeroom_closed_total') ?? 0)} ended a second`,
    );
    set(
      'present',
      figures.level('ws_connection_total'),
      'people',
      rooms === undefined ? '' : rooms === 1 ? '1 room' : `${number(rooms)} rooms`,
    );
    set('messages', figures.rate('homeroom_messages_total'), 'a second');
    set('delivered', figures.rate('homeroom_delivered_total'), 'a second');
    const slow = [...figures.lately('homeroom_slow_readers_total', 'shard').values()].reduce((sum, value) => sum + value, 0);
    set('slow', slow, 'cut off', `in the last minute; ${number(figures.level('homeroom_slow_readers_total') ?? 0)} in all`);
    this.#drawLatency();
    set(
      'store',
      (figures.level('homeroom_store_batch_micros') ?? NaN) / 1_000,
      'ms',
      `${number(figures.level('homeroom_store_queued') ?? 0)} records wait`,
    );
    set('roundTrip', (figures.roundTrip ?? NaN) * 1_000, 'ms', 'this browser to the node and back');
  }

  /** Nodes that do not measure it do not tell it. */
  #drawLatency() {
    const { figures, tiles } = this;
    const { latency } = figures;
    show(tiles.latency.element, latency !== undefined);
    if (!latency) return;
    const about = Number.isFinite(latency.p99) ? `99 of 100 within it, half within ${duration(latency.p50)}` : 'none in the last minute';
    tiles.latency.set(number(latency.p99 * 1_000), 'ms', about);
    tiles.latency.line.draw(figures.history('latency'));
  }

  #drawShards() {
    const { figures } = this;
    const level = (name) => figures.by(name, 'shard');
    const rate = (name) => figures.by(name, 'shard', figures.rates);
    const connections = level('homeroom_connections');
    const [messages, delivered, turns] = ['messages', 'delivered', 'busy_turns'].map((name) => rate(`homeroom_${name}_total`));
    const [rooms, slow] = [level('homeroom_rooms'), level('homeroom_slow_readers_total')];
    const counts = [...connections.values()];
    const sum = counts.reduce((sum, count) => sum + count, 0);
    const most = Math.max(...counts, 1);
    const row = ([shard, count]) => ({
      shard,
      connections: count,
      most,
      share: sum > 0 ? count / sum : 0,
      messages: messages.get(shard),
      delivered: delivered.get(shard),
      turns: turns.get(shard),
      rooms: rooms.get(shard),
      slow: slow.get(shard),
    });
    this.shards.set([...connections].map(row));
    const mean = sum / Math.max(counts.length, 1);
    const fullest = `The fullest shard has ${number(Math.max(...counts) / mean)} times as many connections as the mean.`;
    const few = sum === 0 ? 'Nobody is connected.' : 'Too few are connected to speak of balance.';
    write(this.balance, counts.length < 2 ? 'One shard has all there is.' : mean < FEW ? few : fullest);
  }

  #drawNode() {
    const { figures } = this;
    const { node } = figures;
    const facts = [
      ['Bytes of screens', `${bytes(figures.rate('homeroom_labs_tunnel_bytes_total') ?? 0)} a second`],
      ['Answers to quizzes', `${number(figures.rate('homeroom_quiz_answers_total') ?? 0)} a second`],
      ['Answers of agents under way', number(figures.level('homeroom_chat_answers') ?? 0)],
      [
        'Tasks that run, that wait',
        `${number(figures.level('homeroom_tasks_running') ?? 0)}, ${number(figures.level('homeroom_tasks_waiting') ?? 0)}`,
      ],
      ['Protocol errors of peers', number(figures.level('homeroom_protocol_errors_total') ?? 0)],
      ['Connections turned away', number(figures.level('homeroom_refused_total') ?? 0)],
      ['Letters that wait', number(figures.level('homeroom_letters_waiting') ?? 0)],
      ['Batches of the store that failed', number(figures.level('homeroom_store_failures_total') ?? 0)],
    ];
    if (node) {
      facts.unshift(['Version', node.version], ['Serving since', moment(node.started_at)]);
      this.nodes.set(node.nodes ?? []);
      this.certificates.set(node.certificates ?? []);
      const sets = node.key_sets ?? [];
      show(this.key_set_panel, sets.length > 0);
      this.key_sets.set(sets);
      const age = (written) => (Date.now() - Date.parse(written)) / 1_000;
      this.keys.set(aged(node).map((key) => ({ ...key, age: key.written_at ? age(key.written_at) : NaN })));
    }
    const links = figures.level('homeroom_cluster_links');
    write(
      this.cluster,
      links === undefined
        ? 'This node stands alone.'
        : `${number(links)} links to other nodes; ${bytes(figures.level('homeroom_cluster_waiting_bytes'))} wait in them.`,
    );
    const text = facts.flat().join('\n');
    if (this.facts !== text) {
      this.facts = text;
      this.more.replaceChildren(...facts.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
    }
    this.#drawDrain(node?.drain);
  }

  #drawDrain(drain) {
    const { element, time, gone, words } = this.drain;
    show(element, Boolean(drain));
    if (!drain) return;
    const left = Math.max(0, drain.limit_seconds - drain.elapsed_seconds);
    const connections = this.figures.level('homeroom_connections') ?? 0;
    this.drain.most = Math.max(this.drain.most, connections);
    time.value = Math.min(1, drain.elapsed_seconds / Math.max(drain.limit_seconds, 0.001));
    gone.value = 1 - connections / Math.max(this.drain.most, 1);
    const of = this.drain.most > connections ? ` of ${number(this.drain.most)}` : '';
    write(words, `Draining: connections left: ${number(connections)}${of}; they are closed in ${duration(Math.ceil(left))} at the latest.`);
  }
}

function counted(figures, name, label) {
  const lately = figures.lately(name, label);
  return [...figures.by(name, label)].filter(([, count]) => count > 0).map(([code, count]) => ({ code, count, lately: lately.get(code) }));
}

/** The files of keys, and the keys that issuers publish. Of a node of a version before there are none of those. */
function aged({ keys, key_sets }) {
  const sets = (key_sets ?? []).map(({ api, issuer, read_at, fault }) => ({
    name: `${api} keys of ${issuer}${fault ? `: ${fault}` : ''}`,
    written_at: read_at,
    missing: 'not read yet',
  }));
  return [...keys.map((key) => ({ ...key, missing: 'no file' })), ...sets];
}
