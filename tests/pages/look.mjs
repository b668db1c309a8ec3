// Looks at the hosted pages in a real Chromium, as people see them: each at phone and desktop width, light and dark, with
// JavaScript and without. What is wrong is printed, one line each; nothing printed and status 0 mean that nothing is.
//
//   node look.mjs FOLDER CHROMIUM PLAN [SCREENSHOTS]
//
// FOLDER holds node_modules with playwright-core and axe-core, CHROMIUM is a program, PLAN a file of JSON as tests/it/pages.rs
// writes it. With a folder for SCREENSHOTS every look is kept there.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, executablePath, planned, screenshots] = process.argv.slice(2);
const require = createRequire(resolve(folder, 'package.json'));
const { chromium } = (await import(pathToFileURL(require.resolve('playwright-core')))).default;
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const plan = JSON.parse(readFileSync(planned, 'utf8'));

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const LOOKS = ['light', 'dark'].flatMap((scheme) => [390, 1280].map((width) => ({ scheme, width })));
// The smallest thing to press, in CSS pixels: WCAG 2.2 asks for 24 (2.5.8), platforms and 2.5.5 for 44.
const PRESSABLE = 44;

const faults = [];
const browser = await chromium.launch({
  executablePath,
  args: ['--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// A page whose every complaint is a fault: errors, and what its policy refused.
async function open(javaScriptEnabled, name) {
  const context = await browser.newContext({ javaScriptEnabled, reducedMotion: 'reduce' });
  // Where the tenant's product is, and where somebody else's site is: nobody listens there.
  await context.route('http://localhost:3000/**', (route) => {
    const body = plan.elsewhere[new URL(route.request().url()).pathname] ?? 'here is the product';
    return route.fulfill({ contentType: 'text/html', body: `<!doctype html><html lang="en"><title>-</title>${body}` });
  });
  const page = await context.newPage();
  page.on('pageerror', (error) => faults.push(`${name}: ${error}`));
  page.on('console', (message) => {
    // That is how Chromium says that a page was a refusal.
    const refusal = message.text().startsWith('Failed to load resource') && message.location().url === page.url();
    const complaint = ['error', 'warning'].includes(message.type()) || /policy|refused|violat/i.test(message.text());
    if (complaint && !refusal && !page.expectsComplaints) faults.push(`${name}: the console says: ${message.text()}`);
  });
  return page;
}

async function overflows(page, name) {
  const over = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth > clientWidth ? `${scrollWidth} in ${clientWidth}` : '';
  });
  if (over) faults.push(`${name}: scrolls sideways, ${over} pixels`);
}

async function small(page, name) {
  const all = await page.$$eval('button, input:not([type=hidden]), select', (controls) =>
    controls.map((control) => [control.outerHTML, control.getBoundingClientRect().height]));
  for (const [control, height] of all) if (height < PRESSABLE) faults.push(`${name}: ${height} pixels high: ${control}`);
}

async function unfocused(page, name) {
  for (const control of await page.$$('button, a[href], input:not([type=hidden])')) {
    await page.keyboard.press('Tab');
    const outline = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      return [document.activeElement.tagName, outlineStyle, parseFloat(outlineWidth)];
    });
    if (outline[0] === 'BODY' || outline[1] === 'none' || outline[2] < 2) faults.push(`${name}: no visible focus: ${outline}`);
  }
}

async function audit(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(
    (rules) => globalThis.axe.run(document, { runOnly: rules, preload: false, resultTypes: ['violations'] }), RULES);
  for (const { id, help, nodes } of violations) faults.push(`${name}: ${id}: ${help}: ${nodes.map((node) => node.html).join(' ')}`);
}

