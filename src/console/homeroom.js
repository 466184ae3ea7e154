// The client of Homeroom's published APIs, for browsers and for Node: one module without dependencies, which others may use as it is.
//
// A `Line` is a WebSocket that lasts. It comes back when it is lost, after waits that grow and are random, so that a school does not knock
// all at once, or when the server asked it to; it tells again what it was told to listen to; and when the server says that it stops, the
// next socket is there before the last one goes. `presence`, `quiz`, `chat` and `tasks` are lines of the four APIs; a `Rest` asks their
// routes.
//
//   const line = quiz(base, () => token);
//   line.addEventListener('message', ({ detail }) => …);
//   line.subscribe('quiz:42', { action: 'subscribe', subscriptions: ['quiz:42'] }, { action: 'unsubscribe', subscriptions: ['quiz:42'] });
//   line.start();
//
// Events of a line: `state` (detail: { state, millis, why }), where a state is `connecting`, `ready`, `waiting` (for so many milliseconds)
// or `over` (it does not come back; `why` says the reason); and `message` (detail: what was said, read from JSON). After every `ready` but
// the first something may have been missed: whoever keeps a picture of the whole asks for it again.

/** How long to wait, in milliseconds: at first, at most, and how long a socket is in service before the first wait counts again. */
export const WAITS = { first: 500, most: 30_000, steady: 10_000, open: 15_000 };

// Close codes (RFC 6455 and IANA) after which the same client would end in the same way.
const FINAL_CODES = new Set([1002, 1003, 1007, 1009]);
const NORMAL = 1000;
const POLICY = 1008;
const RESTART = 1012;
// A Close for a restart may say when to come back, to each another time; so much more, in milliseconds, is left to chance.
const RETRY_AFTER = /^retry-after=(\d{1,6}(?:\.\d+)?)$/;
const SPREAD_MILLIS = 100;
// One that is replaced hears of it soon; nobody waits for ever.
const LEAVE_MILLIS = 5_000;

/** The wait before the next try after `losses` of them: doubled each time, of that at random between a half and the whole. */
export function wait(losses, random = Math.random, { first, most } = WAITS) {
  const whole = Math.min(most, first * 2 ** Math.min(losses, 30));
  return whole * (0.5 + random() / 2);
}

/** See the top of the file. */
export class Line extends EventTarget {
  #wire; // what makes this line one of an API
  #current; // the socket in service, or on its way there
  #next; // the one that is to take its place
  #timer;
  #losses = 0;
  #readyAt;
  #wanted = new Map();
  #isOver = true;

  /**
   * `wire` has `open()`, which gives a WebSocket or a promise of one (an error of it is one more loss; with `isFinal` the end), and, as
   * they are needed: `greet(say)`, called when it is open; `judge(message)`, which says `'ready'`, `'leave'` (the server goes: the next
   * socket first, then this one away), `'again'` (this one is lost), `{ over: why }` or nothing; `isReadyOnceOpen`, `leavesByItself`;
   * `reply(message, say)`.
   * `tools` stands in for time, chance and waits in tests.
   */
  constructor(wire, tools = {}) {
    super();
    this.#wire = wire;
    this.tools = {
      setTimeout: (act, millis) => setTimeout(act, millis),
      clearTimeout: (timer) => clearTimeout(timer),
      now: Date.now,
      ...tools,
    };
    this.waits = { ...WAITS, ...tools.waits };
    this.state = 'over';
  }

