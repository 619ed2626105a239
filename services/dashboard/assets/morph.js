// Takes over what differs between the page and a newer one, and leaves everything else as it is: focus, selection,
// scroll position, open details and half-typed fields stay with the reader.
//
// Elements are matched by data-key or id among their siblings, else by position and kind. What is marked data-keep is
// the reader's or a script's and is never touched; of data-keep-open only the open state is. What a script made of a text
// (data-made) follows that text.

import { follow } from './folded.js';

/** Makes `old` like `fresh`, which is used up. */
export function morph(old, fresh) {
  if (old.hasAttribute('data-keep') && fresh.hasAttribute('data-keep')) return;
  attributes(old, fresh);
  children(old, fresh);
}

function attributes(old, fresh) {
  const stays = (name) => name === 'open' && old.hasAttribute('data-keep-open');
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !stays(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value && !stays(name)) old.setAttribute(name, value);
  }
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id || null : null);
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

/** The first of the nodes from here on that the server wrote. */
function own(node) {
  while (node?.nodeType === Node.ELEMENT_NODE && node.hasAttribute('data-made')) node = node.nextSibling;
  return node;
}

function children(old, fresh) {
  const keyed = new Map([...old.children].map((child) => [keyOf(child), child]).filter(([key]) => key));
  let place = own(old.firstChild);
  for (const next of [...fresh.childNodes]) {
    const key = keyOf(next);
    let found = null;
    if (key) found = keyed.get(key) ?? null;
    else if (place && alike(place, next)) found = place;
    if (!found || found.nodeName !== next.nodeName) {
      const added = document.importNode(next, true);
      old.insertBefore(added, place);
      if (key && added.hasAttribute('data-row')) added.classList.add('is-new');
      continue;
    }
    if (found === place) place = own(place.nextSibling);
    else old.insertBefore(found, place);
    keyed.delete(key);
    if (next.nodeName === 'NOSCRIPT') {
      if (found.textContent !== next.textContent) { found.textContent = next.textContent; follow(found); }
    } else if (next.nodeType === Node.ELEMENT_NODE) morph(found, next);
    else if (found.nodeValue !== next.nodeValue) found.nodeValue = next.nodeValue;
  }
  while (place) {
    const gone = place;
    place = own(place.nextSibling);
    gone.remove();
  }
}
