// What this node counts, read again and again: levels, rates between two readings, and what has been lately.

import { figures } from './homeroom.js';
import { History } from './charts.js';

const METRICS_MILLIS = 2_000;
const NODE_MILLIS = 5_000;
// What is called the last minute.
const LATELY_MILLIS = 60_000;
// So long before its end a certificate is worth a look, as the server's own log has it.
const SOON_DAYS = 14;
// Looks that fail in a row before it is said that nobody answers.
const FORGIVEN = 1;

/** Tells by the event `change`. */
export class Figures extends EventTarget {
  #internal;
  #timers = [];
  #before;
  #past = [];

  /** `tools` stands in for time in tests. */
  constructor(internal, tools = {}) {
    super();
    this.#internal = internal;
    this.tools = { now: () => performance.now(), ...tools };
    this.now = new Map();
    this.rates = new Map();
    this.histories = new Map();
    this.failures = 0;
    this.reasons = [];
  }

  start() {
    if (this.#timers.length > 0) return;
    const each = (millis, look) => {
      let busy = false;
      const again = async () => {
        if (document.hidden || busy) return;
        busy = true;
        await look.call(this);
        busy = false;
      };
      again();
      return setInterval(again, millis);
    };
    this.#timers = [each(METRICS_MILLIS, this.read), each(NODE_MILLIS, this.#look)];
  }

  stop() {
    this.#timers.forEach(clearInterval);
    this.#timers = [];
    this.#before = undefined;
    this.#past = [];
  }

  get isReached() {
    return this.failures <= FORGIVEN;
  }

  /** How long deliveries took within the last minute, in seconds: `{ p50, p99 }`; nothing where the node does not tell. */
  get latency() {
    const told = this.node?.delivery;
    return told && { p50: told.p50_seconds ?? NaN, p99: told.p99_seconds ?? NaN };
  }

  /** The sum of a figure over its samples, or over those that `which` lets through. */
  level(name, which = () => true) {
    const samples = this.now.get(name)?.filter(({ labels }) => which(labels));
    return samples?.reduce((sum, { value }) => sum + value, 0);
  }

  /** Each label's sum: a Map. */
  by(name, label, from = this.now) {
    const sums = new Map();
    for (const { labels, value } of from.get(name) ?? []) sums.set(labels[label], (sums.get(labels[label]) ?? 0) + value);
    return sums;
  }

  /** A counter's rise in a second, over all its samples. */
  rate(name) {
    return this.rates.get(name)?.reduce((sum, { value }) => sum + value, 0);
  }

  /** How much each label's sum has risen within the last minute, or since this page looks where that is less: a Map. */
  lately(name, label) {
    const [then] = this.#past;
    const before = then ? this.by(name, label, then.now) : new Map();
    // One that fell belongs to a new process.
    return new Map([...this.by(name, label)].map(([key, value]) => [key, then ? Math.max(0, value - (before.get(key) ?? 0)) : 0]));
  }

  /** What a figure has been lately. */
  history(name) {
    if (!this.histories.has(name)) this.histories.set(name, new History());
    return this.histories.get(name);
  }

  /** Reads the counters once. */
  async read() {
    const began = this.tools.now();
    try {
      const now = figures(await this.#internal.get('/metrics'));
      const at = this.tools.now();
      this.roundTrip = (at - began) / 1_000;
      this.failures = 0;
      this.#reckon(now, at);
    } catch {
      this.failures += 1;
    }
    this.dispatchEvent(new Event('change'));
  }

  #reckon(now, at) {
    const before = this.#before;
    this.now = now;
    this.#before = { now, at };
    this.#past.push(this.#before);
    // The first is the last that is a minute old, or the first of all.
    while (this.#past.length > 1 && at - this.#past[1].at >= LATELY_MILLIS) this.#past.shift();
    if (!before || at <= before.at) return;
    const seconds = (at - before.at) / 1_000;
    for (const [name, samples] of now) {
      if (!name.endsWith('_total')) continue;
      const last = before.now.get(name) ?? [];
      // Samples keep their order; a counter that fell belongs to a new process.
      const rise = (value, place) => Math.max(0, value - (last[place]?.value ?? value)) / seconds;
      this.rates.set(
        name,
        samples.map(({ labels, value }, place) => ({ labels, value: rise(value, place) })),
      );
    }
    this.history('connections').add(this.level('homeroom_connections'));
    this.history('present').add(this.level('ws_connection_total'));
    this.history('messages').add(this.rate('homeroom_messages_total'));
    this.history('delivered').add(this.rate('homeroom_delivered_total'));
    this.history('store').add((this.level('homeroom_store_batch_micros') ?? 0) / 1_000);
    this.history('roundTrip').add(this.roundTrip * 1_000);
    this.history('slow').add(this.rate('homeroom_slow_readers_total'));
    this.history('failures').add(this.rate('homeroom_store_failures_total'));
  }

  async #look() {
    try {
      this.node = await this.#internal.get('/api/v1/node');
      if (this.latency) this.history('latency').add(this.latency.p99 * 1_000);
      await this.#internal.get('/readyz');
      this.reasons = [];
    } catch (refusal) {
      this.reasons = refusal.status === 503 ? refusal.message.split('\n') : this.reasons;
    }
    this.dispatchEvent(new Event('change'));
  }
}

/** What an operator should look at, worst first: `{ kind, words }`. Nothing: all is well. */
export function worries(figures) {
  if (!figures.isReached) return [{ kind: 'bad', words: 'This node does not answer. What is shown is the last that was heard.' }];
  const found = [];
  const node = figures.node;
  if (node && node.phase !== 'serving') found.push({ kind: 'warn', words: `This node is ${node.phase}: clients are asked to come again.` });
  for (const reason of figures.reasons.filter((reason) => reason !== 'stopping'))
    found.push({ kind: 'bad', words: `Not ready: ${reason}.` });
  const dead = (node?.nodes ?? []).filter(({ is_alive }) => !is_alive);
  for (const { name } of dead) found.push({ kind: 'bad', words: `The node ${name} has not renewed its lease.` });
  const lately = (name) =>
    figures
      .history(name)
      .values.slice(-30)
      .some((value) => value > 0);
  for (const { listener, kind, words } of (node?.certificates ?? []).map((one) => ({ ...one, ...standing(one) })))
    if (kind !== 'good') found.push({ kind, words: `The certificate of ${listener} ${words}.` });
  for (const { issuer } of (node?.key_sets ?? []).filter(({ fault }) => fault))
    found.push({ kind: 'warn', words: `The keys of ${issuer} could not be read the last time; those that are known are used.` });
  if (lately('failures')) found.push({ kind: 'bad', words: 'Records could not be written within the last minute.' });
  if (lately('slow')) found.push({ kind: 'warn', words: 'Connections were closed within the last minute because they read too slowly.' });
  if (figures.level('homeroom_letters_waiting') > 0)
    found.push({ kind: 'warn', words: 'Shards wait for one another: letters found a full queue.' });
  if (figures.level('homeroom_store_overdue') > 1_000) found.push({ kind: 'warn', words: 'Many ends of sessions wait to be written.' });
  if (figures.level('homeroom_cluster_connected') === 0) found.push({ kind: 'bad', words: 'There is no connection to NATS.' });
  return found.sort((a, b) => (a.kind > b.kind ? 1 : -1));
}

const DAY_MILLIS = 86_400_000;

/** How a certificate stands: `{ kind, words, short, days }`, where `days` are left. */
export function standing({ not_before, not_after }, now = Date.now()) {
  const days = Math.floor((Date.parse(not_after) - now) / DAY_MILLIS);
  const told = (kind, words, short = words) => ({ kind, words, short, days });
  if (Date.parse(not_before) > now) return told('bad', 'is not good yet', 'not good yet');
  if (Date.parse(not_after) <= now) return told('bad', 'has run out');
  const left = days === 0 ? 'less than a day left' : days === 1 ? '1 day left' : `${days} days left`;
  return told(days < SOON_DAYS ? 'warn' : 'good', `has ${left}`, left);
}
