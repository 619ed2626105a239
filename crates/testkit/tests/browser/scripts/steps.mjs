// What a person does more than once: signing in for the first time, opening a form on a prefix.

import { says, text, until, visit } from './stage.mjs';

export const PASSWORD = 'four small brown foxes';
export const PREFIX = process.env.PREFIX;

/** The card of a prefix. */
export const card = (prefix = PREFIX) => `article[data-key="${prefix}"]`;

/** Fills the login form. */
export async function signIn(page, name, password) {
  await page.fill('input[name=username]', name);
  await page.fill('input[name=password]', password);
  await page.click('button.primary');
}

/** The first login ever: the one-time password must be replaced before anything else is shown. */
export async function firstLogin(page) {
  await visit(page, '/');
  await signIn(page, 'admin', process.env.PASSWORD);
  await page.waitForURL('**/password');
  await page.fill('input[name=current_password]', process.env.PASSWORD);
  await page.fill('input[name=new_password]', PASSWORD);
  await page.fill('input[name=confirm_password]', PASSWORD);
  await page.click('button.primary');
  await page.waitForSelector('[role=status] a[href="/"], .status');
  await visit(page, '/');
  await until(page, 'the page is live', () => document.querySelector('#live.is-live'));
}

/** Marks the document: a reload would lose the mark. */
export const mark = (page) => page.evaluate(() => { window.wasHereBefore = true; });
export const isMarked = (page) => page.evaluate(() => window.wasHereBefore === true);

/** Opens one of a prefix's forms. */
export async function openForm(page, summary, prefix = PREFIX) {
  await page.locator(`${card(prefix)} details > summary`, { hasText: summary }).click();
  return page.locator(`${card(prefix)} details[open] form`).last();
}

/** Waits for the badge of a prefix. */
export const badgeSays = (page, words, prefix = PREFIX) => says(page, `${card(prefix)} .badge`, words);

export const badge = (page, prefix = PREFIX) => text(page, `${card(prefix)} .badge`);
