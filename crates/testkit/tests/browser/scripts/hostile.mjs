// Markup in every text that comes from outside: it is shown as text, runs nowhere, and breaks no page.

import { assert, examine, open, picture, scenario, until, visit } from './stage.mjs';

const hostile = process.env.HOSTILE;
const paths = ['/', '/incidents', '/traffic', `/incidents/${process.env.INCIDENT}`, '/password'];

await scenario(async (browser) => {
  for (const look of ['desktop-dark', 'phone-light']) {
    // A script that runs opens a dialog, which the stage takes for wrong; one that is only blocked is an error of the console.
    const page = await open(browser, look, { token: process.env.TOKEN });
    for (const path of paths) {
      await visit(page, path);
      if (path === '/') await until(page, 'the page is live', () => document.querySelector('#live.is-live'));
      await page.evaluate(() => { for (const details of document.querySelectorAll('main details')) details.open = true; });
      const planted = await page.evaluate(() => [...document.querySelectorAll('img, script:not([src]), svg[onload], [onerror]')].map((found) => found.outerHTML));
      assert.deepEqual(planted, [], path);
      if (path !== '/password') {
        const shown = await page.evaluate(() => document.body.textContent);
        assert(shown.includes(hostile.slice(0, 40)), `${path} shows it as text`);
      }
      assert(!(await page.evaluate(() => document.documentElement.innerHTML.includes('\u202E'))), `${path}: nothing turns the direction of writing`);
      await examine(page, `hostile ${path} ${look}`);
      await picture(page, `hostile${path.replaceAll('/', '-')}-${look}`, { fullPage: true });
    }
    await page.context().close();
  }
});
