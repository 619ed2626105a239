// Every page in every size and theme: no error, not too wide, accessible; pictures of all of them are kept.

import { LOOKS, examine, examineExaminer, open, picture, scenario, until, visit } from './stage.mjs';

const token = process.env.TOKEN;
const PAGES = [
  ['situation', '/'],
  ['incidents', '/incidents'],
  ['traffic', '/traffic'],
  ['incident', `/incidents/${process.env.INCIDENT}`],
  ['password', '/password'],
  ['settings', '/settings'],
  ['second-factor', '/settings/second-factor'],
  ['audit', '/audit'],
  ['design', '/design'],
  ['not-found', '/nothing', [404]],
];

await scenario(async (browser) => {
  await examineExaminer(await open(browser));
  for (const [look] of LOOKS) {
    const stranger = await open(browser, look);
    await visit(stranger, '/login');
    await examine(stranger, `login ${look}`);
    await picture(stranger, `login-${look}`);
    await stranger.context().close();

    const page = await open(browser, look, { token, refusals: [404] });
    for (const [name, path] of PAGES) {
      await visit(page, path);
      if (path === '/') await until(page, 'the page is live', () => document.querySelector('#live.is-live'));
      await examine(page, `${name} ${look}`);
      await picture(page, `${name}-${look}`, { fullPage: true });
    }
    await opened(page, look);
    await page.context().close();
  }
});

/** The main page with everything open that can be opened. */
async function opened(page, look) {
  await visit(page, '/');
  const card = page.locator('article.s-under_attack').first();
  for (const summary of ['Why?', 'Hold', 'Withdraw']) await card.locator('summary', { hasText: summary }).click();
  await examine(page, `situation with forms ${look}`);
  await card.scrollIntoViewIfNeeded();
  await picture(page, `forms-${look}`);
  await page.keyboard.press('Escape');
  await page.locator('body').press('?');
  await page.waitForSelector('#keys[open]');
  await examine(page, `keys ${look}`);
  await picture(page, `keys-${look}`);
}
