// What views are made of: elements, numbers with their units, tables that screen readers can read, and signs that need no colour.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: attributes and listeners (`onclick`) by name, children as texts or nodes. */
export function h(tag, given = {}, ...children) {
  return fill(document.createElement(tag), given, children);
}

/** The same of a drawing. */
export function s(tag, given = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), given, children);
}

function fill(element, given, children) {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** Writes a text where it differs: what has not changed is not touched, and screen readers stay quiet. */
export function write(element, text) {
  const value = String(text);
  if (element.textContent !== value) element.textContent = value;
  return element;
}

/** Shows and hides. */
export function show(element, is_shown) {
  element.hidden = !is_shown;
}

const PATHS = {
  good: 'M5 12.5l4.5 4.5L19 7.5',
  warn: 'M12 4.5L21 19.5H3zM12 10v4.5M12 17v.01',
  bad: 'M6 6l12 12M18 6L6 18',
  wait: 'M12 7v5.5l3.5 2M12 3.5a8.5 8.5 0 1 0 0 17a8.5 8.5 0 1 0 0-17',
  run: 'M8 5.5v13l10-6.5z',
  sleep: 'M9 6.5h7l-7 11h7',
  none: 'M6 12h12',
  open: 'M14 5h5v5M19 5l-9 9M11 6H6v12h12v-5',
};

/** A sign: its shape says what it means, its colour says it again. */
export function icon(name) {
  return s('svg', { class: `icon ${name}`, viewBox: '0 0 24 24', 'aria-hidden': 'true' }, s('path', { d: PATHS[name] }));
}

/** A state in words behind its sign. */
export function state(kind, words) {
  return h('span', { class: `state ${kind}` }, icon(kind), words);
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const two = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

/** A number for people: as many digits as it deserves. */
export function number(value) {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return whole.format(value);
  return (size >= 10 ? one : two).format(value);
}

/** How long something takes, from seconds. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 0.001) return `${number(seconds * 1e6)} µs`;
  if (seconds < 1) return `${number(seconds * 1e3)} ms`;
  if (seconds < 90) return `${number(seconds)} s`;
  if (seconds < 90 * 60) return `${whole.format(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${one.format(seconds / 3600)} h`;
  return `${whole.format(seconds / 86_400)} days`;
}

/** Bytes, in powers of 1,024. */
export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = value > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(value) / 10)) : 0;
  return `${number(value / 1024 ** power)} ${units[power]}`;
}

/** A time of day. */
export function clock(time) {
  return new Date(time).toLocaleTimeString('en-GB');
}

/** A day and a time. */
export function moment(time) {
  const date = new Date(time);
  return `${date.toLocaleDateString('en-CA')} ${date.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })}`;
}

/** A part of a page, with its heading. */
export function panel(title, given = {}, ...children) {
  const id = `h-${title.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`;
  const { note, tools, wide, ...rest } = given;
  const head = h('div', { class: 'head' }, h('h2', { id }, title), tools);
  return h(
    'section',
    { ...rest, class: `panel${wide ? ' wide' : ''}`, 'aria-labelledby': id },
    head,
    note && h('p', { class: 'note' }, note),
    children,
  );
}

/** A figure that is seen from afar: `set(value, unit, more)`. */
export function tile(label, drawing) {
  const value = h('span', { class: 'value' }, '–');
  const unit = h('span', { class: 'unit' });
  const more = h('p', { class: 'more' });
  const element = h(
    'div',
    { class: 'tile', role: 'group', 'aria-label': label },
    h('p', { class: 'label' }, label),
    h('div', { class: 'row' }, h('p', { class: 'figure' }, value, ' ', unit), drawing),
    more,
  );
  const set = (number, of, about = '') => {
    write(value, number);
    write(unit, of);
    write(more, about);
  };
  return { element, set };
}

/** What is told once to those who listen. */
export function announce(text) {
  const place = document.getElementById('said');
  if (place) place.textContent = text;
}

/** Calls at most once in `millis()` milliseconds, and once more after the last call. */
export function calmly(act, millis = () => 250) {
  let timer;
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      act();
    }, millis());
  };
}

/**
 * A table of things: sorted by its headings, filtered by a text, and no longer than a page, so that three thousand rows cost no more than a
 * hundred. Columns: `{ key, label, value(row), cell(row), sort, is_number, is_spare }`; `value` is what is sorted and filtered by, `cell` a
 * node in its place, and narrow pages leave out what is spare. Rows keep their elements by `id(row)`.
 */
export class Table {
  #rows = [];
  #elements = new Map();
  #page = 0;

