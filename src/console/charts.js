// Small drawings beside the numbers they are of. Each has its meaning in words too; colours only repeat it.

import { h, number, s, write } from './parts.js';

/** Numbers over time, at most `size` of them. */
export class History {
  constructor(size = 90) {
    this.size = size;
    this.values = [];
  }

  add(value) {
    if (!Number.isFinite(value)) return;
    this.values.push(value);
    if (this.values.length > this.size) this.values.shift();
  }
}

const WIDTH = 240;
const HEIGHT = 44;

/** A line of what has been lately; `draw(history)`. */
export function spark(label) {
  const line = s('polyline', { class: 'line', fill: 'none' });
  const area = s('polygon', { class: 'area' });
  const words = s('title');
  const base = s('line', { class: 'base', x1: 0, x2: WIDTH, y1: HEIGHT - 1, y2: HEIGHT - 1 });
  const element = s(
    'svg',
    { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    words,
    base,
    area,
    line,
  );
  const draw = ({ values, size }) => {
    const most = Math.max(...values, 1e-9);
    const x = (place) => ((place + size - values.length) / (size - 1)) * WIDTH;
    const y = (value) => HEIGHT - 3 - (value / most) * (HEIGHT - 8);
    const points = values.map((value, place) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`);
    line.setAttribute('points', points.join(' '));
    area.setAttribute('points', values.length > 1 ? `${x(0).toFixed(1)},${HEIGHT} ${points.join(' ')} ${WIDTH},${HEIGHT}` : '');
    const last = values.at(-1) ?? 0;
    element.setAttribute('aria-label', `${label}: ${number(last)} now, ${number(Math.max(...values, 0))} at most lately`);
    words.textContent = element.getAttribute('aria-label');
  };
  return { element, draw };
}

/** A share of a whole as a bar, for a cell of a table or a line of its own: `set(part, whole, words)`. */
export function meter(label) {
  const bar = h('span', { class: 'bar-part' });
  const element = h('span', { class: 'meter', role: 'img', 'aria-label': label }, bar);
  const set = (part, whole, words) => {
    const share = whole > 0 ? Math.min(1, part / whole) : 0;
    bar.style.inlineSize = `${(share * 100).toFixed(1)}%`;
    element.setAttribute('aria-label', words ?? `${label}: ${number(share * 100)} %`);
  };
  return { element, set };
}

/** Right and wrong side by side: two bars that also differ by their pattern. */
export function verdicts() {
  const right = h('span', { class: 'right' });
  const wrong = h('span', { class: 'wrong' });
  const element = h('span', { class: 'verdicts', 'aria-hidden': 'true' }, right, wrong);
  const set = (good, bad, whole) => {
    right.style.inlineSize = `${((good / Math.max(whole, 1)) * 100).toFixed(1)}%`;
    wrong.style.inlineSize = `${((bad / Math.max(whole, 1)) * 100).toFixed(1)}%`;
  };
  return { element, set };
}

/** How many have come how far: a column for each step. */
export function columns(label) {
  const element = h('ol', { class: 'columns', 'aria-label': label });
  const set = (counts, name) => {
    const most = Math.max(...counts, 1);
    while (element.children.length > counts.length) element.lastChild.remove();
    while (element.children.length < counts.length) {
      element.append(
        h(
          'li',
          {},
          h('span', { class: 'count' }),
          h('span', { class: 'column', 'aria-hidden': 'true' }, h('span')),
          h('span', { class: 'step' }),
        ),
      );
    }
    counts.forEach((count, place) => {
      const [number_of, column, step] = element.children[place].children;
      write(number_of, number(count));
      write(step, name(place));
      column.firstChild.style.blockSize = `${((count / most) * 100).toFixed(1)}%`;
    });
  };
  return { element, set };
}
