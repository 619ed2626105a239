// What every scenario works with: browsers in all sizes and themes, the words between script and test, and the list of
// what is wrong with a page although nobody asked.
//
// A scenario prints `ASK name` when something outside of the browser has to happen and waits for one line of answer.
// It ends with code 0, or with every problem it saw on stderr.

import { createRequire } from 'node:module';
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import assert from 'node:assert/strict';

// The tools are installed beside the build, not beside this file.
const tools = createRequire(`${process.env.BROWSER_TOOLS}/`);
const { chromium } = tools('playwright-core');
const { AxeBuilder } = tools('@axe-core/playwright');

export const base = process.env.BROWSER_BASE;
const pictures = process.env.BROWSER_PICTURES;
const origin = new URL(base).origin;

/** A busy machine is slow; nothing waits longer than this. */
const PATIENCE_MS = 60_000;

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'];

const DESKTOP = { viewport: { width: 1440, height: 900 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** Every look a page must have. */
export const LOOKS = [
  ['desktop-dark', { ...DESKTOP, colorScheme: 'dark' }],
  ['desktop-light', { ...DESKTOP, colorScheme: 'light' }],
  ['phone-dark', { ...PHONE, colorScheme: 'dark' }],
  ['phone-light', { ...PHONE, colorScheme: 'light' }],
];

/** The same standard everywhere; best practices are part of it. */
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

const problems = [];
/** Notes something that is wrong and goes on: one run tells everything. */
export const wrong = (text) => { problems.push(text); };

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has something done outside of the browser. */
export async function ask(name) {
  console.log(`ASK ${name}`);
  const { value, done } = await answers.next();
  assert(!done, `nobody answered ${name}`);
  return value;
}

/** Runs a scenario in a browser of its own. */
export async function scenario(play) {
  const browser = await chromium.launch({ executablePath: process.env.BROWSER_PROGRAM, args: FLAGS });
  try {
    await play(browser);
  } catch (error) {
    for (const context of browser.contexts()) {
      for (const page of context.pages()) await picture(page, `failed-${process.env.BROWSER_SCENARIO}`).catch(() => {});
    }
    wrong(error.stack ?? String(error));
  } finally {
    await browser.close();
  }
  for (const problem of problems) console.error(problem);
  process.exit(problems.length ? 1 : 0);
}

/** A window in one of the looks. `refusals` are answers with an error status that belong to the story; `more` are settings
 *  of the browser; `before` runs in every page before its own scripts. */
export async function open(browser, look = 'desktop-dark', { token = null, refusals = [], more = {}, before = null } = {}) {
  const [, settings] = LOOKS.find(([name]) => name === look);
  const context = await browser.newContext({ ...settings, ...more, reducedMotion: 'reduce' });
  context.setDefaultTimeout(PATIENCE_MS);
  if (before) await context.addInitScript(before);
  if (token) await context.addCookies([{ name: 'magic-transit', value: token, url: base, httpOnly: true, sameSite: 'Strict' }]);
  const page = await context.newPage();
  page.on('pageerror', (error) => wrong(`${look} ${page.url()}: ${error}`));
  page.on('dialog', (dialog) => { wrong(`${look} ${page.url()}: a script asks: ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !url.startsWith('data:') && !url.startsWith('blob:')) wrong(`${look}: request to another host: ${url}`);
  });
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    const text = message.text();
    const expected = refusals.some((status) => text.includes(`status of ${status}`)) || (refusals.includes('lost') && /ERR_CONNECTION|ERR_EMPTY|ERR_INCOMPLETE/.test(text));
    if (!expected) wrong(`${look} ${page.url()}: ${text}`);
  });
  return page;
}

/** Where pictures and papers are kept. */
export const kept = (name) => {
  mkdirSync(pictures, { recursive: true });
  return `${pictures}/${name}`;
};

/** Keeps what a page looks like now. */
export async function picture(page, name, options = {}) {
  if (options.fullPage) await layOut(page);
  await page.screenshot({ path: kept(`${name}.png`), ...options });
}

/** A page that is wrong on purpose must be found wrong, or nothing else here means anything. */
export async function examineExaminer(page) {
  await page.setContent('<!doctype html><html lang="en"><title>Wrong</title><main><h1>Wrong</h1><input><p style="color:#999;background:#aaa">pale</p></main></html>');
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  const found = violations.map(({ id }) => id);
  for (const id of ['label', 'color-contrast']) assert(found.includes(id), `${id} is found where it is wrong: ${found}`);
}

/** Has everything laid out, also what is far out of sight: whoever measures or reads a whole page needs that. */
export const layOut = (page) => page.evaluate(() => {
  const [sheet] = document.styleSheets;
  const rule = 'main * { content-visibility: visible !important; }';
  if (sheet && ![...sheet.cssRules].some((known) => known.cssText === rule)) sheet.insertRule(rule, sheet.cssRules.length);
});

/** Checks a page as it is now: accessible, and not wider than its window. */
export async function examine(page, name) {
  await layOut(page);
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  for (const { id, impact, nodes } of violations) {
    const places = nodes.slice(0, 4).map((node) => `${node.target.join(' ')}: ${node.failureSummary.split('\n').slice(1, 2).join(' ').trim()}`);
    wrong(`${name}: axe ${id} (${impact}), ${nodes.length} places: ${places.join(' | ')}`);
  }
  const [wide, inside] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  if (wide > inside) wrong(`${name}: ${wide} px wide in a window of ${inside}`);
}

/** Waits until a look at the page finds what is wanted. */
export async function until(page, what, look, argument) {
  try {
    await page.waitForFunction(look, argument, { polling: 100, timeout: PATIENCE_MS });
  } catch {
    throw new Error(`waited in vain on ${page.url()}: ${what}`);
  }
}

/** The text of one element, with single spaces. */
export const text = async (page, selector) => (await page.locator(selector).first().innerText()).replace(/\s+/g, ' ').trim();

/** Waits until an element says something. */
export const says = (page, selector, words) => until(page, `${selector} says ${words}`, ([where, wanted]) =>
  [...document.querySelectorAll(where)].some((found) => (found.innerText ?? found.textContent).replace(/\s+/g, ' ').includes(wanted)), [selector, words]);

/** Opens a page of the dashboard. */
export const visit = (page, path) => page.goto(base + path, { waitUntil: 'load' });

export { assert };