  constructor({ caption, columns, id, size = 100, sort, empty = 'Nothing here.', filter = false, head }) {
    Object.assign(this, { columns, id, size, empty });
    this.sort = sort ?? { key: columns[0].key, down: false };
    this.text = '';
    this.body = h('tbody');
    this.headings = h(
      'tr',
      {},
      columns.map((column) => this.#heading(column)),
    );
    this.caption = h('caption', { class: 'unseen' }, caption);
    this.table = h('table', {}, this.caption, h('thead', {}, this.headings), this.body);
    this.count = h('span', { class: 'count', role: 'status' });
    this.before = h('button', { type: 'button', onclick: () => this.#turn(-1) }, 'Previous');
    this.after = h('button', { type: 'button', onclick: () => this.#turn(1) }, 'Next');
    this.pages = h('div', { class: 'pages', hidden: true }, this.before, this.after);
    this.foot = h('div', { class: 'bar foot' }, this.count, this.pages);
    this.filter = filter;
    const field =
      filter &&
      h(
        'label',
        { class: 'field' },
        'Filter ',
        h('input', { type: 'search', autocomplete: 'off', oninput: ({ target }) => this.#narrow(target.value) }),
      );
    this.element = h(
      'div',
      { class: 'list' },
      (field || head) && h('div', { class: 'bar' }, field, head),
      h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': `${caption} (table)` }, this.table),
      this.foot,
    );
  }

  #heading(column) {
    const given = { scope: 'col', class: kinds(column), 'data-key': column.key };
    if (column.sort === false) return h('th', given, column.label);
    return h(
      'th',
      given,
      h('button', { type: 'button', onclick: () => this.#order(column) }, column.label, h('span', { class: 'way', 'aria-hidden': 'true' })),
    );
  }

  #order(column) {
    this.sort = { key: column.key, down: this.sort.key === column.key ? !this.sort.down : Boolean(column.is_number) };
    this.#page = 0;
    this.draw();
  }

  #narrow(text) {
    this.text = text.trim().toLowerCase();
    this.#page = 0;
    this.draw();
  }

  #turn(by) {
    this.#page += by;
    this.draw();
  }

  /** All there is. */
  set(rows) {
    this.#rows = rows;
    this.draw();
  }

  /** Other columns; the rows are drawn anew. */
  reshape(columns) {
    this.columns = columns;
    this.#elements.clear();
    this.headings.replaceChildren(...columns.map((column) => this.#heading(column)));
    this.draw();
  }

  draw() {
    const column = this.columns.find(({ key }) => key === this.sort.key) ?? this.columns[0];
    const way = this.sort.down ? -1 : 1;
    const texts = (row) =>
      this.columns
        .map(({ value }) => String(value(row) ?? ''))
        .join('\u0000')
        .toLowerCase();
    const found = this.text ? this.#rows.filter((row) => texts(row).includes(this.text)) : this.#rows;
    const [first] = this.columns;
    const compare = (a, b) => ((a ?? '') > (b ?? '') ? 1 : (a ?? '') < (b ?? '') ? -1 : 0);
    const keyed = found.map((row) => [column.value(row), first.value(row), row]);
    keyed.sort(([a, one], [b, other]) => way * compare(a, b) || compare(one, other));
    const last = Math.max(0, Math.ceil(found.length / this.size) - 1);
    this.#page = Math.min(Math.max(0, this.#page), last);
    const start = this.#page * this.size;
    const shown = keyed.slice(start, start + this.size).map(([, , row]) => this.#row(row));
    this.#elements = new Map(shown.map((element) => [element.id_of, element]));
    if (shown.length === 0)
      shown.push(h('tr', { class: 'empty' }, h('td', { colspan: this.columns.length }, this.text ? 'Nothing matches.' : this.empty)));
    this.#place(shown);
    for (const heading of this.headings.children) {
      const is_sorted = heading.dataset.key === column.key && heading.querySelector('button');
      if (is_sorted) heading.setAttribute('aria-sort', this.sort.down ? 'descending' : 'ascending');
      else heading.removeAttribute('aria-sort');
    }
    const end = Math.min(start + this.size, found.length);
    write(
      this.count,
      found.length > this.size
        ? `${number(start + 1)}–${number(end)} of ${number(found.length)}`
        : found.length === 1
          ? '1 row'
          : `${number(found.length)} rows`,
    );
    show(this.pages, found.length > this.size);
    // A short list is counted at a glance.
    show(this.foot, this.filter || found.length > this.size);
    this.before.disabled = this.#page === 0;
    this.after.disabled = this.#page === last;
  }

  #place(shown) {
    shown.forEach((element, place) => {
      const there = this.body.children[place];
      if (there !== element) this.body.insertBefore(element, there ?? null);
    });
    while (this.body.children.length > shown.length) this.body.lastChild.remove();
  }

  #row(row) {
    const id = this.id(row);
    let element = this.#elements.get(id);
    if (!element) {
      element = h(
        'tr',
        {},
        this.columns.map((column, place) => h(place === 0 ? 'th' : 'td', { scope: place === 0 && 'row', class: kinds(column) })),
      );
      element.id_of = id;
      element.shown = [];
    }
    this.columns.forEach(({ value, cell, text, mark }, place) => {
      // A cell is made again only when what it shows has changed, so that a button in it keeps the focus.
      const about = mark ? mark(row) : value(row);
      if (element.shown[place] === about && element.shown.length > place) return;
      element.shown[place] = about;
      if (cell) element.children[place].replaceChildren(...[cell(row)].flat());
      else write(element.children[place], text ? text(row) : typeof about === 'number' ? number(about) : (about ?? '–'));
    });
    return element;
  }
}

const kinds = ({ is_number, is_spare, kind }) => [is_number && 'number', is_spare && 'spare', kind].filter(Boolean).join(' ') || undefined;

/** A choice of one among several, as a labelled select: `set([[value, words], …])`. */
export function choice(label, onchange) {
  const select = h('select', { onchange: () => onchange(select.value) });
  const element = h('label', { class: 'field' }, `${label} `, select);
  const set = (options) => {
    const wanted = options.map(([value, words]) => `${value}\u0000${words}`).join('\u0001');
    if (select.dataset.options === wanted) return;
    select.dataset.options = wanted;
    const { value } = select;
    select.replaceChildren(...options.map(([value, words]) => h('option', { value }, words)));
    if (options.some(([own]) => own === value)) select.value = value;
  };
  return { element, select, set };
}
