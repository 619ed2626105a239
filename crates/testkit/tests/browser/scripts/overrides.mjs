// Managed DDoS rules and overrides: the rule that was searched for is the one that is set, weakening everywhere is typed
// out, an override is built, refused with its place, made, moved with the keyboard, deleted, taken back.

import { ask, assert, examine, open, picture, says, scenario, visit } from './stage.mjs';

const token = process.env.TOKEN;
const HOST = 'browser host';

/** Sends a form and waits for the page that answers. */
const go = (page, name) => Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.click(`button[name=act][value=${name}]`)]);
const row = (page, name) => page.locator('tr[data-row]', { hasText: name });

await scenario(async (browser) => {
  const page = await open(browser, 'desktop-dark', { token, refusals: [400, 409, 429, 503] });
  await visit(page, '/ddos-rules');
  await says(page, 'main', 'UDP-0001');
  await set(page);
  await make(page);
  await move(page, browser);
  for (const look of ['desktop-dark', 'phone-light']) {
    const looked = await open(browser, look, { token });
    for (const path of ['/ddos-rules', '/ddos-rules/override/new']) {
      await visit(looked, path);
      await examine(looked, `${path} ${look}`);
      await picture(looked, `${path.slice(1).replaceAll('/', '-')}-${look}`);
    }
    await looked.context().close();
  }
});

async function set(page) {
  await page.fill('input[name=q]', 'UDP-0001');
  await page.click('form.filters button.primary');
  await row(page, 'UDP-0001').first().locator('a.button').click();
  await says(page, 'h1', 'Set UDP-0001');
  await page.selectOption('select[name=sensitivity]', 'eoff');
  await go(page, 'review');
  await says(page, '.difference', 'eoff');
  await examine(page, 'rule setting');
  await page.fill('input[name=reason]', 'false positive, ticket 4711');
  await go(page, 'send');
  await says(page, '[role=alert]', 'Type UDP-0001: this weakens protection for every destination');
  await page.fill('input[name=confirm]', 'UDP-0001');
  for (const kind of ['timeout', '403', '429', '500', 'garbage']) {
    await ask(`fault ${kind}`);
    await go(page, 'send');
    await page.waitForSelector('[role=alert]');
    assert.equal(await page.inputValue('input[name=reason]'), 'false positive, ticket 4711', `${kind}: input is kept`);
    await ask('clear');
    if (kind === '429') await new Promise((passed) => { setTimeout(passed, 1500); });
    await page.fill('input[name=confirm]', 'UDP-0001');
  }
  await go(page, 'send');
  await page.waitForURL('**/ddos-rules');
  await visit(page, '/ddos-rules?q=UDP-0001');
  await says(page, 'main', 'eoff');
  await visit(page, '/rule-changes');
  const undo = row(page, 'UDP-0001').first();
  await undo.locator('input[name=reason]').fill('it was none');
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), undo.locator('button').click()]);
  await says(page, 'main', 'taken back');
}

async function make(page) {
  await visit(page, '/ddos-rules/override/new');
  await page.fill('input[name=name]', HOST);
  await page.fill('textarea[name=expression]', 'ip.dst eq 192.0.2.7 and http.host eq "x"');
  await go(page, 'review');
  await says(page, '[role=alert]', 'Expression');
  await says(page, 'pre', '^');
  assert.equal(await page.inputValue('input[name=name]'), HOST, 'input is kept');
  await examine(page, 'override refused');
  await picture(page, 'overrides-1-refused');
  await page.selectOption('select[name=service]', 'dns');
  await page.fill('input[name=destinations]', '2001:db8:10::/48 192.0.2.7');
  await go(page, 'build');
  assert.match(await page.inputValue('textarea[name=expression]'), /2001:db8:10::\/48.*udp\.dstport eq 53/);
  await page.selectOption('select[name=sensitivity]', 'low');
  await go(page, 'review');
  await says(page, '.difference', 'udp.dstport');
  await page.fill('input[name=reason]', 'a resolver, ticket 4711');
  await go(page, 'send');
  await page.waitForURL('**/ddos-rules');
  await says(page, 'main', HOST);
  await visit(page, '/ddos-rules/override/new');
  await page.fill('input[name=name]', 'second host');
  await page.fill('textarea[name=expression]', 'ip.dst eq 192.0.2.9');
  await page.selectOption('select[name=sensitivity]', 'medium');
  await go(page, 'review');
  await page.fill('input[name=reason]', 'another, ticket 4711');
  await go(page, 'send');
  await page.waitForURL('**/ddos-rules');
  await says(page, 'main', 'second host');
}

async function move(page, browser) {
  const second = await open(browser, 'desktop-light', { token: process.env.SECOND, refusals: [409] });
  for (const one of [page, second]) {
    await visit(one, '/ddos-rules');
    await row(one, 'second host').locator('a.button').click();
    await one.waitForSelector('form[aria-label="Move it"]');
    await one.fill('form[aria-label="Move it"] input[name=reason]', 'it goes first');
  }
  await page.focus('button[value=first]');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/ddos-rules');
  const names = await page.locator('section[aria-labelledby=overrides-title] tbody strong').allInnerTexts();
  assert(names.indexOf('second host') < names.indexOf(HOST), `it stands first: ${names}`);
  await go(second, 'last');
  await says(second, '[role=alert]', 'Somebody changed the overrides');
  await second.context().close();
  await row(page, HOST).locator('a.button').click();
  await page.locator('details.act > summary').click();
  await page.fill('details.act input[name=confirm]', HOST);
  await page.fill('details.act input[name=reason]', 'not needed any more');
  await go(page, 'delete');
  await page.waitForURL('**/ddos-rules');
  assert.equal(await row(page, HOST).count(), 0, 'it is gone');
  await picture(page, 'overrides-2-moved', { fullPage: true });
}
