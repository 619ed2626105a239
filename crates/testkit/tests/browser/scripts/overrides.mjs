// Managed DDoS rules and overrides: the rule that was searched for is the one that is set, weakening everywhere is typed
// out, a category is set with the keyboard alone, an override is built, refused with its place, made with an end, moved with
// the arrow keys and by dragging, switched, deleted, taken back.

import { ask, assert, examine, open, picture, says, scenario, text, visit } from './stage.mjs';

const token = process.env.TOKEN;
const HOST = 'browser host';
const UDP = '599dab0942ff4898ac1b7797e954e98b';

/** Sends a form and waits for the page that answers. */
const go = (page, name) => Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.click(`button[name=act][value=${name}]`)]);
const row = (page, name) => page.locator('tr[data-row]', { hasText: name });
/** The names of the overrides, in their order. */
const names = (page) => page.locator('section[aria-labelledby=overrides-title] tbody strong').allInnerTexts();
const handle = (page, name) => row(page, name).locator('.handle');

await scenario(async (browser) => {
  const page = await open(browser, 'desktop-dark', { token, refusals: [400, 409, 429, 503] });
  await visit(page, '/ddos-rules');
  await says(page, 'main', 'UDP-0001');
  await set(page);
  await category(page);
  await make(page);
  await order(page);
  await move(page, browser);
  for (const look of ['desktop-dark', 'phone-light']) {
    const looked = await open(browser, look, { token });
    for (const path of ['/ddos-rules', '/ddos-rules/override/new', '/ddos-rules/ruleset', '/ddos-rules/category/udp', `/ddos-rules/rule/${UDP}`]) {
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

async function category(page) {
  await visit(page, '/ddos-rules');
  const keys = async (...names) => { for (const name of names) await page.keyboard.press(name); };
  await page.focus('section[aria-labelledby=levels-title] details > summary');
  await keys('Enter');
  await page.locator('section[aria-labelledby=levels-title] tr', { hasText: 'category udp' }).locator('a.button').focus();
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), keys('Enter')]);
  await says(page, 'h1', 'Set udp');
  await page.focus('select[name=sensitivity]');
  await keys('m', 'Tab');
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), keys('Enter')]);
  await says(page, 'main', 'medium (set for udp)');
  await examine(page, 'category difference');
  await picture(page, 'overrides-0-category', { fullPage: true });
  await page.focus('input[name=reason]');
  await page.keyboard.type('too many false positives');
  await keys('Tab');
  await Promise.all([page.waitForURL('**/ddos-rules'), keys('Enter')]);
  await visit(page, '/rule-changes');
  const undo = page.locator('tr[data-row]').first();
  await undo.locator('input[name=reason]').fill('they were none');
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), undo.locator('button').click()]);
  await says(page, 'main', 'taken back');
  await examine(page, 'changes of rules');
}

async function order(page) {
  await visit(page, '/ddos-rules');
  const before = await names(page);
  assert(before.indexOf(HOST) < before.indexOf('second host'), `${before}`);
  await handle(page, 'second host').focus();
  await page.keyboard.press('ArrowUp');
  assert.notDeepEqual(await names(page), before, 'the row stands elsewhere');
  await says(page, '#announcer', 'second host: place');
  await page.keyboard.press('Escape');
  assert.deepEqual(await names(page), before, 'Escape puts it back');
  await page.keyboard.press('ArrowUp');
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.keyboard.press('Enter')]);
  await says(page, '.difference', 'place');
  await examine(page, 'another order');
  await picture(page, 'overrides-3-order');
  assert(!(await text(page, 'body')).includes('session has ended'), 'the page that answered stays current');
  await page.fill('input[name=reason]', 'it is the narrower one');
  await go(page, 'send');
  await page.waitForURL('**/ddos-rules');
  const after = await names(page);
  assert(after.indexOf('second host') < after.indexOf(HOST), `it was moved with the keys: ${after}`);
  // And back by dragging.
  await handle(page, HOST).scrollIntoViewIfNeeded();
  const from = await handle(page, HOST).boundingBox();
  const to = await handle(page, 'second host').boundingBox();
  await page.mouse.move(from.x + from.width / 2, from.y + from.height / 2);
  await page.mouse.down();
  await page.mouse.move(to.x + to.width / 2, to.y + to.height / 2, { steps: 4 });
  await page.mouse.move(to.x + to.width / 2, to.y + 2, { steps: 4 });
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.mouse.up()]);
  await says(page, '.difference', 'place');
  await page.fill('input[name=reason]', 'no, it was right');
  await go(page, 'send');
  await page.waitForURL('**/ddos-rules');
  const again = await names(page);
  assert(again.indexOf(HOST) < again.indexOf('second host'), `it was dragged back: ${again}`);
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
  await page.fill('input[name=udp_ports]', '5300-5310, 70000');
  await go(page, 'build');
  await says(page, '[role=alert]', 'UDP ports: 70000');
  await page.fill('input[name=udp_ports]', '5300-5310');
  await page.fill('input[name=sources]', '198.51.100.0/24 2001:db8:9::/48');
  await go(page, 'build');
  assert.match(await page.inputValue('textarea[name=expression]'), /2001:db8:10::\/48.*udp\.dstport in \{53 5300\.\.5310\}.*ip\.src in \{198/);
  await page.fill('input[name=sources]', '');
  await go(page, 'build');
  await page.fill('input[name=expires]', '2030-01-01T00:00');
  await page.selectOption('select[name=sensitivity]', 'low');
  await go(page, 'review');
  await says(page, '.difference', 'udp.dstport');
  await page.fill('input[name=reason]', 'a resolver, ticket 4711');
  await go(page, 'send');
  await page.waitForURL('**/ddos-rules');
  await says(page, 'main', HOST);
  assert.match(await text(page, `tr:has-text("${HOST}")`), /ends .*2030/);
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
  const now = await names(page);
  assert(now.indexOf('second host') < now.indexOf(HOST), `it stands first: ${now}`);
  await go(second, 'last');
  await says(second, '[role=alert]', 'Somebody changed the overrides');
  await second.context().close();
  await row(page, HOST).locator('a.button').click();
  await page.locator('details.act > summary', { hasText: 'Switch' }).click();
  await page.fill('form[aria-label="Switch it"] input[name=reason]', 'first off, then gone');
  await go(page, 'switch');
  await page.waitForURL('**/ddos-rules');
  assert.match(await text(page, `tr:has-text("${HOST}")`), /switched off/);
  await row(page, HOST).locator('a.button').click();
  await page.locator('details.act > summary', { hasText: 'Delete' }).click();
  await page.fill('form[aria-label="Delete it"] input[name=confirm]', HOST);
  await page.fill('form[aria-label="Delete it"] input[name=reason]', 'not needed any more');
  await go(page, 'delete');
  await page.waitForURL('**/ddos-rules');
  assert.equal(await row(page, HOST).count(), 0, 'it is gone');
  await picture(page, 'overrides-2-moved', { fullPage: true });
}
