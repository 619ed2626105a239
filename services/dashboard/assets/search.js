// The log: a search over the shown rows, and new rows that wait while the reader's hand is on the list.

import { morph } from './morph.js';

const field = document.getElementById('log-search');
const button = document.getElementById('log-new');
const waiting = new Map();

const filters = document.querySelector('#log .filters');
let kind = '';

if (field) {
  field.hidden = false;
  field.addEventListener('input', filter);
}
if (filters) {
  filters.hidden = false;
  filters.addEventListener('click', ({ target }) => {
    const chosen = target.closest('[data-filter]');
    if (!chosen) return;
    kind = chosen.dataset.filter;
    for (const one of filters.children) one.setAttribute('aria-pressed', String(one === chosen));
    filter();
  });
}
button?.addEventListener('click', () => {
  for (const [region, fresh] of [...waiting]) put(region, fresh);
});

function filter() {
  const wanted = field.value.trim().toLowerCase();
  let shown = 0;
  for (const row of document.querySelectorAll('#log tbody tr')) {
    const fits = (!kind || row.dataset.kind === kind) && (wanted === '' || row.textContent.toLowerCase().includes(wanted));
    row.hidden = !fits;
    shown += fits ? 1 : 0;
  }
  const none = document.getElementById('log-none');
  if (none) none.hidden = shown > 0 || (!kind && !wanted);
}

/** Whether somebody is reading or using the list right now. */
function inHand(region) {
  const selection = getSelection();
  const selected = selection && !selection.isCollapsed && region.contains(selection.anchorNode);
  const table = region.closest('table') ?? region;
  const passed = table.getBoundingClientRect().top < 0 && table.getBoundingClientRect().bottom > 0;
  return selected || region.contains(document.activeElement) || region.matches(':hover') || passed;
}

function put(region, fresh) {
  waiting.delete(region);
  morph(region, fresh);
  if (field?.value || kind) filter();
  show();
}

function show() {
  if (!button) return;
  let count = 0;
  for (const [region, fresh] of waiting) {
    const known = new Set([...region.children].map((row) => row.dataset.key));
    count += [...fresh.children].filter((row) => !known.has(row.dataset.key)).length;
  }
  button.hidden = count === 0;
  button.textContent = `${count} new`;
}

export const reveal = {
  /** Takes over a newer list, or keeps its new rows waiting. */
  collect(region, fresh) {
    const known = new Set([...region.children].map((row) => row.dataset.key));
    const hasNew = [...fresh.children].some((row) => !known.has(row.dataset.key));
    if (hasNew && button && inHand(region)) { waiting.set(region, fresh); show(); } else put(region, fresh);
  },
};
