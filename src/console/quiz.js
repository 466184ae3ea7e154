// A quiz while it runs: how far everybody is, answers a second, right and wrong for each question, the leaderboard and what was flagged.

import { History, columns, meter, spark, verdicts } from './charts.js';
import { quiz as connect } from './homeroom.js';
import { Table, announce, calmly, choice, clock, duration, h, icon, number, panel, show, state, tile, write } from './parts.js';

const PAGE = 200;
const SECOND = 1_000;
const MANY = 500;
// What was answered before this page watched is asked for each attempt, so many at a time, and of so many at most: each is a request.
const AT_ONCE = 4;
const ASKED = 10_000;
// More questions than these have no column of their own.
const QUESTIONS = 30;
const FLAGS = 40;
// Steps of the drawing of how far all are.
const STEPS = 10;

const MARKS = {
  right: ['✓', 'right'],
  wrong: ['✗', 'wrong'],
  given: ['●', 'answered'],
  none: ['·', 'open'],
  unread: ['?', 'not read yet'],
};

/** All attempts at one quiz, by what is told of them. */
export class Attempts {
  constructor(questions) {
    this.orders = new Map(questions.map(({ id, order }) => [id, order]));
    this.all = new Map();
    this.flags = [];
  }

  one(id, more = {}) {
    if (!this.all.has(id)) this.all.set(id, { id, alias: '', answered: 0, status: 'running', marks: new Map(), flags: 0, ...more });
    return this.all.get(id);
  }

  /** A row of the list. */
  list(row) {
    const one = this.one(row.attempt_id);
    one.alias = row.alias;
    one.answered = Math.max(one.answered, row.answered_count);
    one.status = row.status;
    one.score = row.score;
    one.flags = row.flags_count;
  }

  /** What it has answered. */
  detail(id, answers) {
    const one = this.one(id);
    for (const { question_id, is_correct } of answers) {
      const order = this.orders.get(question_id);
      if (order !== undefined && !one.marks.has(order)) one.marks.set(order, mark(is_correct));
    }
  }

  /** An event of the channel; true for an answer. */
  hear(t, data) {
    const one = this.one(data.attempt_id);
    one.alias = data.alias ?? one.alias;
    if (t === 'attempt_update') {
      one.answered = data.answered_count;
      one.marks.set(data.question_order, mark(data.is_correct));
      one.at = Date.parse(data.answered_at);
    } else if (t === 'attempt_finished') {
      one.status = 'ended';
      one.answered = data.answered_count;
      one.took = data.time_taken_ms / 1_000;
    } else if (t === 'attempt_flagged') {
      one.flags += data.labels.length;
      this.flags.unshift({ alias: data.alias, labels: data.labels, at: Date.parse(data.flagged_at) });
      this.flags.length = Math.min(this.flags.length, FLAGS);
    }
    return t === 'attempt_update';
  }

  /** How an attempt did at a question. While not all of its answers were read, an open question may be an answered one. */
  mark(id, order) {
    const { marks, answered } = this.one(id);
    return marks.get(order) ?? (answered > marks.size ? 'unread' : 'none');
  }

  /** For each question how many were right, wrong, and neither. */
  verdicts(questions) {
    const tallies = new Map(questions.map(({ order }) => [order, { right: 0, wrong: 0, given: 0 }]));
    for (const { marks } of this.all.values()) {
      for (const [order, kind] of marks) {
        const tally = tallies.get(order);
        if (tally) tally[kind] += 1;
      }
    }
    return tallies;
  }
}

const mark = (is_correct) => (is_correct === true ? 'right' : is_correct === false ? 'wrong' : 'given');

export class Quiz {
  static title = 'Quiz';

  constructor(session) {
    this.session = session;
    // Of many a picture a second is enough.
    this.redraw = calmly(
      () => this.draw(),
      () => (this.attempts?.all.size > MANY ? SECOND : 250),
    );
  }

