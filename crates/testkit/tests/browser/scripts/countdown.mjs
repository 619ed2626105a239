// A calm prefix with its clock; the dashboard goes away and comes back; the session ends while the page is open.

import { ask, assert, open, picture, says, scenario, text, until } from './stage.mjs';
import { PASSWORD, badgeSays, card, firstLogin, isMarked, mark, signIn } from './steps.mjs';

const seconds = (rest) => rest.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);

await scenario(async (browser) => {
  const page = await open(browser, 'desktop-light', { refusals: [401, 503, 'lost'] });
  await firstLogin(page);
  await badgeSays(page, 'calm, withdrawing at');
  await mark(page);

  const clock = `${card()} .countdown`;
  const first = await text(page, clock);
  assert.match(first, /^\d+:\d\d$/);
  await until(page, 'the clock ticks', ([where, before]) => {
    const shown = document.querySelector(where)?.textContent ?? '';
    return /^\d+:\d\d$/.test(shown) && shown !== before;
  }, [clock, first]);
  const second = await text(page, clock);
  assert(seconds(second) < seconds(first), `${first} then ${second}`);
  await picture(page, 'countdown-1-ticking');

  await ask('lose the dashboard');
  await says(page, '#live', 'not since');
  await says(page, '#connection:not([hidden])', 'No connection to the dashboard. Everything below is');
  await until(page, 'the data is dimmed', () => Number(getComputedStyle(document.querySelector('main')).opacity) < 1);
  await picture(page, 'countdown-2-lost');
  await ask('start the dashboard');
  await until(page, 'it recovers', () => document.querySelector('#live.is-live') && document.getElementById('connection').hidden);
  await until(page, 'the data is bright again', () => getComputedStyle(document.querySelector('main')).opacity === '1');
  assert(await isMarked(page), 'without a reload');
  await badgeSays(page, 'calm, withdrawing at');

  // A password that is changed elsewhere ends this session.
  const other = await open(browser, 'phone-dark');
  await other.goto(`${page.url()}password`);
  await signIn(other, 'admin', PASSWORD);
  await other.waitForURL('**/password');
  await other.fill('input[name=current_password]', PASSWORD);
  await other.fill('input[name=new_password]', `${PASSWORD} and a hen`);
  await other.fill('input[name=confirm_password]', `${PASSWORD} and a hen`);
  await other.click('button.primary');
  await says(page, '#connection:not([hidden])', 'Your session has ended');
  await picture(page, 'countdown-3-ended');
  await page.click('#connection a');
  await page.waitForURL('**/login**');
});
