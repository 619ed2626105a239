// Somebody signs in for the first time and wants to be called; an attack comes while the page is open: a sound, a desktop
// notification. They acknowledge it, take it over, write a note, hold the prefix, release it, and withdraw it with the typed
// confirmation. Nothing of that reloads the page.

import { ask, assert, examine, open, picture, says, scenario, text, until, visit } from './stage.mjs';
import { PASSWORD, PREFIX, badgeSays, card, firstLogin, isMarked, mark, openForm, signIn } from './steps.mjs';

await scenario(async (browser) => {
  const page = await open(browser, 'desktop-dark', { refusals: [400, 409], before: listen });
  await firstLogin(page);
  await badgeSays(page, 'direct');
  await picture(page, 'night-1-quiet');
  await wantsToBeCalled(page);
  await mark(page);
  const phone = await onThePhone(browser);
  const quietIcon = await page.getAttribute('#favicon', 'href');

  await ask('attack');
  await badgeSays(page, 'under attack');
  await says(page, '.status', 'Under attack 1');
  await until(page, 'the title tells', () => document.title.includes('UNDER ATTACK'));
  assert.notEqual(await page.getAttribute('#favicon', 'href'), quietIcon, 'the icon tells');
  await says(page, '.now', PREFIX);
  await says(page, '#log', 'START');
  await until(page, 'a screen reader is told', () => document.getElementById('announcer').textContent.includes('Under attack 1'));
  // What comes before the attack is judged (not known, not protected yet) is told as well.
  await until(page, 'it is heard and told outside of the page', () => window.tones >= 4 && window.told.some(({ title }) => /UNDER ATTACK|NOT PROTECTED|ALERT OPEN/.test(title)));
  const told = await page.evaluate(() => window.told.find(({ title }) => /UNDER ATTACK|NOT PROTECTED|ALERT OPEN/.test(title)));
  assert(told.body.includes(PREFIX), told.body);
  assert(await isMarked(page), 'without a reload');
  await examine(page, 'night under attack');
  await picture(page, 'night-2-attack', { fullPage: true });
  await badgeSays(phone, 'under attack');
  await says(phone, '.now', PREFIX);
  assert(await isMarked(phone), 'the phone too, without a reload');
  await examine(phone, 'night under attack, phone');
  await picture(phone, 'night-2-attack-phone', { fullPage: true });

  await acknowledge(page);
  await visit(page, '/');
  await mark(page);
  await hold(phone, page);
  assert(await isMarked(phone), 'the phone without a reload');
  await withdraw(page);
  assert(await isMarked(page), 'without a reload');
});

/** A machine without ears: tones and notifications are written down instead. */
function listen() {
  window.tones = 0;
  window.told = [];
  const Real = window.AudioContext;
  window.AudioContext = class extends Real {
    createOscillator() { window.tones += 1; return super.createOscillator(); }
  };
  window.Notification = class {
    static permission = 'default';
    static requestPermission() { this.permission = 'granted'; return Promise.resolve('granted'); }
    constructor(title, { body }) { window.told.push({ title, body }); }
    close() {}
  };
}

async function wantsToBeCalled(page) {
  await page.click('#view-button');
  for (const name of ['sound', 'desktop']) {
    const box = page.locator(`#view input[name=${name}]`);
    assert(!(await box.isChecked()), `${name} is off until it is chosen`);
    await box.check();
  }
  await until(page, 'the choices are kept', () => localStorage.getItem('sound') === 'yes' && localStorage.getItem('desktop') === 'yes');
  await examine(page, 'choices of the view');
  await picture(page, 'night-0-choices');
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => window.tones + window.told.length), 0, 'nothing has happened yet');
}

async function acknowledge(page) {
  await page.locator('.now a.button').first().click();
  await page.waitForURL('**/incidents/*');
  await mark(page);
  await page.click('button:has-text("Acknowledge")');
  await says(page, 'main', 'seen by admin');
  await page.fill('#notes textarea', 'the carrier is told <b>twice</b>');
  await page.click('button:has-text("I look after it")');
  await says(page, 'main', 'looked after by admin since');
  assert.equal(await page.inputValue('#notes textarea'), 'the carrier is told <b>twice</b>', 'half-typed words stay');
  await page.click('button:has-text("Add the note")');
  await says(page, '#notes ul', 'the carrier is told <b>twice</b> admin,');
  await page.locator('details.hold > summary', { hasText: 'Assign' }).click();
  await page.locator('details.hold form select[name=person]').selectOption('');
  await page.locator('details.hold form button').click();
  await says(page, 'main', 'looked after by nobody');
  await says(page, '.timeline', 'Nobody looks after it any more');
  assert(await isMarked(page), 'acknowledged without a reload');
  await examine(page, 'night incident');
  await picture(page, 'night-3-incident', { fullPage: true });
}

/** Somebody else who is on call looks at it on a phone. */
async function onThePhone(browser) {
  const phone = await open(browser, 'phone-light');
  await visit(phone, '/');
  await signIn(phone, 'admin', PASSWORD);
  await until(phone, 'the phone is live', () => document.querySelector('#live.is-live'));
  await badgeSays(phone, 'direct');
  await mark(phone);
  return phone;
}

/** On the phone; whoever sits at the desk sees it. */
async function hold(page, desk) {
  const form = await openForm(page, 'Hold');
  await form.locator('select[name=for]').selectOption('4h');
  await form.locator('input[name=reason]').fill('waiting for the carrier, ticket 4711');
  await form.locator('button.primary').click();
  await says(page, card(), 'held by admin until');
  await says(page, '.toasts', 'held');
  await says(desk, card(), 'held by admin until');
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
