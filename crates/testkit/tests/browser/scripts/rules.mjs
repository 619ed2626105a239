// Readiness, connectors and monitoring rules: looked at on desktop and phone, made, changed with the difference shown first,
// refused, deleted by the typed name, taken back; two people at once; Cloudflare failing in every way with the input kept.

import { ask, assert, examine, open, picture, says, scenario, text, visit } from './stage.mjs';

const token = process.env.TOKEN;
const NAME = 'browser-made';

/** Sends a form and waits for the page that answers. */
const go = (page, name) => Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.click(`button[name=act][value=${name}]`)]);
const row = (page, name) => page.locator('tr[data-row]', { hasText: name });

await scenario(async (browser) => {
  const page = await open(browser, 'desktop-dark', { token, refusals: [400, 409, 429, 503] });
  await visit(page, '/connectors');
  await says(page, 'main', 'edge-one');
  for (const look of ['desktop-dark', 'phone-light']) {
    const looked = await open(browser, look, { token });
    for (const path of ['/readiness', '/connectors', '/mnm-rules', '/mnm-rules/new', '/rule-changes']) {
      await visit(looked, path);
      await examine(looked, `${path} ${look}`);
      await picture(looked, `${path.slice(1).replace('/', '-')}-${look}`, { fullPage: true });
    }
    await looked.context().close();
  }
  await make(page);
  await fail(page);
  await change(page, browser);
  await remove(page);
  await connector(page);
  await link(page, browser);
});

async function make(page) {
  await visit(page, '/mnm-rules');
  await page.click('a[href="/mnm-rules/new"]');
  await page.selectOption('select[name=kind]', 'bps');
  await page.check('input[name="p:203.0.113.0/24"]');
  await page.fill('input[name=bits]', 'many');
  await page.fill('input[name=name]', NAME);
  await go(page, 'review');
  await says(page, '[role=alert]', 'Bandwidth threshold');
  assert.equal(await page.inputValue('input[name=name]'), NAME, 'input is kept');
  assert(await page.isChecked('input[name="p:203.0.113.0/24"]'), 'ticks are kept');
  await page.fill('input[name=bits]', '2.5');
  await page.selectOption('select[name=bits_unit]', 'Gbps');
  await page.selectOption('select[name=duration]', '60');
  await go(page, 'review');
  await says(page, '.difference', '2.5 Gbps');
  await examine(page, 'rule difference');
  await picture(page, 'rules-1-difference');
  await page.fill('input[name=reason]', 'new customer, ticket 4711');
}

async function fail(page) {
  for (const kind of ['timeout', '403', '429', '500', 'garbage']) {
    await ask(`fault ${kind}`);
    await go(page, 'send');
    await page.waitForSelector('[role=alert]');
    assert.equal(await page.inputValue('input[name=reason]'), 'new customer, ticket 4711', `${kind}: the reason is kept`);
    await says(page, '.difference', '2.5 Gbps');
    await ask('clear');
    if (kind === '429') await new Promise((passed) => { setTimeout(passed, 1500); });
  }
  await examine(page, 'rule refused by Cloudflare');
  await go(page, 'send');
  await page.waitForURL('**/mnm-rules');
  await says(page, 'main', NAME);
  assert.equal(await row(page, NAME).count(), 1, 'made once');
}

async function change(page, browser) {
  const second = await open(browser, 'desktop-light', { token: process.env.SECOND, refusals: [409] });
  for (const one of [page, second]) {
    await visit(one, '/mnm-rules');
    await row(one, NAME).locator('a.button').click();
    await one.waitForSelector('input[name=bits]');
  }
  for (const [one, bits] of [[page, '0.5'], [second, '9']]) {
    await one.fill('input[name=bits]', bits);
    await go(one, 'review');
    await says(one, '.difference', `${bits === '0.5' ? '500 Mbps' : '9 Gbps'}`);
    await one.fill('input[name=reason]', 'another threshold');
  }
  await go(page, 'send');
  await page.waitForURL('**/mnm-rules');
  await says(page, 'main', '500 Mbps');
  await go(second, 'send');
  await says(second, '[role=alert]', 'Somebody changed this rule since you opened it');
  await examine(second, 'second of two people');
  await picture(second, 'rules-2-second');
  await second.context().close();
  await visit(page, '/rule-changes');
  const undo = row(page, NAME).first();
  await undo.locator('input[name=reason]').fill('it was right before');
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), undo.locator('button').click()]);
  await says(page, 'main', 'taken back');
  await picture(page, 'rules-3-taken-back');
  await visit(page, '/mnm-rules');
  await says(page, 'main', '2.5 Gbps');
}