  /** Connects, and stays connected until `stop`. */
  start() {
    if (!this.#isOver) return this;
    this.#isOver = false;
    this.#losses = 0;
    this.#connect();
    return this;
  }

  /** Ends it. It may be started again. */
  stop() {
    this.#end('stopped');
  }

  /** Says something now; false when nobody is there to hear it. */
  say(message) {
    if (this.state !== 'ready') return false;
    this.#current.socket.send(JSON.stringify(message));
    return true;
  }

  /** Listens to something from now on: `message` is said at once and after each return, `end` when it is wanted no more. */
  subscribe(key, message, end) {
    const is_new = !this.#wanted.has(key);
    this.#wanted.set(key, { message, end });
    if (is_new) this.say(message);
  }

  /** Listens to it no more. */
  unsubscribe(key) {
    const wanted = this.#wanted.get(key);
    if (this.#wanted.delete(key) && wanted.end) this.say(wanted.end);
  }

  /** Tries now where it would wait: the network is back, or somebody has pressed a button. */
  hurry() {
    if (this.state === 'waiting') this.#connect();
  }

  /** Makes the next socket before this one goes, as with a fresh token. */
  renew() {
    if (this.state !== 'ready' || this.#next) return;
    this.#next = this.#dial((next) => this.#promote(next));
  }

  #connect() {
    this.tools.clearTimeout(this.#timer);
    this.#tell('connecting');
    this.#current = this.#dial(() => this.#serve());
  }

  #dial(ready) {
    const attempt = { ready, isReady: false, isGone: false };
    const socket = async () => this.#wire.open();
    socket().then(
      (socket) => this.#adopt(attempt, socket),
      (error) => this.#lose(attempt, { why: error?.message, isFinal: error?.isFinal }),
    );
    attempt.timer = this.tools.setTimeout(() => !attempt.isReady && this.#lose(attempt, { why: 'no answer' }), this.waits.open);
    return attempt;
  }

  #adopt(attempt, socket) {
    if (attempt.isGone) return socket.close();
    attempt.socket = socket;
    const say = (message) => socket.send(JSON.stringify(message));
    socket.addEventListener('open', () => {
      this.#wire.greet?.(say);
      if (this.#wire.isReadyOnceOpen) this.#ready(attempt);
    });
    socket.addEventListener('message', (event) => this.#hear(attempt, event.data, say));
    socket.addEventListener('close', (event) => this.#lose(attempt, { code: event.code, why: event.reason }));
    // A close follows upon every error.
    socket.addEventListener('error', () => {});
  }

  #hear(attempt, data, say) {
    if (attempt.isGone) return;
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    this.#wire.reply?.(message, say);
    const verdict = this.#wire.judge?.(message);
    if (verdict === 'ready') return this.#ready(attempt);
    if (attempt === this.#current) this.dispatchEvent(new CustomEvent('message', { detail: message }));
    if (verdict === 'leave') this.renew();
    if (verdict === 'again') this.#lose(attempt, { why: 'told to come again' });
    if (verdict?.over) this.#lose(attempt, { why: verdict.over, isFinal: true });
  }

  #ready(attempt) {
    if (attempt.isReady || attempt.isGone) return;
    attempt.isReady = true;
    this.tools.clearTimeout(attempt.timer);
    attempt.ready(attempt);
  }

  /** The socket is in service: whatever is wanted is said to it. */
  #serve() {
    this.#readyAt = this.tools.now();
    this.#tell('ready');
    for (const { message } of this.#wanted.values()) this.say(message);
  }

  /** The next takes the place of the last, which may go as soon as it likes. */
  #promote(next) {
    const last = this.#current;
    this.#next = undefined;
    this.#current = next;
    last.isGone = true;
    const close = () => last.socket.close(NORMAL);
    this.tools.setTimeout(close, this.#wire.leavesByItself ? LEAVE_MILLIS : 0);
    this.#serve();
  }

  #lose(attempt, { code, why, isFinal = false }) {
    if (attempt.isGone) return;
    attempt.isGone = true;
    this.tools.clearTimeout(attempt.timer);
    attempt.socket?.close();
    if (attempt === this.#next) {
      this.#next = undefined;
      // The last is still there: another try, unless it goes meanwhile.
      if (!isFinal) this.tools.setTimeout(() => this.renew(), wait(this.#losses++, this.tools.random, this.waits));
      return;
    }
    if (attempt !== this.#current || this.#isOver) return;
    if (this.#next) {
      // However it ended: the next one may have ended it, as a second sign-in does.
      this.#current = this.#next;
      this.#next = undefined;
      this.#current.ready = () => this.#serve();
      return this.#tell('connecting');
    }
    // What refuses a policy at once would do so again; what was in service may only have been away.
    if (isFinal || FINAL_CODES.has(code) || (code === POLICY && !attempt.isReady)) return this.#end(why || `closed with ${code}`);
    const served = attempt.isReady ? this.tools.now() - this.#readyAt : 0;
    if (served >= this.waits.steady) this.#losses = 0;
    const own = wait(this.#losses++, this.tools.random, this.waits);
    const asked = code === RESTART ? RETRY_AFTER.exec(why) : null;
    const millis = asked ? Math.min(asked[1] * 1_000, this.waits.most) + SPREAD_MILLIS * (this.tools.random ?? Math.random)() : own;
    this.#tell('waiting', { millis, why: why || (code === undefined ? '' : `closed with ${code}`) });
    this.#timer = this.tools.setTimeout(() => this.#connect(), millis);
  }

  #end(why) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.tools.clearTimeout(this.#timer);
    for (const attempt of [this.#current, this.#next]) {
      if (!attempt) continue;
      attempt.isGone = true;
      this.tools.clearTimeout(attempt.timer);
      attempt.socket?.close(NORMAL);
    }
    this.#next = undefined;
    this.#tell('over', { why });
  }

  #tell(state, more = {}) {
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: { state, ...more } }));
  }
}

/** A WebSocket below the address of an API, which begins with the scheme of its routes. */
function dial(base, path, query = {}) {
  const url = new URL(base + path);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return new WebSocket(url);
}

// What presence says to whom it does not let in, however often he comes.
const PRESENCE_FINAL = new Set(['unsupported_request', 'unauthenticated', 'access_denied', 'serialization_failed', 'replaced']);

/** A member of a classroom. `token` gives a token, or a promise of one. Messages are the events of the room. */
export function presence(base, token, { classroom, label = 'web' }, tools) {
  let credential;
  const open = async () => {
    credential = await token();
    return dial(base, '/ws');
  };
  const greet = (say) => say({ type: 'connect_request', payload: { agent_label: label, classroom_id: classroom, token: credential } });
  const judge = ({ type, payload }) => {
    if (type === 'connect_success') return 'ready';
    if (type === 'recoverable_session_error') return 'leave';
    if (type !== 'unrecoverable_session_error') return undefined;
    return PRESENCE_FINAL.has(payload?.type) ? { over: payload.type } : 'again';
  };
  // The server closes the first itself when the second comes in under the same name.
  return new Line({ open, greet, judge, leavesByItself: true }, tools);
}

/** An owner of quizzes; subscribe to `quiz:42`, `attempts:42`, `leaderboard:42` by `watch`. */
export function quiz(base, token, tools) {
  const line = new Line({ open: async () => dial(base, '/ws', { token: await token() }), isReadyOnceOpen: true }, tools);
  line.watch = (channel) => {
    const about = (action) => ({ action, subscriptions: [channel] });
    line.subscribe(channel, about('subscribe'), about('unsubscribe'));
  };
  return line;
}

/** One who hears of tasks; listen to `{ channel: 'tasks' }` and the like by `watch`. */
export function tasks(base, token, tools) {
  const judge = ({ type }) => (type === 'connection_established' ? 'ready' : undefined);
  const reply = ({ type, data }, say) => type === 'ping' && say({ type: 'pong', data });
  const line = new Line({ open: async () => dial(base, '/ws', { token: await token() }), judge, reply }, tools);
  line.watch = (data) => line.subscribe(JSON.stringify(data), { type: 'subscribe', data }, { type: 'unsubscribe', data });
  return line;
}

/** A socket of a session with an agent. */
export function chat(base, token, session, tools) {
  const open = async () => dial(base, `/ws/sessions/${encodeURIComponent(session)}`, { token: await token() });
  const final = new Set(['WS_AUTH_FAILED', 'WS_SESSION_INVALID', 'SESSION_ENDED']);
  const judge = ({ type, code }) => {
    if (type === 'auth_success') return 'ready';
    return type === 'error' && final.has(code) ? { over: code } : undefined;
  };
  return new Line({ open, judge }, tools);
}

/** An answer that is a refusal, or none at all: then its status is 0. */
export class Refusal extends Error {
  constructor(status, body, retryAfterSeconds) {
    const text = typeof body === 'string' && body.length < 200 ? body.trim() : undefined;
    super(body?.message ?? body?.detail ?? text ?? (status === 0 ? 'The server cannot be reached.' : `The server answered ${status}.`));
    this.status = status;
    this.code = body?.code ?? body?.error ?? '';
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The routes of an API. `token` gives a token, a promise of one, or nothing where none is needed. */
export class Rest {
  constructor(base, token = () => undefined, { fetch = (...given) => globalThis.fetch(...given), patience = 20_000 } = {}) {
    Object.assign(this, { base, token, fetch, patience });
  }

  get(path, query) {
    return this.ask('GET', query ? `${path}?${new URLSearchParams(query)}` : path);
  }

  post(path, body) {
    return this.ask('POST', path, body);
  }

  /** What was answered, as JSON where it is that; a `Refusal` is thrown for anything but a good answer. */
  async ask(method, path, body) {
    const headers = {};
    const token = await this.token();
    if (token) headers.authorization = `Bearer ${token}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const request = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(this.patience) };
    let answer, text;
    try {
      answer = await this.fetch(this.base + path, { ...request, cache: 'no-store', credentials: 'omit' });
      text = await answer.text();
    } catch {
      throw new Refusal(0);
    }
    const is_json = /\bjson\b/.test(answer.headers.get('content-type') ?? '') && !/openmetrics/.test(answer.headers.get('content-type'));
    let told = text;
    try {
      if (is_json && text) told = JSON.parse(text);
    } catch {
      throw new Refusal(0);
    }
    if (!answer.ok) throw new Refusal(answer.status, told, Number(answer.headers.get('retry-after')) || told?.retry_after || undefined);
    return told;
  }
}

/** The figures in an OpenMetrics text: each name with its samples, `{ labels, value }`. */
export function figures(text) {
  const found = new Map();
  for (const line of text.split('\n')) {
    const match = /^([a-z_][a-z0-9_]*)(?:\{(.*)\})? (\S+)$/i.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/gi)) {
      labels[name] = value.replace(/\\(.)/g, (_, letter) => (letter === 'n' ? '\n' : letter));
    }
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return found;
}