async function keep(page, name) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name.replaceAll(' ', '-')}.png`), fullPage: true });
}

// Everything that is to be seen of one page.
async function look(page, name, javaScript) {
  for (const { scheme, width } of LOOKS) {
    const at = `${name} ${width} ${scheme}${javaScript ? '' : ' without JavaScript'}`;
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 800 });
    await overflows(page, at);
    await small(page, at);
    if (javaScript) await audit(page, at);
    if (javaScript) await keep(page, at);
  }
  await unfocused(page, name);
  await page.emulateMedia({ colorScheme: 'light', forcedColors: 'active' });
  if (javaScript) await keep(page, `${name} forced colours`);
  await page.emulateMedia({ forcedColors: 'none' });
  // WCAG 2.2, 1.4.10 (reflow) and 1.4.4 (text of twice the size).
  await page.setViewportSize({ width: 320, height: 640 });
  await overflows(page, `${name} 320`);
  await page.evaluate(() => document.documentElement.style.setProperty('font-size', '200%'));
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    await overflows(page, `${name} ${width}, text twice as large`);
    if (javaScript) await keep(page, `${name} ${width} large text`);
  }
}

async function see({ name, urls, press, title }) {
  for (const [javaScript, url] of [[true, urls[0]], [false, urls[1] ?? urls[0]]]) {
    const page = await open(javaScript, name);
    await page.goto(url);
    if (press) await page.click('button');
    if (!(await page.title()).startsWith(title)) faults.push(`${name}: this is “${await page.title()}”, not “${title}”`);
    await look(page, name, javaScript);
    await page.context().close();
  }
}

// The way of an end user who comes from elsewhere by a link, in a browser with everything that browsers do of their own:
// cookies by site, `Origin`, and a policy for forms that is held against redirects too.
async function journey(javaScript, from) {
  const name = `journey ${javaScript ? 'with' : 'without'} JavaScript`;
  const page = await open(javaScript, name);
  await page.goto(from);
  await page.click('a');
  await page.click('button');
  // Where a redirect leads is not answered by the route above, and nobody listens there.
  page.expectsComplaints = true;
  const home = page
    .waitForRequest((request) => request.url().startsWith(plan.home), { timeout: 10_000 })
    .then((request) => request.url(), () => page.url());
  await page.click('button[value=allow]', { noWaitAfter: true, timeout: 5000 }).catch(() => {});
  const url = new URL(await home);
  if (url.searchParams.get('status') !== 'connected') faults.push(`${name}: ends at ${url.origin}${url.pathname}`);
  await page.context().close();
}

// Somebody else's site sends the form of a page that this very browser has open, and shows the page in a frame.
async function attack({ open: link, forge, frame }) {
  const page = await open(true, 'attack');
  page.expectsComplaints = true;
  await page.goto(link);
  const fields = await page.$$eval('input[type=hidden]', (all) => all.map(({ name, value }) => [name, value]));
  const action = await page.$eval('form', (form) => form.action);
  await page.goto(forge);
  const answered = page.waitForResponse((response) => response.url() === action);
  await page.evaluate(([to, pairs]) => {
    const form = Object.assign(document.createElement('form'), { method: 'post', action: to });
    for (const [name, value] of pairs) form.append(Object.assign(document.createElement('input'), { name, value }));
    document.body.append(form);
    form.submit();
  }, [action, fields]);
  const response = await answered;
  await page.waitForURL(action);
  if (response.status() !== 403) faults.push(`attack: another site's form was answered with ${response.status()}`);
  await page.goto(frame);
  await page.waitForLoadState('networkidle');
  const framed = await Promise.all(page.frames().slice(1).map((inner) => inner.$('button').catch(() => null)));
  if (framed.length === 0 || framed.some(Boolean)) faults.push(`attack: the page shows in a frame (${framed.length})`);
  await page.context().close();
}

for (const page of plan.pages) await see(page);
for (const [n, from] of plan.journeys.entries()) await journey(n === 0, from);
if (plan.attack) await attack(plan.attack);
await browser.close();
for (const fault of faults) console.log(fault);
process.exitCode = faults.length ? 1 : 0;
