// Checks of the status page in a browser.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const CLASSIC = "smtp.example.com";
const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const names = (page) => page.locator(".target h2 a").allTextContents();
const target = (page, name) => page.locator(".target", { has: page.locator("h2 a", { hasText: new RegExp(`^${name}$`) }) });
const isOpen = (locator) => locator.evaluate((details) => details.open);

/** Makes the page refresh itself, and waits until it shows the new content. */
async function refresh(page) {
  const time = page.locator(".asof time");
  const before = await time.getAttribute("datetime");
  // The page shows the time in seconds.
  await page.waitForFunction((before) => Date.now() >= Date.parse(before) + 1_000, before);
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await page.waitForFunction((before) => document.querySelector(".asof time").dateTime !== before, before);
}

async function accessible({ page, url }) {
  for (const path of ["/", `/targets/${CLASSIC}`]) {
    await page.goto(url + path);
    await page.locator("details").evaluateAll((all) => all.forEach((details) => { details.open = true; }));
    await page.evaluate(AXE);
    const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).slice(0, 3).join(" ")}`);
    assert.deepEqual(found, [], path);
    assert.ok(passes.length > 20, `only ${passes.length} rules of axe passed on ${path}`);
  }
}

async function screenshot({ page, url }, name) {
  if (!process.env.SCREENSHOTS) return;
  await mkdir(process.env.SCREENSHOTS, { recursive: true });
  for (const [part, path] of [["overview", "/"], ["target", `/targets/${CLASSIC}`]]) {
    await page.goto(url + path);
    await page.screenshot({ path: join(process.env.SCREENSHOTS, `${part}-${name}.png`) });
  }
}

/** The page follows a color scheme, axe finds nothing, and a screenshot is saved if requested. */
function scheme(colorScheme, isDark) {
  return {
    options: { colorScheme },
    check: async (context) => {
      await accessible(context);
      const background = await context.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const sum = background.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
      assert.equal(sum < 3 * 128, isDark, background);
      await screenshot(context, colorScheme);
    },
  };
}

export const checks = {
  "targets with some failing backends come first, then the worst state, and those that are ok are collapsed": {
    check: async ({ page, url }) => {
      await page.goto(url);
      const order = ["critical", "warning", "unknown", "ok"];
      const states = await page.locator(".target").evaluateAll((all) => all.map(({ classList }) => classList[1]));
      assert.ok(states.length >= 15 && new Set(states).size >= 3, states.join());
      const listed = await names(page);
      const keys = states.map((state, index) => `${order.indexOf(state)} ${listed[index]}`);
      // Both parts are sorted by state and name. The second one begins where the order breaks.
      const partial = keys.findIndex((key, index) => key < keys[index - 1]);
      assert.ok(partial > 0 && listed.slice(0, partial).includes(CLASSIC), `${partial} of ${keys}`);
      assert.deepEqual(keys.slice(partial), keys.slice(partial).sort());
      for (const [index, state] of states.entries()) {
        const open = await isOpen(page.locator(".target").nth(index).locator("details"));
        assert.equal(open, state === "critical" || state === "warning", `${listed[index]} is ${state}`);
      }
      assert.match(await page.title(), /^\d+ critical, \d+ warning · /);
    },
  },

  "the overview shows which backends present another name": {
    check: async ({ page, url }) => {
      await page.goto(url);
      const classic = target(page, CLASSIC);
      assert.ok((await classic.locator(".headline").innerText()).includes("2 of 3 backends"));
      const backends = await classic.locator(".backend").evaluateAll((all) => all.map((backend) => {
        const verdicts = [...backend.querySelectorAll(".verdict")];
        return verdicts.map(({ classList, textContent }) => ({ state: classList[1], text: textContent }));
      }));
      assert.equal(backends.length, 3);
      const presentsMail = ({ state, text }) => state === "critical" && text.includes("mail.example.com");
      assert.equal(backends.filter((verdicts) => verdicts.some(presentsMail)).length, 2, JSON.stringify(backends));
      assert.equal(backends.filter((verdicts) => verdicts.every(({ state }) => state === "ok")).length, 1, JSON.stringify(backends));
    },
  },

  "the page filters by text while typing, and by state": {
    check: async ({ page, url }) => {
      await page.goto(url);
      const all = (await names(page)).length;
      await page.locator("#q").pressSequentially("expired");
      await page.waitForFunction(() => document.querySelectorAll(".target").length === 1);
      assert.deepEqual(await names(page), ["expired.example.com"]);
      assert.equal(new URL(page.url()).search, "?q=expired");
      await page.reload();
      assert.deepEqual(await names(page), ["expired.example.com"]);
      assert.equal(await page.locator("#q").inputValue(), "expired");
      await page.locator("#q").fill("nothing like this");
      await page.locator(".nothing a").click();
      await page.waitForURL(`${url}/`);
      await page.locator(".states a.ok").click();
      await page.waitForURL(/\?state=ok$/);
      const ok = await names(page);
      assert.ok(ok.length > 0 && ok.length < all && !ok.includes(CLASSIC), ok.join());
      assert.equal(await page.locator(".states a.ok").getAttribute("aria-current"), "true");
    },
  },

  "the page works without JavaScript": {
    options: { javaScriptEnabled: false },
    check: async ({ page, url }) => {
      await page.goto(url);
      assert.equal(await page.locator("#pause").isVisible(), false);
      await page.locator("#q").fill("implicit");
      await page.locator("#search button").click();
      await page.waitForURL(/\?q=implicit$/);
      assert.deepEqual(await names(page), ["implicit.example.com"]);
      await page.locator(".target summary").click();
      await page.locator(".target .backend").waitFor();
      await page.locator(".target h2 a").click();
      await page.getByRole("heading", { level: 1, name: "implicit.example.com" }).waitFor();
    },
  },

  "a downloaded chain can be read by openssl": {
    check: async ({ page, url, folder }) => {
      await page.goto(url);
      await target(page, CLASSIC).locator("h2 a").click();
      await page.getByRole("heading", { level: 1, name: CLASSIC }).waitFor();
      const card = page.locator("article.critical").first();
      const download = page.waitForEvent("download");
      await card.getByRole("link", { name: "chain.pem" }).click();
      const file = await download;
      assert.match(file.suggestedFilename(), /^smtp\.example\.com_127\.[\d.]+_\d+\.pem$/);
      const path = join(folder, "chain.pem");
      await file.saveAs(path);
      const openssl = (...args) => execFileSync("openssl", args, { encoding: "utf8" });
      const fingerprint = openssl("x509", "-in", path, "-noout", "-fingerprint", "-sha256").split("=")[1].replaceAll(":", "").trim();
      const shown = await card.locator(".certificate").first().locator(".hex").allTextContents();
      assert.ok(shown.includes(fingerprint.toLowerCase()), `${fingerprint} in ${shown}`);
      assert.match(openssl("x509", "-in", path, "-noout", "-ext", "subjectAltName"), /DNS:mail\.example\.com/);
      assert.match(openssl("storeutl", "-certs", "-noout", path), /Total found: 2/);
    },
  },

  "both pages and the JSON have the same advice": {
    check: async ({ page, url }) => {
      const { advice } = await (await fetch(`${url}/api/v1/targets/${CLASSIC}`)).json();
      const plain = (text) => text.replaceAll("`", "").replace(/\s+/g, " ").trim();
      await page.goto(`${url}/targets/${CLASSIC}`);
      const full = await page.locator("#advice > ol > li > p").allTextContents();
      assert.deepEqual(full.map(plain), advice.map(({ severity, text }) => plain(`${severity} ${text}`)));
      assert.ok(advice.some(({ text }) => text.includes("mail.example.com")));
      await page.goto(url);
      const brief = await target(page, CLASSIC).locator(".advice > li").allTextContents();
      assert.equal(brief.length, advice.length);
      await target(page, CLASSIC).locator('.advice a[href*="#advice-"]').first().click();
      const request = advice.find(({ request }) => request).request;
      assert.equal((await page.locator("pre").first().textContent()).trim(), request.trim());
      await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
      const button = page.locator("button[data-copy]").first();
      const label = await button.textContent();
      await button.click();
      await page.waitForFunction((label) => document.querySelector("button[data-copy]").textContent !== label, label);
      assert.equal((await page.evaluate(() => navigator.clipboard.readText())).trim(), request.trim());
    },
  },

  "HTML in a certificate is escaped": {
    check: async ({ page, url }) => {
      await page.goto(url);
      const row = await target(page, "markup.example.com").innerText();
      assert.ok(row.includes("<img src=x onerror=alert('name')>"), row);
      await target(page, "markup.example.com").locator("h2 a").click();
      await page.getByText("CN=</title><script>alert('subject')</script>").first().waitFor();
      const found = await page.evaluate(() => [document.images.length, document.scripts.length, document.title]);
      assert.deepEqual(found.slice(0, 2), [0, 1]);
      assert.match(found[2], /^\S+ markup\.example\.com · smtp-tls-exporter$/);
    },
  },

  "keyboard navigation works, with visible focus": {
    check: async ({ page, url }) => {
      await page.goto(url);
      const focused = () => page.evaluate(() => {
        const { activeElement: element } = document;
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        const box = element.getBoundingClientRect();
        const visible = box.bottom > 0 && box.top < innerHeight && box.width > 0;
        const ring = outlineStyle !== "none" && outlineWidth !== "0px";
        const text = element.textContent.trim() || element.id;
        return { text, name: element.nodeName, link: element.getAttribute("href"), ring, visible };
      });
      await page.keyboard.press("Tab");
      const skip = await focused();
      assert.equal(skip.link, "#main");
      assert.ok(skip.visible);
      await page.keyboard.press("Enter");
      assert.equal((await focused()).name, "MAIN");
      const visited = [];
      for (let step = 0; step < 30; step += 1) {
        await page.keyboard.press("Tab");
        const { text, name, ring, visible } = await focused();
        assert.ok(ring && visible, `${name} ${text}: ring ${ring}, visible ${visible}`);
        visited.push(name);
      }
      assert.ok(visited.includes("SUMMARY") && visited.includes("A"), visited.join());
      const details = page.locator(".target details").first();
      await details.locator("summary").focus();
      await page.keyboard.press("Enter");
      assert.equal(await isOpen(details), false);
      await page.keyboard.press("Space");
      assert.equal(await isOpen(details), true);
    },
  },

  "a refresh keeps scroll position, focus, selection and collapsed state": {
    options: { viewport: { width: 1000, height: 500 } },
    check: async ({ page, url }) => {
      await page.goto(url);
      const critical = target(page, CLASSIC).locator("details");
      const ok = page.locator(".target.ok details").first();
      await critical.locator("summary").first().click();
      await ok.locator("summary").click();
      await page.locator("#q").fill("example.com");
      await page.waitForURL(/\?q=example\.com$/);
      const link = target(page, "mutual.example.com").locator("h2 a");
      await link.focus();
      await link.evaluate((link) => { link.mark = "the same"; getSelection().selectAllChildren(link); });
      const top = await link.evaluate((link) => link.getBoundingClientRect().top);
      assert.ok(await page.evaluate(() => scrollY > 100), "the page is not scrolled");
      for (let round = 0; round < 2; round += 1) {
        await refresh(page);
        const after = await link.evaluate((link) => ({
          top: link.getBoundingClientRect().top,
          focus: document.activeElement === link,
          mark: link.mark,
          selection: getSelection().toString(),
        }));
        assert.ok(Math.abs(after.top - top) < 2, `${top} became ${after.top}`);
        const { focus, mark, selection } = after;
        assert.deepEqual({ focus, mark, selection }, { focus: true, mark: "the same", selection: "mutual.example.com" });
        assert.deepEqual([await isOpen(critical), await isOpen(ok)], [false, true]);
        assert.equal(await page.locator("#q").inputValue(), "example.com");
      }
      await page.reload();
      assert.deepEqual([await isOpen(critical), await isOpen(ok)], [false, true]);
    },
  },

  "a failed refresh is shown until the next one succeeds": {
    check: async ({ page, context, url, problems }) => {
      await page.goto(url);
      let answer = (route) => route.abort();
      await page.route(`${url}/`, (route) => answer(route));
      const request = () => page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
      await request();
      const shown = await page.locator(".asof time").getAttribute("datetime");
      await page.locator("#stale", { hasText: shown }).waitFor();
      answer = (route) => route.fulfill({ status: 503, body: "too many requests" });
      await request();
      await page.locator("#stale", { hasText: "503" }).waitFor();
      assert.ok((await names(page)).length > 10, "the old content is gone");
      answer = (route) => route.continue();
      await refresh(page);
      assert.equal(await page.locator("#stale").textContent(), "");
      // The browser itself logs the two failed requests.
      assert.equal(problems.splice(0).filter((text) => !text.includes("Failed to load resource")).length, 0);
      await page.locator("#pause").click();
      let requests = 0;
      answer = (route) => { requests += 1; return route.continue(); };
      await request();
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      assert.equal(requests, 0, "a request while paused");
      await context.clearCookies();
    },
  },

  "light color scheme: no findings of axe": scheme("light", false),
  "dark color scheme: no findings of axe": scheme("dark", true),

  "narrow screens need no horizontal scrolling": {
    options: { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
    check: async (context) => {
      const { page, url } = context;
      await page.goto(url);
      const links = await page.locator(".target h2 a").evaluateAll((all) => all.map(({ href }) => href));
      for (const link of [url, ...links]) {
        await page.goto(link);
        await page.locator("details").evaluateAll((all) => all.forEach((details) => { details.open = true; }));
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= 360, `${link} is ${width} wide`);
      }
      await screenshot(context, "narrow");
    },
  },
};
