// A phone whose browser runs no scripts, and one that does: the pages are found without scrolling sideways, what is folded
// away opens, and a hold is set.

import { assert, base, examine, open, picture, scenario, text, until, visit } from './stage.mjs';

const token = process.env.TOKEN;
const CALM = process.env.CALM;
const card = `article[data-key="${CALM}"]`;

await scenario(async (browser) => {
  const plain = await open(browser, 'phone-dark', { token, more: { javaScriptEnabled: false } });
  await visit(plain, '/');
  await menu(plain, () => plain.locator('.menu summary').click());
  await visit(plain, '/');
  await plain.locator(`${card} details.hold > summary`).click();
  await picture(plain, 'plain-1-hold');
  await plain.locator(`${card} details.hold input[name=reason]`).fill('carrier maintenance, ticket 4711');
  await plain.locator(`${card} details.hold input[name=reason]`).press('Enter');
  await plain.waitForURL(`${base}/`);
  assert.match(await text(plain, `${card} .badge`), /held by ana/);
  await plain.locator(`${card} details.why > summary`).click();
  assert(await plain.locator(`${card} details.why li`).count() > 1, 'the reasons are there');
  await plain.context().close();

  const page = await open(browser, 'phone-light', { token });
  await visit(page, '/');
  await until(page, 'the page is live', () => document.querySelector('#live.is-live'));
  await sideways(page, 'closed');
  await page.locator('.menu summary').focus();
  await page.keyboard.press('Enter');
  await until(page, 'the menu is open', () => document.querySelector('.places').checkVisibility());
  await sideways(page, 'open');
  await examine(page, 'menu phone-light');
  await picture(page, 'plain-2-menu');
  await page.keyboard.press('Escape');
  await until(page, 'Escape closes it', () => !document.querySelector('.places').checkVisibility());
  await menu(page, () => page.keyboard.press('Enter'));
  await visit(page, '/');
  await until(page, 'the page is live', () => document.querySelector('#live.is-live'));
  await folded(page);
});

/** From the menu to another page. */
async function menu(page, opening) {
  const link = page.locator('.places a[href="/incidents"]');
  assert(!(await link.isVisible()), 'it is folded away');
  await opening();
  await link.waitFor({ state: 'visible' });
  await link.click();
  await page.waitForURL('**/incidents');
}

/** Nothing in the header is wider than its place, on the narrowest phones too. */
async function sideways(page, what) {
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 700 });
    const wide = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll('.top, .masthead, .places, .person, .status')]
      .filter((part) => part.checkVisibility() && part.scrollWidth > part.clientWidth + 1).map((part) => `${part.className || part.nodeName} ${part.scrollWidth} in ${part.clientWidth}`));
    assert.deepEqual(wide, [], `${what}, ${width} px`);
  }
  await page.setViewportSize({ width: 390, height: 844 });
}

/** What is folded away is made when it is opened, follows a newer page, and is made once. */
async function folded(page) {
  const why = `${card} details.why`;
  assert.equal(await page.locator(`${why} li`).count(), 0, 'nothing is made before');
  await page.locator(`${why} > summary`).click();
  await page.locator(`${why} li`).first().waitFor();
  const before = await page.locator(`${why} li`).count();
  // What was made follows the next page: a foreign word in it goes.
  await page.evaluate((where) => { document.querySelector(`${where} noscript`).textContent = ''; document.querySelector(`${where} li .what`).textContent = 'changed by hand'; }, why);
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await until(page, 'it follows', (where) => ![...document.querySelectorAll(`${where} li`)].some((line) => line.textContent.includes('changed by hand')), why);
  assert.equal(await page.locator(`${why} li`).count(), before, 'made once');
  await page.locator(`${card} details.hold > summary`).click();
  const reason = page.locator(`${card} details.hold input[name=reason]`);
  await reason.fill('half typed');
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await page.evaluate(() => { document.querySelector('#services .age').textContent = 'old'; });
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
  await until(page, 'the page brought itself up to date', () => document.querySelector('#services .age').textContent !== 'old');
  assert.equal(await reason.inputValue(), 'half typed', 'half-typed words stay');
  await page.keyboard.press('Escape');
}
