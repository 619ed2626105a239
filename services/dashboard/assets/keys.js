// The keyboard: letters outside of fields only, Escape closes the top layer only.

const dialog = document.getElementById('keys');
const layered = () => document.querySelector('dialog[open]');
let after = '';
let afterAt = 0;

const places = {
  p: () => go('/', 'prefixes'),
  l: () => go('/', 'log'),
  i: () => { location.href = '/incidents'; },
  t: () => { location.href = '/traffic'; },
};

function go(path, id) {
  const target = location.pathname === path && document.getElementById(id);
  if (!target) { location.href = `${path}#${id}`; return; }
  target.scrollIntoView({ block: 'start' });
  (target.querySelector('[data-row]:not([hidden])') ?? target).focus();
}

function step(by) {
  const rows = [...document.querySelectorAll('[data-row]:not([hidden])')];
  const at = rows.indexOf(document.activeElement?.closest('[data-row]'));
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

function open() {
  const row = document.activeElement;
  if (!row?.hasAttribute('data-row')) return false;
  const link = row.querySelector('a[href]');
  const why = row.querySelector('details.why');
  if (why) why.open = !why.open;
  else if (link) link.click();
  return true;
}

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const field = event.target.closest?.('input, select, textarea');
  if (event.key === 'Escape') { close(event, field); return; }
  if (field || layered()) return;
  const now = performance.now();
  if (after === 'g' && now - afterAt < 1500 && places[event.key]) {
    after = '';
    event.preventDefault();
    places[event.key]();
    return;
  }
  [after, afterAt] = [event.key, now];
  const acts = { '?': () => dialog?.showModal(), '/': () => document.getElementById('log-search')?.focus(), j: () => step(1), k: () => step(-1) };
  if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
  else if (event.key === 'Enter' && open()) event.preventDefault();
});

function close(event, field) {
  if (layered()) return;
  if (field?.type === 'search' && field.value) { field.value = ''; field.dispatchEvent(new Event('input')); event.preventDefault(); return; }
  const layer = document.activeElement?.closest('details[open]');
  if (layer) { layer.open = false; layer.querySelector('summary')?.focus(); event.preventDefault(); return; }
  const menu = document.querySelector('.menu[open]');
  if (menu) { menu.open = false; menu.querySelector('summary').focus(); event.preventDefault(); return; }
  field?.blur();
}
