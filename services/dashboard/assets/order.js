// Moving overrides: a handle is dragged, or the arrow keys move its row; where that leads is looked at before it is sent.
// The row only stands elsewhere in this page until the form answers; Escape puts it back.

import { announce } from './say.js';

const body = document.getElementById('order');
const form = document.getElementById('order-form');
const rows = () => [...body.querySelectorAll('tr[data-override]')];
const nameOf = (row) => row.querySelector('strong').textContent.trim();

let before = null;
let dragged = null;

function begin(row) {
  if (before?.row !== row) {
    undo();
    before = { row, order: rows() };
  }
}

function undo() {
  if (!before) return;
  body.append(...before.order);
  before.row.classList.remove('is-moved');
  before = null;
}

function say(row) {
  const place = rows().indexOf(row) + 1;
  row.classList.toggle('is-moved', before.order.indexOf(row) + 1 !== place);
  announce(`${nameOf(row)}: place ${place} of ${rows().length}. Enter looks at it, Escape puts it back.`);
}

function look(row) {
  const now = rows();
  const place = now.indexOf(row);
  if (!before || before.order.indexOf(row) === place) { undo(); return; }
  form.elements.moved.value = row.dataset.override;
  form.elements.after.value = place ? now[place - 1].dataset.override : 'first';
  form.submit();
}

function step(row, by) {
  begin(row);
  const now = rows();
  const beside = now[now.indexOf(row) + by];
  if (!beside) return;
  if (by < 0) beside.before(row);
  else beside.after(row);
  row.querySelector('.handle').focus();
  say(row);
}

function onKey(event) {
  const row = event.target.closest('tr[data-override]');
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const acts = {
    ArrowUp: () => step(row, -1),
    ArrowDown: () => step(row, 1),
    Enter: () => look(row),
    Escape: () => { undo(); row.querySelector('.handle').focus(); announce('Nothing is moved.'); },
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  event.stopPropagation();
  acts[event.key]();
}

function onDown(event) {
  if (event.button !== 0) return;
  dragged = event.target.closest('tr[data-override]');
  begin(dragged);
  event.target.setPointerCapture(event.pointerId);
}

function onMove(event) {
  if (!dragged) return;
  const over = rows().find((row) => {
    const { top, bottom } = row.getBoundingClientRect();
    return row !== dragged && event.clientY >= top && event.clientY < bottom;
  });
  if (!over) return;
  const { top, height } = over.getBoundingClientRect();
  const isUpper = event.clientY < top + height / 2;
  const above = rows().indexOf(over) < rows().indexOf(dragged);
  if (above && isUpper) over.before(dragged);
  else if (!above && !isUpper) over.after(dragged);
  else return;
  say(dragged);
}

function onUp() {
  const row = dragged;
  dragged = null;
  if (row) look(row);
}

function onCancel() {
  dragged = null;
  undo();
}

if (body && form) {
  for (const handle of body.querySelectorAll('.handle')) {
    handle.hidden = false;
    handle.addEventListener('keydown', onKey);
    handle.addEventListener('pointerdown', onDown);
    handle.addEventListener('pointermove', onMove);
    handle.addEventListener('pointerup', onUp);
    handle.addEventListener('pointercancel', onCancel);
  }
  document.getElementById('order-hint').hidden = false;
}
