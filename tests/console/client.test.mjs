// The client module, with sockets, time and chance of the test's own.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { Line, Refusal, Rest, WAITS, figures, presence, quiz, tasks, wait } from '../../src/console/homeroom.js';

class Socket extends EventTarget {
  static all = [];

  constructor(url) {
    super();
    Object.assign(this, { url: String(url), said: [], isClosed: false });
    Socket.all.push(this);
  }

  send(text) {
    this.said.push(JSON.parse(text));
  }

  close() {
    this.isClosed = true;
  }

  open() {
    this.dispatchEvent(new Event('open'));
  }

  tell(message) {
    this.dispatchEvent(Object.assign(new Event('message'), { data: typeof message === 'string' ? message : JSON.stringify(message) }));
  }

  end(code, reason = '') {
    this.dispatchEvent(Object.assign(new Event('close'), { code, reason }));
  }
}

/** Time that passes when a test says so; chance is always the same. */
class Clock {
  at = 0;
  timers = [];

  tools = {
    random: () => 1,
    now: () => this.at,
    setTimeout: (act, millis) => this.timers.push({ at: this.at + millis, act }),
    clearTimeout: (number) => number && delete this.timers[number - 1],
  };

  async pass(millis) {
    const end = this.at + millis;
    for (;;) {
      await settled();
      const due = Object.entries(this.timers)
        .filter(([, timer]) => timer.at <= end)
        .sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      delete this.timers[due[0]];
      this.at = due[1].at;
      due[1].act();
    }
    this.at = end;
    await settled();
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const HELLO = { judge: ({ is }) => is };

let clock;

beforeEach(() => {
  Socket.all = [];
  clock = new Clock();
  globalThis.WebSocket = Socket;
});

async function line(wire = {}) {
  const made = new Line({ open: () => new Socket('ws://a'), ...HELLO, ...wire }, clock.tools);
  const states = [];
  const heard = [];
  made.addEventListener('state', ({ detail }) => states.push(detail));
  made.addEventListener('message', ({ detail }) => heard.push(detail));
  made.start();
  await settled();
  return { made, states, heard, names: () => states.map(({ state }) => state), last: () => Socket.all.at(-1) };
}

async function served(it) {
  await settled();
  it.last().open();
  it.last().tell({ is: 'ready' });
}

test('waits double up to the most, each at random between a half of it and the whole', () => {
  assert.deepEqual(
    [0, 1, 2, 3].map((losses) => wait(losses, () => 1)),
    [500, 1_000, 2_000, 4_000],
  );
  assert.deepEqual(
    [0, 1].map((losses) => wait(losses, () => 0)),
    [250, 500],
  );
  for (const losses of [7, 30, 1_000])
    assert.equal(
      wait(losses, () => 1),
      WAITS.most,
    );
  const some = Array.from({ length: 200 }, () => wait(3));
  assert.ok(some.every((millis) => millis >= 2_000 && millis <= 4_000));
  assert.ok(new Set(some).size > 100, 'they differ');
});

test('a line comes back after growing waits and says again what it listens to', async () => {
  const it = await line();
  it.made.subscribe('a', { listen: 'a' }, { no: 'a' });
  it.made.subscribe('b', { listen: 'b' }, { no: 'b' });
  await served(it);
  assert.deepEqual(it.last().said, [{ listen: 'a' }, { listen: 'b' }]);
  it.made.unsubscribe('a');
  it.made.subscribe('b', { listen: 'b' });
  assert.deepEqual(it.last().said.slice(2), [{ no: 'a' }], 'and what it listens to already is not said twice');
  for (const millis of [500, 1_000, 2_000]) {
    it.last().end(1006);
    assert.deepEqual([it.states.at(-1).state, it.states.at(-1).millis], ['waiting', millis]);
    await clock.pass(millis - 1);
    assert.equal(it.made.state, 'waiting');
    await clock.pass(1);
    assert.equal(it.made.state, 'connecting');
  }
  await served(it);
  assert.deepEqual(it.last().said, [{ listen: 'b' }]);
  await clock.pass(WAITS.steady);
  it.last().end(1012);
  assert.equal(it.states.at(-1).millis, 500, 'after a time in service the first wait counts again');
});

test('who is told when to come back comes then, whatever the loss', async () => {
  const it = await line();
  await served(it);
  it.last().end(1012, 'retry-after=2.3');
  assert.deepEqual([it.states.at(-1).state, it.states.at(-1).millis], ['waiting', 2_400]);
  await clock.pass(2_400);
  assert.equal(it.made.state, 'connecting');
  for (const [code, reason, millis] of [
    [1012, 'retry-after=86400', WAITS.most + 100],
    [1012, 'retry-after=soon', 500],
    [1011, 'retry-after=2.3', 500],
    [1012, '', 500],
  ]) {
    const other = await line();
    await served(other);
    other.last().end(code, reason);
    assert.equal(other.states.at(-1).millis, millis, `${code} ${reason}`);
  }
});

test('what is refused for good is not tried again', async () => {
  for (const code of [1002, 1003, 1007, 1009]) {
    const it = await line();
    await served(it);
    it.last().end(code, 'no');
    assert.deepEqual([it.states.at(-1).state, it.states.at(-1).why], ['over', 'no']);
  }
  const it = await line();
  it.last().open();
  it.last().end(1008);
  assert.equal(it.made.state, 'over', 'a policy at once');
  const other = await line();
  await served(other);
  other.last().end(1008);
  assert.equal(other.made.state, 'waiting', 'a policy after a time in service: it did not answer Pings, asleep');
  const told = await line();
  await served(told);
  told.last().tell({ is: { over: 'replaced' } });
  assert.deepEqual([told.states.at(-1).why, told.last().isClosed], ['replaced', true]);
});

test('the next socket is there before the last one goes', async () => {
  const it = await line();
  it.made.subscribe('a', { listen: 'a' });
  await served(it);
  const first = it.last();
  first.tell({ is: 'leave' });
  await settled();
  assert.equal(Socket.all.length, 2);
  first.tell({ news: 1 });
  assert.equal(first.isClosed, false);
  await served(it);
  assert.deepEqual(it.last().said, [{ listen: 'a' }]);
  first.tell({ news: 2 });
  first.end(1012);
  it.last().tell({ news: 3 });
  await clock.pass(60_000);
  assert.equal(first.isClosed, true);
  assert.deepEqual(
    it.heard.filter(({ news }) => news).map(({ news }) => news),
    [1, 3],
    'nothing is heard twice',
  );
  assert.deepEqual([it.names(), Socket.all.length], [['connecting', 'ready', 'ready'], 2]);
});

test('while the next cannot come the last one serves, and when the last goes the next is waited for', async () => {
  const it = await line();
  await served(it);
  const first = it.last();
  it.made.renew();
  await settled();
  it.last().end(1006);
  assert.equal(it.made.state, 'ready');
  await clock.pass(500);
  assert.equal(Socket.all.length, 3, 'another try');
  first.end(1006);
  assert.equal(it.made.state, 'connecting');
  await clock.pass(5_000);
  assert.equal(Socket.all.length, 3, 'there is one on its way');
  await served(it);
  assert.equal(it.made.state, 'ready');
});

test('a socket that says nothing is lost after a while, and so is one that cannot be made', async () => {
  const it = await line();
  await clock.pass(WAITS.open);
  assert.deepEqual([it.states.at(-1).state, it.last().isClosed], ['waiting', true]);
  const broken = await line({ open: () => Promise.reject(new Error('no token')) });
  assert.deepEqual([broken.states.at(-1).state, broken.states.at(-1).why], ['waiting', 'no token']);
  const ended = await line({ open: () => Promise.reject(Object.assign(new Error('sign in'), { isFinal: true })) });
  assert.deepEqual([ended.states.at(-1).state, ended.states.at(-1).why], ['over', 'sign in']);
});

test('it can be hurried and stopped, and what comes after the stop is nothing', async () => {
  const it = await line();
  it.last().end(1006);
  it.made.hurry();
  await settled();
  assert.equal(Socket.all.length, 2);
  await served(it);
  it.made.stop();
  it.last().tell({ news: 1 });
  it.last().end(1006);
  await clock.pass(60_000);
  assert.deepEqual([it.made.state, Socket.all.length, it.heard.length, it.last().isClosed], ['over', 2, 0, true]);
  assert.equal(it.made.say({}), false);
});

test('what is no JSON is not heard', async () => {
  const it = await line();
  await served(it);
  it.last().tell('{');
  assert.deepEqual(it.heard, []);
});

test('presence: who is asked for, and what each refusal means', async () => {
  const come = async () => {
    const made = presence('http://host/p', async () => 'token', { classroom: 'room', label: 'web' }, clock.tools).start();
    await settled();
    Socket.all.at(-1).open();
    return [made, Socket.all.at(-1)];
  };
  const error = (type, kind = 'unrecoverable_session_error') => ({ type: kind, payload: { type, title: type, status: 422 } });
  const [made, socket] = await come();
  assert.equal(socket.url, 'ws://host/p/ws');
  assert.deepEqual(socket.said, [{ type: 'connect_request', payload: { agent_label: 'web', classroom_id: 'room', token: 'token' } }]);
  socket.tell({ type: 'connect_success' });
  assert.equal(made.state, 'ready');
  socket.tell(error('terminated', 'recoverable_session_error'));
  await settled();
  const next = Socket.all.at(-1);
  assert.notEqual(next, socket);
  next.open();
  socket.tell(error('replaced'));
  assert.equal(made.state, 'connecting', 'this one of ours was replaced by the other, which is not in yet');
  next.tell({ type: 'connect_success' });
  assert.equal(made.state, 'ready');
  for (const [type, state] of [
    ['replaced', 'over'],
    ['unauthenticated', 'over'],
    ['pong_timed_out', 'waiting'],
    ['database_query_failed', 'waiting'],
  ]) {
    const [made, socket] = await come();
    socket.tell({ type: 'connect_success' });
    socket.tell(error(type));
    assert.equal(made.state, state, type);
  }
});

test('quizzes are watched by channel, tasks answer pings', async () => {
  const owner = quiz('https://host/q', () => 'a&b', clock.tools).start();
  owner.watch('quiz:42');
  await settled();
  Socket.all[0].open();
  assert.equal(Socket.all[0].url, 'wss://host/q/ws?token=a%26b');
  owner.unsubscribe('quiz:42');
  const about = (action) => ({ action, subscriptions: ['quiz:42'] });
  assert.deepEqual(Socket.all[0].said, [about('subscribe'), about('unsubscribe')]);
  const hearer = tasks('http://host', () => 't', clock.tools).start();
  hearer.watch({ channel: 'tasks' });
  await settled();
  Socket.all[1].open();
  assert.equal(hearer.state, 'connecting');
  Socket.all[1].tell({ type: 'connection_established', data: {} });
  Socket.all[1].tell({ type: 'ping', data: { timestamp: 'x' } });
  const subscribed = { type: 'subscribe', data: { channel: 'tasks' } };
  assert.deepEqual(Socket.all[1].said, [subscribed, { type: 'pong', data: { timestamp: 'x' } }]);
});

test('routes are asked with the token, and refusals tell why', async () => {
  const asked = [];
  const answers = [];
  const fetch = async (url, request) => {
    asked.push([url, request.method, request.headers.authorization, request.body, request.credentials]);
    const next = answers.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  const json = (body, init) =>
    new Response(JSON.stringify(body), { ...init, headers: { 'content-type': 'application/json', ...init?.headers } });
  const rest = new Rest('http://host', async () => 'secret', { fetch });
  answers.push(json([1]), json({}), new Response('plain', { headers: { 'content-type': 'text/plain' } }));
  assert.deepEqual(await rest.get('/a', { b: 'c d' }), [1]);
  assert.deepEqual(await rest.post('/a', { x: 1 }), {});
  assert.equal(await rest.get('/t'), 'plain');
  assert.deepEqual(asked[0], ['http://host/a?b=c+d', 'GET', 'Bearer secret', undefined, 'omit']);
  assert.deepEqual(asked[1].slice(1, 4), ['POST', 'Bearer secret', '{"x":1}']);
  const refused = async (answer) => {
    answers.push(answer);
    return rest.get('/a').then(
      () => assert.fail('it was refused'),
      (refusal) => [refusal instanceof Refusal, refusal.status, refusal.code, refusal.message, refusal.retryAfterSeconds],
    );
  };
  assert.deepEqual(await refused(json({ code: 'X', message: 'no' }, { status: 403 })), [true, 403, 'X', 'no', undefined]);
  assert.deepEqual(await refused(json({ detail: 'slow' }, { status: 429, headers: { 'retry-after': '7' } })), [true, 429, '', 'slow', 7]);
  assert.deepEqual(await refused(new Response('stopping\n', { status: 503 })), [true, 503, '', 'stopping', undefined]);
  assert.deepEqual(await refused(new TypeError('fetch failed')), [true, 0, '', 'The server cannot be reached.', undefined]);
});

test('figures are read from their text', () => {
  const text = '# HELP a A\n# TYPE a counter\na_total{shard="0",code="x\\"y"} 3\na_total{shard="1",code="z"} 4.5\nb 1\n# EOF\n';
  const found = figures(text);
  assert.deepEqual(found.get('a_total'), [
    { labels: { shard: '0', code: 'x"y' }, value: 3 },
    { labels: { shard: '1', code: 'z' }, value: 4.5 },
  ]);
  assert.deepEqual([found.get('b'), found.size], [[{ labels: {}, value: 1 }], 2]);
});