  mount(root) {
    this.choice = choice('Quiz', (id) => id && this.watch(Number(id)));
    this.standing = h('p', { class: 'note', role: 'status' });
    this.board = h('div', { hidden: true });
    root.append(h('div', { class: 'bar' }, this.choice.element, this.standing), this.board);
    if (!this.session.has('quiz')) {
      show(this.choice.element, false);
      return write(this.standing, 'Quizzes belong to owners: sign in with the name and password of one (homeroom owner NAME makes one).');
    }
    this.#build();
    this.line = connect(this.session.places.quiz, () => this.session.token('quiz'));
    this.line.addEventListener('message', ({ detail }) => this.#hear(detail));
    this.line.addEventListener('state', ({ detail }) => this.#stands(detail));
    this.line.start();
    this.timer = setInterval(() => this.#second(), SECOND);
    this.#quizzes();
  }

  unmount() {
    clearInterval(this.timer);
    this.line?.stop();
  }

  #build() {
    const line = spark('Answers a second');
    this.tiles = {
      running: tile('Taking it now'),
      ended: tile('Have ended'),
      rate: { ...tile('Answers', line.element), line },
      right: tile('Right so far'),
    };
    this.steps = columns('How many have answered how much');
    this.grid = new Table({
      caption: 'Progress of everybody',
      id: ({ id }) => id,
      filter: true,
      size: 100,
      empty: 'Nobody has begun.',
      sort: { key: 'answered', down: true },
      head: this.#legend(),
      columns: this.#columns([]),
    });
    this.questions = new Table({
      caption: 'Right and wrong for each question',
      id: ({ order }) => order,
      columns: this.#questionColumns(),
      empty: 'There are no questions.',
    });
    this.leaders = new Table({
      caption: 'Leaderboard',
      id: ({ attempt_id }) => attempt_id,
      size: 10,
      columns: this.#leaderColumns(),
      empty: 'Nobody has answered.',
    });
    this.flagged = h('ol', { class: 'news' });
    this.note = h('p', { class: 'note' });
    const tiles = Object.values(this.tiles).map(({ element }) => element);
    const parts = [
      h('div', { class: 'stack' }, panel('How far they are', {}, this.steps.element), panel('Right and wrong', {}, this.questions.element)),
      h('div', { class: 'stack' }, panel('Leaderboard', {}, this.leaders.element), panel('Flagged', {}, this.flagged)),
      panel('Progress', { wide: true }, this.note, this.grid.element),
    ];
    this.board.append(h('div', { class: 'tiles' }, tiles), h('div', { class: 'grid uneven' }, parts));
  }

  #legend() {
    return h(
      'span',
      { class: 'legend' },
      Object.entries(MARKS).map(([kind, [sign, words]]) =>
        h('span', { class: `mark ${kind}` }, h('span', { 'aria-hidden': 'true' }, sign), ` ${words}`),
      ),
    );
  }

  #columns(questions) {
    const whole = questions.length;
    const progress = (row) => {
      const bar = meter('Progress');
      bar.set(row.answered, whole, `${number(row.answered)} of ${number(whole)} answered`);
      return [bar.element, h('span', { class: 'beside' }, `${number(row.answered)} / ${number(whole)}`)];
    };
    const question = ({ order }) => ({
      key: `q${order}`,
      label: `${order}`,
      sort: false,
      kind: 'question',
      value: ({ id }) => this.attempts.mark(id, order),
      cell: ({ id }) => sign(this.attempts.mark(id, order)),
    });
    return [
      { key: 'alias', label: 'Who', value: ({ alias }) => alias },
      {
        key: 'answered',
        label: 'Answered',
        value: ({ answered }) => answered,
        cell: progress,
        mark: ({ answered }) => `${answered}/${whole}`,
        is_number: true,
      },
      {
        key: 'status',
        label: 'State',
        value: ({ status }) => status,
        cell: ({ status }) => (status === 'running' ? state('run', 'running') : state('none', 'ended')),
      },
      {
        key: 'flags',
        label: 'Flags',
        value: ({ flags }) => flags,
        cell: ({ flags }) => (flags > 0 ? state('warn', number(flags)) : '0'),
        is_number: true,
        is_spare: true,
      },
      ...(whole <= QUESTIONS ? questions.map(question) : []),
    ];
  }

