// What views reckon with, without a page.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Roll, ending, summed } from '../../src/console/classroom.js';
import { Figures, standing, worries } from '../../src/console/figures.js';
import { bytes, duration, number } from '../../src/console/parts.js';
import { Attempts } from '../../src/console/quiz.js';

const member = (agent_id, sequence_id) => ({ agent_id, sequence_id });
const here = (roll) => [...roll.here.keys()].sort();

test('a roll follows the events, and a list that comes late puts nobody back who has gone', () => {
  const roll = new Roll();
  assert.equal(roll.enter(member('a', 1), 5), true);
  assert.equal(roll.enter(member('a', 1), 9), false);
  roll.enter(member('b', 2), 6);
  roll.begin();
  const came = new Set(['d']);
  roll.leave(member('c', 3));
  roll.leave(member('b', 2));
  roll.enter(member('d', 4), 8);
  roll.end([member('a', 1), member('b', 2), member('c', 3), member('e', 5)], came);
  assert.deepEqual(here(roll), ['a', 'd', 'e']);
  assert.equal(roll.here.get('a').since, 5);
  assert.equal(roll.here.get('e').since, undefined, 'who was here before nobody knows since when');
});

test('who is not in the list and did not come meanwhile has gone while nobody heard of it', () => {
  const roll = new Roll();
  roll.enter(member('a', 1), 5);
  roll.enter(member('b', 2), 5);
  roll.begin();
  roll.end([member('b', 2)], new Set());
  assert.deepEqual(here(roll), ['b']);
});

test('an end of an earlier session ends no later one', () => {
  const roll = new Roll();
  roll.enter(member('a', 7), 5);
  assert.equal(roll.leave(member('a', 3)), false);
  assert.deepEqual(here(roll), ['a']);
});

test('what all names end with is told once', () => {
  assert.equal(ending(['web.ann.school.local', 'web.bob.school.local']), '.school.local');
  assert.equal(ending(['web.ann.a.org', 'web.ann.b.org']), '.org');
  assert.equal(ending(['a', 'b']), '');
  assert.equal(ending(['one.alone']), '');
  assert.equal(ending([]), '');
});

test('attendance is summed up for each, from the morning on', () => {
  const at = (minute) => `2026-01-02T08:${String(minute).padStart(2, '0')}:00Z`;
  const rows = [
    { agent_id: 'a', entered_at: at(0), left_at: at(10) },
    { agent_id: 'a', entered_at: at(20), left_at: at(25) },
    { agent_id: 'b', entered_at: at(5), left_at: null },
  ];
  const [a, b] = summed(rows, Date.parse(at(5)), Date.parse(at(30)));
  assert.deepEqual([a.times, a.seconds, a.last], [2, 600, Date.parse(at(25))]);
  assert.deepEqual([b.times, b.seconds, b.last], [1, 1_500, undefined]);
});

const event = (id, more) => ({ attempt_id: id, alias: id, ...more });

test('attempts: events, the list and the details make one picture, in any order', () => {
  const attempts = new Attempts([
    { id: 'q1', order: 1 },
    { id: 'q2', order: 2 },
  ]);
  const answer = (id, order, is_correct, answered_count) =>
    event(id, { question_order: order, is_correct, answered_count, answered_at: '2026-01-02T08:00:00Z' });
  assert.equal(attempts.hear('attempt_update', answer('ann', 1, true, 1)), true);
  attempts.list({ attempt_id: 'bob', alias: 'Bob', answered_count: 2, status: 'running', score: 1, flags_count: 0 });
  attempts.detail('bob', [
    { question_id: 'q1', is_correct: false },
    { question_id: 'q2', is_correct: null },
    { question_id: 'gone', is_correct: true },
  ]);
  attempts.hear('attempt_update', answer('ann', 1, false, 1));
  attempts.detail('ann', [{ question_id: 'q1', is_correct: true }]);
  const tallies = attempts.verdicts([{ order: 1 }, { order: 2 }]);
  assert.deepEqual(
    [tallies.get(1), tallies.get(2)],
    [
      { right: 0, wrong: 2, given: 0 },
      { right: 0, wrong: 0, given: 1 },
    ],
  );
  assert.equal(attempts.hear('attempt_finished', event('ann', { answered_count: 1, time_taken_ms: 5 })), false);
  assert.equal(
    attempts.hear('attempt_flagged', event('ann', { labels: ['TAB_SWITCH', 'CLIPBOARD'], flagged_at: '2026-01-02T08:00:00Z' })),
    false,
  );
  const { status, flags, answered } = attempts.all.get('ann');
  assert.deepEqual([status, flags, answered, attempts.flags.length, attempts.all.size], ['ended', 2, 1, 1, 2]);
});

test('what an attempt answered before anybody watched is not called open', () => {
  const attempts = new Attempts([
    { id: 'q1', order: 1 },
    { id: 'q2', order: 2 },
  ]);
  attempts.list({ attempt_id: 'bob', alias: 'Bob', answered_count: 1, status: 'running', score: 1, flags_count: 0 });
  assert.deepEqual([attempts.mark('bob', 1), attempts.mark('bob', 2)], ['unread', 'unread']);
  attempts.detail('bob', [{ question_id: 'q2', is_correct: true }]);
  assert.deepEqual([attempts.mark('bob', 1), attempts.mark('bob', 2)], ['none', 'right']);
});

