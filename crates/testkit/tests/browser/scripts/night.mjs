// Somebody signs in for the first time; an attack comes while the page is open; they acknowledge it, hold the prefix,
// release it, and withdraw it with the typed confirmation. Nothing of that reloads the page.

import { ask, assert, examine, open, picture, says, scenario, text, until, visit } from './stage.mjs';
import { PREFIX, badgeSays, card, firstLogin, isMarked, mark, openForm } from './steps.mjs';

await scenario(async (browser) => {
  const page = await open(browser, 'desktop-dark', { refusals: [400, 409] });
  await firstLogin(page);
  await badgeSays(page, 'direct');
  await picture(page, 'night-1-quiet');
  await mark(page);
  const quietIcon = await page.getAttribute('#favicon', 'href');

  await ask('attack');
  await badgeSays(page, 'under attack');
  await says(page, '.status', 'Under attack 1');
  await until(page, 'the title tells', () => document.title.includes('UNDER ATTACK'));
  assert.notEqual(await page.getAttribute('#favicon', 'href'), quietIcon, 'the icon tells');
  await says(page, '.now', PREFIX);
  await says(page, '#log', 'START');
  await until(page, 'a screen reader is told', () => document.getElementById('announcer').textContent.includes('Under attack 1'));
  assert(await isMarked(page), 'without a reload');
  await examine(page, 'night under attack');
  await picture(page, 'night-2-attack', { fullPage: true });

  await acknowledge(page);
  await visit(page, '/');
  await mark(page);
  await hold(page);
  await withdraw(page);
  assert(await isMarked(page), 'without a reload');
});

async function acknowledge(page) {
  await page.locator('.now a.button').first().click();
  await page.waitForURL('**/incidents/*');
  await mark(page);
  await page.click('button:has-text("Acknowledge")');
  await says(page, 'main', 'seen by admin');
  assert(await isMarked(page), 'acknowledged without a reload');
  await examine(page, 'night incident');
  await picture(page, 'night-3-incident', { fullPage: true });
}

async function hold(page) {
  const form = await openForm(page, 'Hold');
  await form.locator('select[name=for]').selectOption('4h');
  await form.locator('input[name=reason]').fill('waiting for the carrier, ticket 4711');
  await form.locator('button.primary').click();
  await says(page, card(), 'held by admin until');
  await says(page, '.toasts', 'held');
  await picture(page, 'night-4-held');
  await page.locator(`${card()} form.release button`).click();
  await until(page, 'the hold is released', (where) => !document.querySelector(where).textContent.includes('held by'), card());
}

async function withdraw(page) {
  const form = await openForm(page, 'Withdraw');
  assert.match(await text(page, `${card()} .consequence.is-danger`), /UNDER ATTACK/);
  await form.locator('input[name=reason]').fill('the customer asked for it');
  await form.locator('input[name=confirm]').fill('203.0.113.0');
  await form.locator('button.danger').click();
  await says(page, `${card()} form [role=alert]`, `Type ${PREFIX} to withdraw it`);
  await picture(page, 'night-5-confirm');
  await form.locator('input[name=confirm]').fill(PREFIX);
  await form.locator('button.danger').click();
  await says(page, '.toasts', `Withdraw ${PREFIX} is filed`);
  await ask('withdrawn');
  await says(page, card(), 'not advertised');
  await picture(page, 'night-6-withdrawn', { fullPage: true });
}
