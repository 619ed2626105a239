// What is folded away is sent as text and made into elements when it is opened: most of it never is, and a page of some
// thousand elements fewer is there sooner on a phone.
//
// A browser without scripts shows what is inside of noscript; one with scripts takes it for text.

import { localize, tick } from './clock.js';
import { morph } from './morph.js';

const sealedIn = (details) => details.querySelector(':scope > noscript');
const madeIn = (details) => details.querySelector(':scope > [data-made]');

function elements(sealed) {
  const holder = document.createElement('template');
  holder.innerHTML = sealed.textContent;
  return document.importNode(holder.content, true).firstElementChild;
}

/** Makes what a details holds, once. */
function unfold(details) {
  const sealed = sealedIn(details);
  if (!sealed || madeIn(details)) return;
  const made = elements(sealed);
  if (!made) return;
  made.setAttribute('data-made', '');
  sealed.after(made);
  tick();
  localize();
}

/** Turns what a newer page holds into text, as it is in this one. */
export function seal(page) {
  for (const sealed of page.querySelectorAll('noscript')) sealed.textContent = sealed.innerHTML;
}

/** Brings what was made of a newer text up to date; forms are the reader's. */
export function follow(sealed) {
  const made = sealed.parentElement && madeIn(sealed.parentElement);
  const newer = made && !made.hasAttribute('data-keep') && elements(sealed);
  if (!newer) return;
  newer.setAttribute('data-made', '');
  morph(made, newer);
}

// Before the browser opens it, so that the next key finds what is inside; and however else it is opened.
document.addEventListener('click', ({ target }) => {
  const details = target.closest?.('summary')?.parentElement;
  if (details) unfold(details);
}, true);
document.addEventListener('toggle', ({ target }) => { if (target.open) unfold(target); }, true);
for (const details of document.querySelectorAll('details[open]')) unfold(details);
