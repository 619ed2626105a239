// Wrong passwords wait longer and longer; a page of another site can neither change anything nor show this one.

import { createServer } from 'node:http';
import { assert, base, examine, open, picture, says, scenario, text, visit } from './stage.mjs';
import { PREFIX, firstLogin, signIn } from './steps.mjs';

await scenario(async (browser) => {
  const page = await open(browser, 'phone-dark', { refusals: [401, 403, 429] });
  await guess(page);
  await page.context().close();

  const inside = await open(browser, 'desktop-dark', { refusals: [403] });
  await firstLogin(inside);
  await fromElsewhere(inside);
});

async function guess(page) {
  await visit(page, '/');
  assert.match(page.url(), /\/login$/);
  for (let tries = 0; ; tries += 1) {
    assert(tries < 9, 'nobody may guess for ever');
    await signIn(page, 'nobody-of-ours', `guess ${tries}`);
    await page.waitForSelector('.problem');
    const told = await text(page, '.problem');
    if (/try again|wait/i.test(told)) break;
    assert.equal(told, 'The name or the password is wrong.');
  }
  await examine(page, 'login throttled');
  await picture(page, 'door-1-throttled');
}

/** A page of another site in the same browser: it posts a form, and scripts a request. */
async function fromElsewhere(inside) {
  const body = `<!doctype html><html lang="en"><title>Elsewhere</title><main><h1>Elsewhere</h1>
    <form method="post" action="${base}/api/prefixes/advertise">
    <input name="prefix" value="${PREFIX}"><input name="reason" value="from elsewhere"><button>Win a prize</button></form></main></html>`;
  const server = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end(body));
  await new Promise((listening) => { server.listen(0, 'localhost', listening); });
  try {
    const page = await inside.context().newPage();
    await page.goto(`http://localhost:${server.address().port}/`);
    const [answer] = await Promise.all([page.waitForResponse((found) => found.url().startsWith(base)), page.click('button')]);
    assert.equal(answer.status(), 403, 'the form is refused');
    await says(page, 'main', 'came from another site');
    await picture(page, 'door-2-elsewhere');
    await page.goto(`http://localhost:${server.address().port}/`);
    const scripted = await page.evaluate((target) => fetch(`${target}/api/prefixes/advertise`, {
      method: 'POST', credentials: 'include', headers: { 'content-type': 'application/json' }, body: '{"prefix":"203.0.113.0/24","reason":"from elsewhere"}',
    }).then((found) => `answered ${found.status}`, () => 'refused'), base);
    assert.equal(scripted, 'refused', 'a script of another site gets no answer');
    const framed = await page.evaluate((target) => new Promise((seen) => {
      const frame = document.createElement('iframe');
      frame.onload = () => { let inside = 'refused'; try { inside = frame.contentDocument ? 'refused' : 'foreign'; } catch { inside = 'foreign'; } seen(inside); };
      frame.src = target;
      document.body.append(frame);
    }), base);
    assert(['refused', 'foreign'].includes(framed));
  } finally {
    server.close();
  }
}