  #questionColumns() {
    const bars = ({ right, wrong, whole }) => {
      const drawn = verdicts();
      drawn.set(right, wrong, whole);
      return drawn.element;
    };
    return [
      { key: 'order', label: 'Question', value: ({ order }) => order, text: ({ order, text }) => `${order}. ${text}` },
      { key: 'right', label: '✓ Right', value: ({ right }) => right, is_number: true },
      { key: 'wrong', label: '✗ Wrong', value: ({ wrong }) => wrong, is_number: true },
      {
        key: 'share',
        label: 'Share right',
        value: ({ share }) => Math.round(share),
        text: ({ share }) => (share < 0 ? '–' : `${number(Math.round(share))} %`),
        is_number: true,
      },
      {
        key: 'drawing',
        label: 'Drawn',
        sort: false,
        is_spare: true,
        value: () => '',
        mark: ({ right, wrong, whole }) => `${right}/${wrong}/${whole}`,
        cell: bars,
      },
    ];
  }

  #leaderColumns() {
    return [
      { key: 'rank', label: 'Rank', value: ({ rank }) => rank, is_number: true },
      { key: 'alias', label: 'Who', value: ({ alias }) => alias },
      { key: 'score', label: 'Points', value: ({ score }) => score, is_number: true },
      { key: 'answered', label: 'Answered', value: ({ answered_count }) => answered_count, is_number: true },
    ];
  }

  async #quizzes() {
    try {
      const { data } = await this.session.rest.quiz.get('/api/v1/quizzes', { limit: PAGE });
      const named = data.items.map(({ id, title, status }) => [String(id), status === 'published' ? title : `${title} (${status})`]);
      this.choice.set([['', named.length === 0 ? 'you own none' : 'choose one'], ...named]);
      this.known = new Set(named.map(([id]) => id));
      this.address();
    } catch (refusal) {
      if (refusal.status === 401) return this.session.expired();
      write(this.standing, `The quizzes cannot be read: ${refusal.message}`);
    }
  }

  /** Watches the quiz that the address names. */
  address() {
    const asked = location.hash.split('/')[1];
    if (this.known?.has(asked) && asked !== String(this.id)) this.watch(Number(asked));
  }

  /** Watches a quiz from now on. */
  async watch(id) {
    if (this.id !== undefined) for (const channel of ['quiz', 'leaderboard']) this.line.unsubscribe(`${channel}:${this.id}`);
    this.id = id;
    this.choice.select.value = String(id);
    history.replaceState(null, '', `#quiz/${id}`);
    try {
      const { data } = await this.session.rest.quiz.get(`/api/v1/quizzes/${id}`);
      if (id !== this.id) return;
      this.quiz = data;
    } catch (refusal) {
      return write(this.standing, `The quiz cannot be read: ${refusal.message}`);
    }
    Object.assign(this, { attempts: new Attempts(this.quiz.questions), rates: new History(), answers: 0 });
    this.grid.reshape(this.#columns(this.quiz.questions));
    this.leaders.set([]);
    show(this.board, true);
    for (const channel of ['quiz', 'leaderboard']) this.line.watch(`${channel}:${id}`);
    this.draw();
    this.#load();
  }

  /** What there is already: heard again after each return, since nothing is told twice. */
  async #load() {
    const { id, attempts } = this;
    if (!attempts) return;
    const rows = [];
    try {
      for (;;) {
        const { data } = await this.session.rest.quiz.get('/api/v1/info/attempts', {
          quiz_id: id,
          limit: PAGE,
          offset: rows.length,
        });
        rows.push(...data.items);
        data.items.forEach((row) => attempts.list(row));
        if (attempts !== this.attempts) return;
        this.redraw();
        if (data.items.length < PAGE || rows.length >= data.total) break;
      }
      // The furthest first, as the grid has them.
      const answered = rows.filter(({ answered_count, attempt_id }) => answered_count > attempts.one(attempt_id).marks.size);
      const asked = answered.sort((a, b) => b.answered_count - a.answered_count).map(({ attempt_id }) => attempt_id);
      this.unread = asked.length;
      asked.length = Math.min(asked.length, ASKED);
      await Promise.all(Array.from({ length: AT_ONCE }, () => this.#details(asked, attempts)));
    } catch (refusal) {
      write(this.standing, `The attempts cannot be read: ${refusal.message}`);
    }
    this.redraw();
  }

  async #details(asked, attempts) {
    for (let id = asked.shift(); id !== undefined && attempts === this.attempts; id = asked.shift()) {
      const { data } = await this.session.rest.quiz.get(`/api/v1/info/attempts/${id}`);
      attempts.detail(id, data.answers);
      this.unread -= 1;
      this.redraw();
    }
  }

  #stands({ state, millis, why }) {
    const words = {
      connecting: 'Connecting …',
      ready: 'Live.',
      waiting: `The connection was lost; trying again in ${duration((millis ?? 0) / 1_000)}.`,
      over: why === 'stopped' ? '' : `Not connected: ${why}`,
    };
    write(this.standing, words[state]);
    if (state === 'ready') this.#load();
  }

  #hear({ event, t, channel, data, snapshot, error }) {
    if (event === 'error') write(this.standing, error);
    if (event === 'snapshot' && channel === 'leaderboard' && snapshot.every(({ quiz_id }) => quiz_id === this.id))
      this.leaders.set(snapshot);
    if (event !== 'update' || channel !== 'quiz' || data.quiz_id !== this.id || !this.attempts) return;
    if (this.attempts.hear(t, data)) this.answers += 1;
    this.redraw();
  }

  #second() {
    if (!this.rates) return;
    this.rates.add(this.answers);
    this.answers = 0;
    this.#drawRate();
  }

  #drawRate() {
    const last = this.rates.values.slice(-3);
    const mean = last.reduce((sum, value) => sum + value, 0) / Math.max(last.length, 1);
    this.tiles.rate.set(number(mean), 'a second');
    this.tiles.rate.line.draw(this.rates);
  }

  draw() {
    const { questions } = this.quiz;
    const rows = [...this.attempts.all.values()];
    const running = rows.filter(({ status }) => status === 'running').length;
    this.tiles.running.set(number(running), running === 1 ? 'person' : 'people');
    this.tiles.ended.set(number(rows.length - running), rows.length - running === 1 ? 'attempt' : 'attempts');
    const tallies = this.attempts.verdicts(questions);
    let [right, all] = [0, 0];
    const told = questions.map(({ order, text }) => {
      const tally = tallies.get(order);
      const judged = tally.right + tally.wrong;
      right += tally.right;
      all += judged;
      return { order, text, ...tally, share: judged > 0 ? (tally.right / judged) * 100 : -1, whole: rows.length };
    });
    this.tiles.right.set(all > 0 ? number((right / all) * 100) : '–', '%', `${number(right)} of ${number(all)} answers that are judged`);
    this.questions.set(told);
    this.grid.set(rows);
    this.#drawSteps(rows, questions.length);
    this.#drawFlags();
    const note = this.unread > 0 ? `Reading what was answered before this page watched: ${number(this.unread)} attempts are left. ` : '';
    write(this.note, note + (questions.length > QUESTIONS ? `A quiz of more than ${QUESTIONS} questions has no column for each.` : ''));
    if (this.ended !== rows.length - running && this.ended !== undefined) announce(`${number(rows.length - running)} attempts have ended.`);
    this.ended = rows.length - running;
  }

  #drawSteps(rows, whole) {
    const steps = Math.min(STEPS, Math.max(whole, 1));
    const counts = Array.from({ length: steps + 1 }, () => 0);
    for (const { answered } of rows) counts[Math.min(steps, Math.floor((answered / Math.max(whole, 1)) * steps))] += 1;
    this.steps.set(counts, (place) => (steps === whole ? `${place}` : `${Math.round((place / steps) * 100)}%`));
  }

  #drawFlags() {
    const text = this.attempts.flags.map(({ at, alias }) => `${at}${alias}`).join();
    if (this.flags_text === text && this.flagged.children.length > 0) return;
    this.flags_text = text;
    const lines = this.attempts.flags.map(({ alias, labels, at }) =>
      h('li', {}, h('time', {}, clock(at)), icon('warn'), h('span', { class: 'who' }, alias), h('span', {}, labels.join(', '))),
    );
    this.flagged.replaceChildren(
      ...(lines.length > 0 ? lines : [h('li', { class: 'empty' }, 'Nothing was flagged since this page watches.')]),
    );
  }
}

function sign(kind) {
  const [shape, words] = MARKS[kind];
  return h('span', { class: `mark box ${kind}` }, h('span', { 'aria-hidden': 'true' }, shape), h('span', { class: 'unseen' }, words));
}
