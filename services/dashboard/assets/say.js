// Short messages: for the eye as toasts, for the ear through live regions.

const SHOWN_MS = 8_000;

/** Tells a screen reader. */
export function announce(text) {
  const region = document.getElementById('announcer');
  if (region) region.textContent = text;
}

/** Shows a message for some seconds; a problem stays until it is clicked. */
export function say(text, isProblem = false) {
  const toasts = document.getElementById('toasts');
  if (!toasts) return;
  const toast = document.createElement('div');
  toast.className = isProblem ? 'toast is-problem' : 'toast';
  toast.textContent = text;
  toast.addEventListener('click', () => toast.remove());
  toasts.append(toast);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  if (!isProblem) setTimeout(() => toast.remove(), SHOWN_MS);
}
