// What a reader chooses for their browser, the report on paper, and what the first load of the main page takes.

import { readFileSync } from 'node:fs';
import { assert, base, examine, kept, layOut, open, picture, scenario, text, until, visit } from './stage.mjs';

const token = process.env.TOKEN;
const ZONE = 'Asia/Kolkata';

/** Everything that the first load transfers, in bytes: the promise of the README. */
const MOST_BYTES = 200_000;

/** Elements of the main page with ten prefixes in all states: a phone lays out each of them before it shows anything. */
const MOST_ELEMENTS = 1_500;

await scenario(async (browser) => {
  await firstLoad(browser);
  await zone(browser);
  await paper(browser);
});

/** An empty browser: every byte of every answer, headers too, and whom it asked. */
async function firstLoad(browser) {
  const page = await open(browser, 'desktop-dark', { token });
  const wire = await page.context().newCDPSession(page);
  await wire.send('Network.enable');
  const asked = new Map();
  let bytes = 0;
  wire.on('Network.requestWillBeSent', ({ requestId, request }) => asked.set(requestId, request.url));
  wire.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength; });
  await visit(page, '/');
  await until(page, 'the page is live', () => document.querySelector('#live.is-live'));
  const elsewhere = [...asked.values()].filter((url) => !url.startsWith(`${base}/`) && !/^(data|blob):/.test(url));
  assert.deepEqual(elsewhere, [], 'nobody else is asked for anything');
  assert(asked.size > 5, `scripts and style were asked for: ${[...asked.values()]}`);
  assert(bytes > 10_000 && bytes < MOST_BYTES, `${bytes} bytes in ${asked.size} requests`);
  const [paint] = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime));
  console.log(`first load: ${asked.size} requests, ${(bytes / 1000).toFixed(1)} kB, first contentful paint after ${paint?.toFixed(0)} ms`);
  const elements = await page.evaluate(() => document.querySelectorAll('*').length);
  console.log(`first load: ${elements} elements`);
  assert(elements > 300 && elements < MOST_ELEMENTS, `${elements} elements`);
  await page.context().close();
  await once(browser);
}

/** A page that just came shows the present: it does not fetch itself again before something changes. */
async function once(browser) {
  const page = await open(browser, 'desktop-dark', { token });
  const seen = [];
  page.on('request', (request) => { if (new URL(request.url()).pathname === '/') seen.push(request.resourceType()); });
  const told = new Promise((heard) => { page.exposeFunction('told', heard); });
  await page.addInitScript(() => {
    const Real = window.EventSource;
    window.EventSource = class extends Real {
      constructor(where) { super(where); this.addEventListener('overview', ({ data }) => window.told(JSON.parse(data).version), { once: true }); }
    };
  });
  await visit(page, '/');
  const shown = await page.getAttribute('body', 'data-version');
  const version = await told;
  // The other services give signs of life now and then; only then there is something new.
  if (String(version) === shown) assert.equal(seen.filter((kind) => kind === 'document').length, 1, `${seen}`);
  console.log(`first news: version ${version}, shown ${shown}; fetched as ${seen.join(', ')}`);
  await page.context().close();
}

/** All instants of the page in the reader's zone, and back; the choice stays. */
async function zone(browser) {
  const page = await open(browser, 'desktop-light', { token, more: { timezoneId: ZONE } });
  await visit(page, '/');
  await until(page, 'the page is live', () => document.querySelector('#live.is-live'));
  await layOut(page);
  const instant = '#log tbody time[data-look]';
  const at = new Date(await page.getAttribute(instant, 'datetime'));
  const inZone = (timeZone) => new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', second: '2-digit' }).format(at);
  const inUtc = await text(page, instant);
  assert(inUtc.endsWith(inZone('UTC')), `UTC, and it says so: ${inUtc} for ${inZone('UTC')}`);
  assert.equal(await text(page, '#log th [data-zone]'), 'UTC');

  await choose(page, (form) => form.locator('select[name=zone]').selectOption('local'));
  await until(page, 'the zone is named', () => document.querySelector('#log th [data-zone]').textContent.includes('GMT+5:30'));
  assert((await text(page, instant)).endsWith(inZone(ZONE)), 'the rows');
  await layOut(page);
  const leftovers = () => page.evaluate(() => [...document.querySelectorAll('main, .status')].filter((part) => /\d\d:\d\d(:\d\d)? UTC/.test(part.innerText)).map((part) => part.innerText.match(/.{0,40}\d\d:\d\d(:\d\d)? UTC/)[0]));
  assert.deepEqual(await leftovers(), [], 'sentences too');
  await examine(page, 'main page in local time');
  await picture(page, 'choices-local-time');

  await visit(page, '/incidents');
  await until(page, 'another page knows it', () => document.querySelector('th [data-zone]').textContent.includes('GMT+5:30'));
  await choose(page, (form) => form.locator('select[name=zone]').selectOption('utc'));
  await until(page, 'back in UTC', () => document.querySelector('th [data-zone]')?.textContent === 'UTC');

  await choose(page, (form) => form.locator('select[name=theme]').selectOption('dark'));
  await page.reload();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark', 'colours stay');
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert(Math.max(...ground.match(/\d+/g).map(Number)) < 60, `dark although the system is light: ${ground}`);
  await page.context().close();
}

async function choose(page, choice) {
  await page.click('#view-button');
  const form = page.locator('#view form');
  await choice(form);
  if (await page.locator('#view[open]').count()) await page.keyboard.press('Escape');
}

/** The report of an incident: what is read stays, what is pressed goes. */
async function paper(browser) {
  const page = await open(browser, 'desktop-dark', { token, before: () => { window.print = () => { window.printed = true; }; } });
  await visit(page, `/incidents/${process.env.INCIDENT}`);
  // Whoever comes back to the page gets it anew, and the button is still there.
  await until(page, 'the page is live', () => document.querySelector('#live.is-live'));
  await page.evaluate(() => { document.querySelector('.timeline').replaceChildren(); document.dispatchEvent(new Event('visibilitychange')); });
  await until(page, 'it brought itself up to date', () => document.querySelector('.timeline').children.length > 0);
  await page.click('button:has-text("Print the report")');
  assert(await page.evaluate(() => window.printed === true), 'the button prints');
  await page.emulateMedia({ media: 'print' });
  const shown = await page.evaluate(() => [...document.querySelectorAll('button, summary.button, .top, form, dialog')].filter((part) => part.checkVisibility()).map((part) => part.outerHTML.slice(0, 80)));
  assert.deepEqual(shown, [], 'nothing that can only be pressed');
  const words = await page.evaluate(() => document.querySelector('main').innerText);
  for (const part of ['Timeline', 'UDP flood', 'Top sources', 'Messages and their fate', 'Dropped traffic']) assert(words.includes(part), `${part} is in the report`);
  await picture(page, 'report', { fullPage: true });
  const path = kept('report.pdf');
  await page.pdf({ path, format: 'A4', printBackground: true });
  const sheets = readFileSync(path, 'latin1').match(/\/Type\s*\/Page\b(?!s)/g)?.length ?? 0;
  assert(sheets >= 1 && sheets <= 3, `${sheets} sheets`);
  await page.context().close();
}