async function remove(page) {
  await row(page, NAME).locator('a.button').click();
  await page.locator('details.act > summary').focus();
  await page.keyboard.press('Enter');
  await page.fill('details.act input[name=confirm]', 'browser');
  await page.fill('details.act input[name=reason]', 'the customer left');
  await go(page, 'delete');
  await says(page, '[role=alert]', `Type ${NAME} to delete it`);
  await page.locator('details.act > summary').click();
  await page.fill('details.act input[name=confirm]', NAME);
  await page.fill('details.act input[name=reason]', 'the customer left');
  await go(page, 'delete');
  await page.waitForURL('**/mnm-rules');
  assert.equal(await row(page, NAME).count(), 0, 'it is gone');
}

async function connector(page) {
  await visit(page, '/connectors');
  await row(page, 'edge-one').locator('a.button').click();
  await page.fill('input[name=customer_endpoint]', '999.1.1.1');
  await go(page, 'review');
  await says(page, '[role=alert]', 'An IPv4 or IPv6 address');
  assert.equal(await page.inputValue('input[name=customer_endpoint]'), '999.1.1.1', 'input is kept');
  await examine(page, 'connector form');
  await page.fill('input[name=customer_endpoint]', '192.0.2.77');
  await go(page, 'review');
  await says(page, '.difference', 'follows the customer endpoint');
  await examine(page, 'connector difference');
  await picture(page, 'connectors-2-difference');
  await page.fill('input[name=reason]', 'new line, ticket 4711');
  await page.fill('input[name=confirm]', 'edge');
  await go(page, 'send');
  await says(page, '[role=alert]', 'Type edge-one');
  await page.fill('input[name=confirm]', 'edge-one');
  await go(page, 'send');
  await page.waitForURL('**/connectors');
  assert.match(await text(page, 'tr:has-text("edge-one")'), /192\.0\.2\.77/);
}

async function link(page, browser) {
  const second = await open(browser, 'desktop-light', { token: process.env.SECOND, refusals: [409] });
  for (const one of [page, second]) {
    await visit(one, '/connectors');
    await one.locator('section[aria-labelledby=links-title] a.button').first().click();
    await one.waitForSelector('input[name=description]');
  }
  await examine(page, 'interconnect form');
  await page.fill('input[name=mtu]', '99');
  await go(page, 'review');
  await says(page, '[role=alert]', 'A number of bytes');
  assert.equal(await page.inputValue('input[name=mtu]'), '99', 'input is kept');
  await page.fill('input[name=mtu]', '1400');
  await page.fill('input[name=description]', 'second hall');
  await go(page, 'review');
  await says(page, '.difference', 'second hall');
  await examine(page, 'interconnect difference');
  await page.fill('input[name=reason]', 'moved, ticket 4711');
  for (const kind of ['timeout', '403', '429', '500', 'garbage']) {
    await ask(`fault ${kind}`);
    await go(page, 'send');
    await page.waitForSelector('[role=alert]');
    assert.equal(await page.inputValue('input[name=reason]'), 'moved, ticket 4711', `${kind}: the reason is kept`);
    await says(page, '.difference', 'second hall');
    await ask('clear');
    if (kind === '429') await new Promise((passed) => { setTimeout(passed, 1500); });
  }
  await go(page, 'send');
  await page.waitForURL('**/connectors');
  await says(page, 'section[aria-labelledby=links-title]', 'second hall');
  await second.fill('input[name=description]', 'third hall');
  await go(second, 'review');
  await second.fill('input[name=reason]', 'mine');
  await go(second, 'send');
  await says(second, '[role=alert]', 'Somebody changed it since you opened it');
  await second.context().close();
}
