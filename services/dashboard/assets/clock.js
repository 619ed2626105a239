// Ages, countdowns and instants, by the server's clock and in the reader's zone.
//
// The reader's clock may be wrong by hours, so only its pace is used: the page says what time it was at the server, and
// performance.now() says how long ago that was. A countdown stops where the service that would keep the deadline has
// not vouched any further; it never runs on by itself. The server writes UTC everywhere and says so; a reader who chose
// another zone gets every instant of the page in that one, and every place that says the zone says it.

import { kept } from './kept.js';

let serverAt = Number(document.body.dataset.now);
let readAt = performance.now();
let zone = kept('zone', 'utc');

/** The server's time in milliseconds. */
export function now() {
  return serverAt + (performance.now() - readAt);
}

/** Takes over the server's time from something it just sent. */
export function setNow(milliseconds) {
  if (!Number.isFinite(milliseconds)) return;
  serverAt = milliseconds;
  readAt = performance.now();
  tick();
}

/** Shows instants in `utc` or `local` time from now on. */
export function setZone(wanted) {
  const back = zone === 'local' && wanted === 'utc';
  zone = wanted;
  // Sentences are written by the server: only it can write them in UTC again.
  if (back) location.reload();
  else localize();
}

/** The same form as words::age on the server. */
export function age(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function rest(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const two = (number) => String(number).padStart(2, '0');

function parts(at) {
  const date = new Date(at);
  return zone === 'local'
    ? [date.getFullYear(), date.getMonth() + 1, date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds()]
    : [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()];
}

/** An instant in the reader's zone, in the same form as words::clock on the server. */
export function clock(at, withSeconds = false) {
  const [year, month, day, hour, minute, second] = parts(at);
  const [thisYear, thisMonth, today] = parts(now());
  const time = `${two(hour)}:${two(minute)}${withSeconds ? `:${two(second)}` : ''}`;
  if (year !== thisYear) return `${two(day)}/${two(month)}/${year} ${time}`;
  return month === thisMonth && day === today ? time : `${two(day)}/${two(month)} ${time}`;
}

/** What the reader's zone is called. */
function zoneName() {
  if (zone !== 'local') return 'UTC';
  const found = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' }).formatToParts(new Date(now()));
  return found.find((part) => part.type === 'timeZoneName')?.value ?? 'local';
}

/** Instants inside sentences: `22/11 03:42 UTC`. */
const SAID = /(?:(\d\d)\/(\d\d)(?:\/(\d{4}))? )?\b(\d\d):(\d\d)(:\d\d)? UTC\b/g;

function translated(text) {
  const today = new Date(now());
  return text.replace(SAID, (_, day, month, year, hour, minute, second) => {
    const at = Date.UTC(year ? Number(year) : today.getUTCFullYear(), month ? Number(month) - 1 : today.getUTCMonth(),
      day ? Number(day) : today.getUTCDate(), Number(hour), Number(minute), second ? Number(second.slice(1)) : 0);
    return `${clock(at, Boolean(second))} ${zoneName()}`;
  });
}

/** Brings every instant of the page into the reader's zone. */
export function localize() {
  if (zone !== 'local') return;
  const name = zoneName();
  for (const element of document.querySelectorAll('time[data-look]')) {
    write(element, clock(Date.parse(element.dateTime), element.dataset.look === 'seconds'));
  }
  for (const element of document.querySelectorAll('[data-clock]')) write(element, clock(Number(element.dataset.clock)));
  for (const element of document.querySelectorAll('[data-zone]')) write(element, name);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node.nodeValue.includes(' UTC') && !node.parentElement.closest('pre, textarea, noscript')) {
      const text = translated(node.nodeValue);
      if (text !== node.nodeValue) node.nodeValue = text;
    }
  }
  tick();
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Brings every age and countdown of the page up to date. */
export function tick() {
  const at = now();
  for (const element of document.querySelectorAll('time[data-age]')) {
    write(element, age(at - Date.parse(element.dateTime)));
  }
  for (const element of document.querySelectorAll('[data-deadline]')) {
    const left = Number(element.dataset.deadline) - at;
    const stopped = left > 0 && at > Number(element.dataset.runsUntil);
    element.classList.toggle('stands', stopped);
    write(element, stopped ? 'stopped' : left > 0 ? rest(left) : 'now');
  }
  for (const element of document.querySelectorAll('[data-old-after]')) {
    const time = element.querySelector('time');
    const old = !time || at - Date.parse(time.dateTime) > Number(element.dataset.oldAfter);
    element.classList.toggle('t-unknown', old);
    element.classList.toggle('t-plain', !old);
  }
  const shown = document.getElementById('utc');
  if (shown) write(shown, clock(at));
}

setInterval(tick, 1000);
tick();
localize();
