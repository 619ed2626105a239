// What the reader chose for this browser: colours, zone, sound, desktop notifications. Every choice works at once.

import { setZone } from './clock.js';
import { kept, keep } from './kept.js';

const dialog = document.getElementById('view');
const button = document.getElementById('view-button');
const form = dialog?.querySelector('form');

if (form && button) {
  button.hidden = false;
  button.addEventListener('click', () => { show(); dialog.showModal(); });
  form.addEventListener('change', ({ target }) => chosen(target));
}

function show() {
  form.theme.value = kept('theme', 'auto');
  form.zone.value = kept('zone', 'utc');
  form.sound.checked = kept('sound', 'no') === 'yes';
  form.desktop.checked = kept('desktop', 'no') === 'yes' && permission() === 'granted';
}

const permission = () => ('Notification' in window ? Notification.permission : 'denied');

async function chosen(field) {
  const problem = form.querySelector('[role=alert]');
  problem.hidden = true;
  if (field.name === 'theme') {
    keep('theme', field.value);
    if (field.value === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = field.value;
  } else if (field.name === 'zone') {
    keep('zone', field.value);
    setZone(field.value);
  } else if (field.name === 'sound') {
    keep('sound', field.checked ? 'yes' : 'no');
  } else if (field.name === 'desktop') {
    const allowed = field.checked && 'Notification' in window && (await Notification.requestPermission()) === 'granted';
    if (field.checked && !allowed) {
      field.checked = false;
      problem.textContent = 'This browser does not allow notifications from here.';
      problem.hidden = false;
    }
    keep('desktop', allowed ? 'yes' : 'no');
  }
}

for (const print of document.querySelectorAll('[data-print]')) {
  print.hidden = false;
  print.addEventListener('click', () => window.print());
}
