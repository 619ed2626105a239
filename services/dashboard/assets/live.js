// Keeps the page current. The server's stream says that something changed; the page then fetches itself and takes over
// what differs. Without a stream it asks every few seconds, and says since when it is not live.
//
// All tabs of a browser share one stream: over HTTP/1.1 a browser has six connections to a host, and a seventh tab with
// a stream of its own would wait for ever. Whoever holds the lock has the stream and passes on what it says.

import { judge } from './alarm.js';
import { age, localize, now, setNow, tick } from './clock.js';
import { seal } from './folded.js';
import { morph } from './morph.js';
import { announce, say } from './say.js';
import { reveal } from './search.js';

/** A stream ticks every 10 s; two missed ticks and a bit are a dead line. */
const SILENCE_MS = 25_000;
/** How often the page asks when there is no stream. */
const ASK_EVERY_MS = 5_000;
/** Nothing heard for so long: what is shown can no longer be taken for the present. */
const LOST_MS = 30_000;
/** A reader who touched nothing for so long does not keep the session alive. */
const ATTENDED_MS = 60_000;

let version = document.body.dataset.version;
let stream = null;
let heardAt = performance.now();
let freshAt = now();
let notLiveSince = now();
let isLive = false;
let ended = false;
let fetching = false;
let again = false;
let touchedAt = performance.now();
let lastAnnounced = headline(document);
let renewTold = false;

const others = 'BroadcastChannel' in window ? new BroadcastChannel('live') : null;
if (others) others.onmessage = ({ data }) => handle(data.event, data.data);

/** Begins. */
export function follow() {
  for (const kind of ['pointerdown', 'keydown', 'scroll', 'touchstart']) {
    addEventListener(kind, () => { touchedAt = performance.now(); }, { passive: true, capture: true });
  }
  document.addEventListener('visibilitychange', () => { if (!document.hidden) wake(); });
  addEventListener('online', wake);
  // The lock is held as long as the tab lives; without locks every tab has a stream of its own.
  if (navigator.locks && others) navigator.locks.request('live', () => { connect(); return new Promise(() => {}); });
  else connect();
  setInterval(watch, 1000);
  setInterval(() => { if (!isLive && !document.hidden) refresh(); }, ASK_EVERY_MS);
}

function wake() {
  if (stream && performance.now() - heardAt > SILENCE_MS) connect();
  refresh();
}

function connect() {
  if (ended) return;
  stream?.close();
  stream = new EventSource('/api/live');
  heardAt = performance.now();
  for (const event of ['overview', 'tick', 'trouble', 'ended']) {
    stream.addEventListener(event, ({ data }) => {
      others?.postMessage({ event, data });
      handle(event, data);
    });
  }
  stream.addEventListener('error', () => {
    setLive(false);
    // The browser gives up for good when the answer was an error: then asking tells why, and a later try may work.
    if (stream.readyState === EventSource.CLOSED) { refresh(); setTimeout(connect, ASK_EVERY_MS); }
  });
}

function handle(event, data) {
  if (event === 'ended') { end(); return; }
  heardAt = performance.now();
  if (event === 'trouble') { setLive(false); return; }
  let told = null;
  try { told = JSON.parse(data); } catch { return; }
  if (told.at) setNow(Date.parse(told.at));
  freshAt = now();
  setLive(true);
  if (event === 'overview' && String(told.version) !== version) refresh();
}

function watch() {
  if (isLive && performance.now() - heardAt > SILENCE_MS) { setLive(false); if (stream) connect(); }
  show();
}

function setLive(live) {
  if (isLive && !live) notLiveSince = now();
  isLive = live && !ended;
  show();
}

function show() {
  const shown = document.getElementById('live');
  if (shown) {
    shown.classList.toggle('is-live', isLive);
    shown.classList.toggle('t-unknown', !isLive);
    const text = isLive ? 'yes' : `not since ${age(now() - notLiveSince)}`;
    const strong = shown.querySelector('strong');
    if (strong && strong.textContent !== text) strong.textContent = text;
  }
  const lost = !ended && now() - freshAt > LOST_MS;
  document.body.classList.toggle('is-disconnected', lost || ended);
  const bar = document.getElementById('connection');
  if (!bar || ended) return;
  bar.hidden = !lost;
  const text = lost ? `No connection to the dashboard. Everything below is ${age(now() - freshAt)} old.` : '';
  if (lost && bar.textContent !== text) bar.textContent = text;
}

function end() {
  ended = true;
  stream?.close();
  setLive(false);
  const bar = document.getElementById('connection');
  const link = document.createElement('a');
  link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  link.textContent = 'Sign in again';
  bar.replaceChildren('Your session has ended; what is shown grows old. ', link);
  bar.hidden = false;
  document.body.classList.add('is-disconnected');
}

/** Fetches the page again and takes over what differs. */
export async function refresh() {
  if (ended) return;
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const headers = { accept: 'text/html' };
    if (performance.now() - touchedAt > ATTENDED_MS) headers['x-unattended'] = '1';
    const answer = await fetch(location.pathname + location.search, { headers, signal: AbortSignal.timeout(12_000) });
    if (answer.redirected) { end(); return; }
    if (!answer.ok) return;
    await take(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    freshAt = now();
  } catch {
    // Not reached: the bar says since when.
  } finally {
    fetching = false;
    if (again) { again = false; refresh(); }
  }
}

/** Longest piece of work before the reader's hand gets a turn. */
const TURN_MS = 12;
const turn = () => new Promise((passed) => { setTimeout(passed); });

async function take(fresh) {
  if (fresh.body.dataset.assets !== document.body.dataset.assets) { renew(); return; }
  version = fresh.body.dataset.version;
  setNow(Number(fresh.body.dataset.now));
  document.title = fresh.title;
  const icon = document.getElementById('favicon');
  const newer = fresh.getElementById('favicon')?.getAttribute('href');
  if (icon && newer && icon.getAttribute('href') !== newer) icon.setAttribute('href', newer);
  const secret = fresh.querySelector('meta[name=csrf]')?.content;
  if (secret) document.querySelector('meta[name=csrf]')?.setAttribute('content', secret);
  seal(fresh);
  let began = performance.now();
  for (const region of document.querySelectorAll('[data-live]')) {
    if (performance.now() - began > TURN_MS) { await turn(); began = performance.now(); }
    const newer = fresh.querySelector(`[data-live="${region.dataset.live}"]`);
    if (!newer) continue;
    if (region.hasAttribute('data-collect')) reveal.collect(region, newer);
    else morph(region, newer);
  }
  tick();
  localize();
  show();
  judge();
  const words = headline(document);
  if (words && words !== lastAnnounced) announce(words);
  lastAnnounced = words;
}

/** The dashboard was updated: this page's scripts belong to another version. Nothing half typed is thrown away. */
function renew() {
  if (!document.querySelector('details.hold[open], details.act[open]')) { location.reload(); return; }
  if (!renewTold) say('The dashboard was updated. Reload the page when you are done here.', true);
  renewTold = true;
}

/** What a screen reader is told when it changes: the figures of the status line that matter. */
function headline(page) {
  const stats = [...page.querySelectorAll('.status .stat')].slice(0, -3);
  const figures = stats.filter((stat) => !stat.hasAttribute('data-old-after'));
  return figures.map((stat) => [...stat.children].map((part) => part.textContent.replace(/\s+/g, ' ').trim()).join(' ')).join(', ');
}

