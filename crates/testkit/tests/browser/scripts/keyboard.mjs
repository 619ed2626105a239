// Everything with the keyboard alone: the list of keys, rows, search, places, forms; Escape closes the top layer only.

import { assert, open, scenario, until, visit } from './stage.mjs';

await scenario(async (browser) => {
  const page = await open(browser, 'desktop-dark', { token: process.env.TOKEN });
  await visit(page, '/');
  await until(page, 'the page is live', () => document.querySelector('#live.is-live'));
  const focused = () => page.evaluate(() => document.activeElement?.closest('[data-key]')?.dataset.key ?? document.activeElement?.id ?? '');
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };

  await press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  await page.evaluate(() => document.activeElement.blur());

  await press('?');
  assert(await page.evaluate(() => document.getElementById('keys').open), '? shows the keys');
  await press('Escape');
  assert(!(await page.evaluate(() => document.getElementById('keys').open)), 'Escape closes them');

  await press('g', 'p');
  const first = await focused();
  assert.match(first, /\//, 'g p goes to the prefixes');
  await press('j');
  assert.notEqual(await focused(), first, 'j goes on');
  await press('k');
  assert.equal(await focused(), first, 'k goes back');
  await press('Enter');
  const isOpen = (kind) => page.evaluate(([key, of]) => document.querySelector(`[data-key="${key}"] details.${of}`).open, [first, kind]);
  assert(await isOpen('why'), 'Enter opens the reasons');
  await page.focus(`[data-key="${first}"] details.hold > summary`);
  await press('Enter', 'Tab');
  assert(await isOpen('hold'), 'a form opens with Enter');
  await press('Escape');
  assert(!(await isOpen('hold')), 'Escape closes the form');
  assert(await isOpen('why'), 'and only the form');

  await press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'log-search');
  await page.keyboard.type('SYN');
  await until(page, 'the log is searched', () => {
    const rows = [...document.querySelectorAll('#log tbody tr')];
    return rows.some((row) => row.hidden) && rows.some((row) => !row.hidden);
  });
  await press('Escape', 'Escape');
  assert(await page.evaluate(() => [...document.querySelectorAll('#log tbody tr')].every((row) => !row.hidden)), 'Escape ends the search');

  await press('g', 'i');
  await page.waitForURL('**/incidents');
  await press('j', 'Enter');
  await page.waitForURL('**/incidents/*');
});
