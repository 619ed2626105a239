// Forms marked data-send are sent without leaving the page, and answered in place.

import { refresh } from './live.js';
import { say } from './say.js';

document.addEventListener('submit', async (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !form.hasAttribute('data-send')) return;
  event.preventDefault();
  const button = event.submitter ?? form.querySelector('button');
  if (button?.getAttribute('aria-busy') === 'true') return;
  button?.setAttribute('aria-busy', 'true');
  problem(form, '');
  try {
    const fields = Object.fromEntries([...new FormData(form)].filter(([name]) => name !== 'csrf'));
    const answer = await fetch(form.getAttribute('action'), {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', 'x-csrf-token': secret() },
      body: JSON.stringify(fields),
      signal: AbortSignal.timeout(15_000),
    });
    const told = await answer.json();
    if (!answer.ok) { problem(form, told.error ?? 'It was refused.'); return; }
    const details = form.closest('details');
    if (details) { details.open = false; details.querySelector('summary')?.focus(); }
    form.reset();
    say(told.message ?? 'Done.');
    await refresh();
  } catch {
    problem(form, 'No answer. It is not known whether it was done: look before you repeat it.');
    refresh();
  } finally {
    button?.removeAttribute('aria-busy');
  }
});

function problem(form, text) {
  const line = form.querySelector('[role=alert]');
  if (line) { line.textContent = text; line.hidden = !text; }
  else if (text) say(text, true);
}

const secret = () => document.querySelector('meta[name=csrf]')?.content ?? '';
