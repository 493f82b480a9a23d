// Looks at the status page as people do, in a real Chromium:
//   page.mjs MODULES ENDPOINT PRESENT GROWING_REPO GROWING_FILE [SCREENSHOTS]
//
// PRESENT is a model that is in the cache. GROWING is fetched slowly by this script, through the server, while the
// page is looked at. Prints `cut` when the server may be ended, and one line of JSON when all has been seen.

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [modules, endpoint, present, growingRepo, growingFile, screenshots] = process.argv.slice(2);
const { chromium } = createRequire(path.join(modules, "x.js"))("playwright-core");

function assert(holds, message) {
  if (!holds) throw new Error(message);
}

// Asks again and again: the page's policy forbids what Playwright would wait with inside of it.
async function until(holds, message) {
  for (let tries = 0; tries < 150; tries += 1) {
    if (await holds()) return;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`not within 15 s: ${message}`);
}

// Chromium's own calls home are off: this page's requests are all there should be.
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
});
try {
  await readsWithoutScript();
  const page = await open({ viewport: { width: 1280, height: 800 } });
  await isLive(page);
  const fetched = fetch(`${endpoint}/${growingRepo}/resolve/main/${growingFile}`).then((answer) => answer.arrayBuffer());
  await showsProgress(page);
  for (const scheme of ["light", "dark"]) await readsInBothThemes(page, scheme);
  for (const width of [320, 390]) await fitsPhone(width);
  await usableByKeyboard(page);
  await fetched;
  await showsWhatArrived(page);
  console.log("cut");
  await saysThatItIsCut(page);
  console.log(JSON.stringify({ ok: true }));
} catch (error) {
  console.log(JSON.stringify({ ok: false, error: String(error.stack ?? error) }));
  process.exitCode = 1;
} finally {
  await browser.close();
}

// A page on which every request to elsewhere, every violated policy and every error of the script is a failure.
async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.problems = [];
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(endpoint + "/") && !url.startsWith("data:")) page.problems.push(`asked ${url}`);
  });
  page.on("pageerror", (error) => page.problems.push(String(error)));
  page.on("console", (message) => message.type() === "error" && page.problems.push(message.text()));
  const answer = await page.goto(endpoint + "/");
  assert(answer.ok(), `the page answers ${answer.status()}`);
  return page;
}

async function readsWithoutScript() {
  const page = await open({ javaScriptEnabled: false });
  const row = page.locator("#models tbody tr", { hasText: present });
  assert((await row.count()) === 1, `one row of ${present} is in the table`);
  const cells = await row.locator("th, td").allInnerTexts();
  assert(cells.length === 6 && cells.every((cell) => cell.trim() !== ""), `a row without holes: ${cells}`);
  const text = await page.locator("body").innerText();
  assert(/Recent problems/.test(text) && /What to do:/.test(text), "a problem has something to do");
  assert(!/undefined|NaN|null/.test(text), `no unfinished words: ${text}`);
  assert(page.problems.length === 0, page.problems.join("\n"));
  await page.context().close();
}

async function isLive(page) {
  await page.locator("#live.on").waitFor();
  // Whoever reloads the page loses this.
  await page.evaluate(() => (window.stays = true));
}

async function showsProgress(page) {
  const bar = page.locator("#fetching tr", { hasText: growingRepo }).locator("progress");
  await bar.waitFor();
  const first = await bar.evaluate((bar) => bar.value);
  await until(async () => (await bar.evaluate((bar) => bar.value)) > first, `the bar grows from ${first}`);
}

async function readsInBothThemes(page, scheme) {
  await page.emulateMedia({ colorScheme: scheme });
  const { paper, faint } = await page.evaluate(contrasts);
  const isDark = paper < 0.2;
  assert(isDark === (scheme === "dark"), `the paper of the ${scheme} theme has a luminance of ${paper}`);
  assert(faint.length === 0, `hard to read in the ${scheme} theme: ${faint.join("; ")}`);
  await capture(page, scheme);
}

async function capture(page, name) {
  if (!screenshots) return;
  const session = await page.context().newCDPSession(page);
  const [width, height] = await page.evaluate(() => [innerWidth, document.documentElement.scrollHeight]);
  const clip = { x: 0, y: 0, width, height, scale: 1 };
  const options = { format: "webp", quality: 92, captureBeyondViewport: true, clip };
  const { data } = await session.send("Page.captureScreenshot", options);
  writeFileSync(path.join(screenshots, `status-page-${name}.webp`), Buffer.from(data, "base64"));
}

// Runs in the page: texts whose contrast with what is behind them is below 4.5 (WCAG, AA).
function contrasts() {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const part = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return luminance(color);
    }
    return 1;
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility()) continue;
    const [ink, paper] = [luminance(parse(getComputedStyle(element).color)), behind(element)];
    const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (contrast < 4.5) faint.push(`${texts.currentNode.data} (${contrast.toFixed(1)})`);
  }
  return { paper: behind(document.body), faint };
}

async function usableByKeyboard(page) {
  await page.keyboard.press("Tab");
  const skip = await page.evaluate(() => {
    const { left, top } = document.activeElement.getBoundingClientRect();
    return { href: document.activeElement.getAttribute("href"), isSeen: left >= 0 && top >= 0 };
  });
  assert(skip.href === "#models" && skip.isSeen, `the first stop leads to the models and is seen: ${JSON.stringify(skip)}`);
  await page.keyboard.press("Enter");
  await until(() => page.evaluate(() => document.activeElement.id === "models"), "the models have the focus");
  const stops = [];
  for (let stop = 0; stop < 4; stop += 1) {
    await page.keyboard.press("Tab");
    stops.push(await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return document.activeElement.getAttribute("href") + (style.outlineStyle === "none" ? " without outline" : "");
    }));
  }
  const expected = ["/metrics", "/v1/models", "/v1/status", "/v1/openapi.json"];
  assert(JSON.stringify(stops) === JSON.stringify(expected), `the stops are ${stops}`);
}

async function fitsPhone(width) {
  const page = await open({ viewport: { width, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true });
  await page.locator("#live.on").waitFor();
  const wide = await page.evaluate(() => {
    const edge = document.documentElement.clientWidth;
    const isOut = (element) => element.getBoundingClientRect().right > edge + 0.5 || element.scrollWidth > edge;
    const found = [...document.body.querySelectorAll("*")].filter(isOut);
    return found.map((element) => `${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`);
  });
  assert(wide.length === 0, `wider than a phone of ${width}: ${wide.join("; ")}`);
  assert(page.problems.length === 0, page.problems.join("\n"));
  if (width === 390) await capture(page, "phone");
  await page.context().close();
}

async function showsWhatArrived(page) {
  await page.locator("#fetching", { hasText: "Nothing is being fetched." }).waitFor();
  await page.locator("#models tbody tr", { hasText: growingRepo }).waitFor();
  assert(await page.evaluate(() => window.stays), "the page was not reloaded");
  assert(page.problems.length === 0, page.problems.join("\n"));
}

async function saysThatItIsCut(page) {
  await page.locator("#live.off", { hasText: "Not connected" }).waitFor();
}
