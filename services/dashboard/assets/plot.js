// Curves: what the reader points at in words, and a stretch of it drawn up close.
//
// The curve itself comes with the page and needs none of this.

import { clock } from './clock.js';

const STEPS = [['T', 1e12], ['G', 1e9], ['M', 1e6], ['k', 1e3], ['', 1]];
let begun = null;

/** The same form as words::rates on the server. */
export function rate(perSecond, unit) {
  if (!(perSecond > 0)) return `0 ${unit}`;
  const [prefix, factor] = STEPS.find(([, least]) => perSecond >= least) ?? STEPS[4];
  const value = perSecond / factor;
  const digits = value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
  return `${digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits} ${prefix}${unit}`;
}

/** Where in its curve an event happened: from 0 to 1. */
function place(drawing, event) {
  const { left, width } = drawing.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - left) / width));
}

function instant(figure, part) {
  const { from, step, values } = figure.dataset;
  return Number(from) + part * Number(step) * values.split(',').length;
}

function point(figure, part) {
  const { from, step, unit, values } = figure.dataset;
  const all = values.split(',');
  const number = Math.min(all.length - 1, Math.floor(part * all.length));
  const value = all[number];
  figure.querySelector('output').textContent = `${clock(Number(from) + number * Number(step))}  ${value === '' ? 'not read' : rate(Number(value), unit)}`;
}

/** The cursor stands in every curve of the page that shows the same time. */
function cursors(figure, part) {
  for (const other of document.querySelectorAll('[data-plot]')) {
    const same = other.dataset.from === figure.dataset.from && other.dataset.step === figure.dataset.step;
    if (!same) continue;
    const line = other.querySelector('.cursor');
    for (const name of ['x1', 'x2']) line.setAttribute(name, part === null ? '-9' : `${part * 100}%`);
    if (part === null) other.querySelector('output').textContent = '';
    else point(other, part);
  }
}

function brush(figure, from, to) {
  const rect = figure.querySelector('.brush');
  rect.setAttribute('x', `${Math.min(from, to) * 100}%`);
  rect.setAttribute('width', `${Math.abs(to - from) * 100}%`);
}

const found = (event) => {
  const drawing = event.target.closest?.('.drawing');
  return drawing && { drawing, figure: drawing.closest('[data-plot]') };
};

document.addEventListener('pointermove', (event) => {
  const at = found(event);
  if (!at?.figure) return;
  const part = place(at.drawing, event);
  cursors(at.figure, part);
  if (begun?.figure === at.figure) brush(at.figure, begun.part, part);
});

document.addEventListener('pointerout', (event) => {
  const at = found(event);
  if (at?.figure && !at.drawing.contains(event.relatedTarget)) cursors(at.figure, null);
});

document.addEventListener('pointerdown', (event) => {
  const at = found(event);
  // A finger scrolls; only what can point and press chooses a stretch.
  if (at?.figure && event.pointerType !== 'touch' && event.button === 0) begun = { figure: at.figure, drawing: at.drawing, part: place(at.drawing, event) };
});

document.addEventListener('pointerup', (event) => {
  if (!begun) return;
  const { figure, drawing, part } = begun;
  begun = null;
  const end = place(drawing, event);
  brush(figure, 0, 0);
  if (Math.abs(end - part) * drawing.getBoundingClientRect().width < 8) return;
  // Whole minutes: nothing finer is kept.
  const minute = (at) => new Date(Math.round(at / 60000) * 60000).toISOString().replace('.000', '');
  const [from, to] = [Math.min(part, end), Math.max(part, end)].map((at) => minute(instant(figure, at)));
  if (from !== to) location.assign(`${location.pathname}?from=${from}&to=${to}#traffic`);
});
