// Ages and countdowns, kept moving by the server's clock.
//
// The reader's clock may be wrong by hours, so only its pace is used: the page says what time it was at the server, and
// performance.now() says how long ago that was. A countdown stops where the service that would keep the deadline has
// not vouched any further; it never runs on by itself.

let serverAt = Number(document.body.dataset.now);
let readAt = performance.now();

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
  const utc = document.getElementById('utc');
  if (utc) write(utc, new Date(at).toISOString().slice(11, 16));
}

setInterval(tick, 1000);
tick();