test('a certificate that ends soon is to be looked at, one that is no good is bad', () => {
  const now = Date.parse('2026-01-10T12:00:00Z');
  const stands = (not_before, not_after) => {
    const { kind, words } = standing({ not_before, not_after }, now);
    return `${kind}: ${words}`;
  };
  const began = '2026-01-01T00:00:00Z';
  assert.equal(stands(began, '2026-04-10T12:00:00Z'), 'good: has 90 days left');
  assert.equal(stands(began, '2026-01-15T11:00:00Z'), 'warn: has 4 days left');
  assert.equal(stands(began, '2026-01-11T13:00:00Z'), 'warn: has 1 day left');
  assert.equal(stands(began, '2026-01-10T13:00:00Z'), 'warn: has less than a day left');
  assert.equal(stands(began, '2026-01-10T11:00:00Z'), 'bad: has run out');
  assert.equal(stands('2026-01-11T00:00:00Z', '2026-04-10T12:00:00Z'), 'bad: is not good yet');
});

test('what came lately is the rise within the last minute, and a new process starts anew', async () => {
  let [now, count] = [0, 5];
  const internal = { get: async (path) => (path === '/metrics' ? `homeroom_closed_total{code="peer"} ${count}\n` : {}) };
  globalThis.document = { hidden: false };
  const seen = new Figures(internal, { now: () => now });
  const rose = async (at, to) => {
    [now, count] = [at, to];
    const heard = new Promise((resolve) => seen.addEventListener('change', resolve, { once: true }));
    await seen.read();
    await heard;
    return seen.lately('homeroom_closed_total', 'code').get('peer');
  };
  assert.equal(await rose(0, 5), 0, 'there is nothing to compare it with');
  assert.equal(await rose(2_000, 7), 2);
  assert.equal(await rose(40_000, 17), 12);
  assert.equal(await rose(63_000, 20), 13, 'since what was counted a minute ago');
  assert.equal(await rose(65_000, 1), 0);
});

test('numbers have as many digits as they deserve, and their units', () => {
  assert.deepEqual([0, 12_345, 123.4, 12.34, 1.234, NaN].map(number), ['0', '12,345', '123', '12.3', '1.23', '–']);
  assert.deepEqual([0.000_02, 0.005, 5, 600, 7_200, 200_000].map(duration), ['20 µs', '5 ms', '5 s', '10 min', '2 h', '2 days']);
  assert.deepEqual([0, 1_023, 1_536, 5 * 2 ** 30].map(bytes), ['0 B', '1,023 B', '1.5 KiB', '5 GiB']);
});

test('an operator is told what is wrong, the worst first, and that all is well', async () => {
  const texts = [
    'homeroom_slow_readers_total{shard="0"} 1\nhomeroom_letters_waiting{shard="0"} 0\n',
    'homeroom_slow_readers_total{shard="0"} 4\nhomeroom_letters_waiting{shard="0"} 2\n',
  ];
  const node = {
    phase: 'draining',
    certificates: [{ listener: 'quiz', not_before: '2020-01-01T00:00:00Z', not_after: '2021-01-01T00:00:00Z' }],
    key_sets: [
      { issuer: 'school', fault: null },
      { issuer: 'other', fault: 'it does not answer' },
    ],
    delivery: { frames: 9, p50_seconds: 0.00025, p99_seconds: null },
    nodes: [
      { name: 'a', is_alive: true },
      { name: 'b', is_alive: false },
    ],
  };
  const answers = { '/metrics': () => texts.shift(), '/api/v1/node': () => node, '/readyz': () => 'ok\n' };
  const internal = { get: async (path) => answers[path]() };
  globalThis.document = { hidden: false };
  const seen = new Figures(internal);
  assert.deepEqual(worries(seen), []);
  const changed = (count) => new Promise((resolve) => seen.addEventListener('change', () => --count === 0 && resolve()));
  const both = changed(2);
  seen.start();
  await both;
  seen.stop();
  const again = changed(2);
  seen.start();
  await again;
  seen.stop();
  const words = worries(seen).map(({ kind, words }) => `${kind}: ${words}`);
  assert.ok(words.slice(0, 2).some((line) => line.startsWith('bad: The node b has not renewed')));
  assert.ok(words.includes('bad: The certificate of quiz has run out.'));
  assert.ok(words.some((line) => line.startsWith('warn: This node is draining')));
  assert.ok(words.some((line) => line.startsWith('warn: Shards wait')));
  assert.deepEqual(
    words.filter((line) => line.includes('keys of')).map((line) => line.split(' could')[0]),
    ['warn: The keys of other'],
  );
  assert.deepEqual(seen.latency, { p50: 0.00025, p99: NaN });
  seen.failures = 9;
  assert.deepEqual(
    worries(seen).map(({ kind }) => kind),
    ['bad'],
  );
});
