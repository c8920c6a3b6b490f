// What the status page has to do, each as a reader would find out.
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

/** Has the page fetch itself, as it does from time to time, and waits until it shows what came. */
async function refresh(page) {
  const time = page.locator(".asof time");
  const before = await time.getAttribute("datetime");
  // Pages tell time in seconds.
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
    assert.ok(passes.length > 20, `axe looked at ${path}`);
  }
}

async function pictured({ page, url }, name) {
  if (!process.env.SCREENSHOTS) return;
  await mkdir(process.env.SCREENSHOTS, { recursive: true });
  for (const [part, path] of [["overview", "/"], ["target", `/targets/${CLASSIC}`]]) {
    await page.goto(url + path);
    await page.screenshot({ path: join(process.env.SCREENSHOTS, `${part}-${name}.png`) });
  }
}

/** Light or dark: the page follows, axe finds nothing, and a picture is kept where that is asked for. */
function scheme(colorScheme, isDark) {
  return {
    options: { colorScheme },
    check: async (on) => {
      await accessible(on);
      const back = await on.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const sum = back.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
      assert.equal(sum < 3 * 128, isDark, back);
      await pictured(on, colorScheme);
    },
  };
}

export const checks = {
  "the worst comes first, and the well are folded": {
    check: async ({ page, url }) => {
      await page.goto(url);
      const order = ["critical", "warning", "unknown", "ok"];
      const states = await page.locator(".target").evaluateAll((all) => all.map(({ classList }) => classList[1]));
      assert.ok(states.length >= 15 && new Set(states).size >= 3, states.join());
      assert.deepEqual(states, [...states].sort((a, b) => order.indexOf(a) - order.indexOf(b)));
      const listed = await names(page);
      const critical = listed.slice(0, states.lastIndexOf("critical") + 1);
      assert.deepEqual(critical, [...critical].sort());
      assert.ok(critical.includes(CLASSIC));
      for (const [place, state] of states.entries()) {
        const open = await isOpen(page.locator(".target").nth(place).locator("details"));
        assert.equal(open, state === "critical" || state === "warning", `${listed[place]} is ${state}`);
      }
      assert.match(await page.title(), /^\d+ critical, \d+ warning · /);
    },
  },

  "the classic case is told in words": {
    check: async ({ page, url }) => {
      await page.goto(url);
      const text = await target(page, CLASSIC).innerText();
      for (const words of ["critical", "2 of 3 backends lack the name: clients fail now and then", "NAME MISSING, lists mail.example.com", "name ok"]) {
        assert.ok(text.includes(words), `${words} in ${text}`);
      }
      assert.equal(await target(page, CLASSIC).locator(".backend").count(), 3);
    },
  },

  "words and states filter while they are typed": {
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
      await page.getByText("No target is found.").waitFor();
      await page.getByRole("link", { name: /Show all/ }).click();
      await page.waitForURL(`${url}/`);
      await page.locator(".states a.ok").click();
      await page.waitForURL(/\?state=ok$/);
      const well = await names(page);
      assert.ok(well.length > 0 && well.length < all && !well.includes(CLASSIC), well.join());
      assert.equal(await page.locator(".states a.ok").getAttribute("aria-current"), "true");
    },
  },

  "it works without its script": {
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

  "a chain is downloaded, and openssl reads it": {
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
      const mark = openssl("x509", "-in", path, "-noout", "-fingerprint", "-sha256").split("=")[1].replaceAll(":", "").trim();
      const shown = await card.locator(".certificate").first().locator(".hex").allTextContents();
      assert.ok(shown.includes(mark.toLowerCase()), `${mark} in ${shown}`);
      assert.match(openssl("x509", "-in", path, "-noout", "-ext", "subjectAltName"), /DNS:mail\.example\.com/);
      assert.match(openssl("storeutl", "-certs", "-noout", path), /Total found: 2/);
    },
  },

  "advice stands on both pages and in the JSON": {
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
      await target(page, CLASSIC).getByRole("link", { name: "Text to send" }).first().click();
      const request = advice.find(({ request }) => request).request;
      assert.equal((await page.locator("pre").first().textContent()).trim(), request.trim());
      await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
      await page.getByRole("button", { name: "Copy" }).first().click();
      await page.getByRole("button", { name: "Copied" }).waitFor();
      assert.equal((await page.evaluate(() => navigator.clipboard.readText())).trim(), request.trim());
    },
  },

  "a certificate of HTML is text": {
    check: async ({ page, url }) => {
      await page.goto(url);
      const row = await target(page, "markup.example.com").innerText();
      assert.ok(row.includes("NAME MISSING, lists <img src=x onerror=alert('name')>"), row);
      await target(page, "markup.example.com").locator("h2 a").click();
      await page.getByText("CN=</title><script>alert('subject')</script>").first().waitFor();
      const found = await page.evaluate(() => [document.images.length, document.scripts.length, document.title]);
      assert.deepEqual(found, [0, 1, "✗ markup.example.com · smtp-tls-exporter"]);
    },
  },

  "all can be reached by keyboard, and focus is seen": {
    check: async ({ page, url }) => {
      await page.goto(url);
      const focused = () => page.evaluate(() => {
        const { activeElement: it } = document;
        const { outlineStyle, outlineWidth } = getComputedStyle(it);
        const box = it.getBoundingClientRect();
        const seen = box.bottom > 0 && box.top < innerHeight && box.width > 0;
        return { text: it.textContent.trim() || it.id, name: it.nodeName, ring: outlineStyle !== "none" && outlineWidth !== "0px", seen };
      });
      await page.keyboard.press("Tab");
      assert.equal((await focused()).text, "Skip to the targets");
      assert.ok((await focused()).seen);
      await page.keyboard.press("Enter");
      assert.equal((await focused()).name, "MAIN");
      const walked = [];
      for (let step = 0; step < 30; step += 1) {
        await page.keyboard.press("Tab");
        const { text, name, ring, seen } = await focused();
        assert.ok(ring && seen, `${name} ${text}: ring ${ring}, seen ${seen}`);
        walked.push(name);
      }
      assert.ok(walked.includes("SUMMARY") && walked.includes("A"), walked.join());
      const details = page.locator(".target details").first();
      await details.locator("summary").focus();
      await page.keyboard.press("Enter");
      assert.equal(await isOpen(details), false);
      await page.keyboard.press("Space");
      assert.equal(await isOpen(details), true);
    },
  },

  "a refresh keeps the place": {
    options: { viewport: { width: 1000, height: 500 } },
    check: async ({ page, url }) => {
      await page.goto(url);
      const bad = target(page, CLASSIC).locator("details");
      const well = page.locator(".target.ok details").first();
      await bad.locator("summary").first().click();
      await well.locator("summary").click();
      await page.locator("#q").fill("example.com");
      await page.waitForURL(/\?q=example\.com$/);
      const link = target(page, "mutual.example.com").locator("h2 a");
      await link.focus();
      await link.evaluate((link) => { link.mark = "the same"; getSelection().selectAllChildren(link); });
      const place = await link.evaluate((link) => link.getBoundingClientRect().top);
      assert.ok(await page.evaluate(() => scrollY > 100), "the page is scrolled");
      for (let round = 0; round < 2; round += 1) {
        await refresh(page);
        const after = await link.evaluate((link) => ({
          place: link.getBoundingClientRect().top,
          focus: document.activeElement === link,
          mark: link.mark,
          selection: getSelection().toString(),
        }));
        assert.ok(Math.abs(after.place - place) < 2, `${place} became ${after.place}`);
        assert.deepEqual({ ...after, place }, { place, focus: true, mark: "the same", selection: "mutual.example.com" });
        assert.deepEqual([await isOpen(bad), await isOpen(well)], [false, true]);
        assert.equal(await page.locator("#q").inputValue(), "example.com");
      }
      await page.reload();
      assert.deepEqual([await isOpen(bad), await isOpen(well)], [false, true]);
    },
  },

  "a refresh that fails is told, and mended": {
    check: async ({ page, context, url, trouble }) => {
      await page.goto(url);
      let answer = (route) => route.abort();
      await page.route(`${url}/`, (route) => answer(route));
      const ask = () => page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
      await ask();
      await page.locator("#stale", { hasText: "Not refreshed: the exporter does not answer. What you see is of" }).waitFor();
      answer = (route) => route.fulfill({ status: 503, body: "too many requests at once" });
      await ask();
      await page.locator("#stale", { hasText: "the exporter answered 503" }).waitFor();
      assert.ok((await names(page)).length > 10, "what was there stays");
      answer = (route) => route.continue();
      await refresh(page);
      assert.equal(await page.locator("#stale").textContent(), "");
      // The browser's own words on the two answers.
      assert.equal(trouble.splice(0).filter((text) => !text.includes("Failed to load resource")).length, 0);
      await page.getByRole("button", { name: "Pause refresh" }).click();
      let asked = 0;
      answer = (route) => { asked += 1; return route.continue(); };
      await ask();
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      assert.equal(asked, 0, "nothing is fetched while paused");
      await context.clearCookies();
    },
  },

  "light, without a finding of axe": scheme("light", false),
  "dark, without a finding of axe": scheme("dark", true),

  "narrow, nothing is cut": {
    options: { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
    check: async (on) => {
      const { page, url } = on;
      await page.goto(url);
      const links = await page.locator(".target h2 a").evaluateAll((all) => all.map(({ href }) => href));
      for (const link of [url, ...links]) {
        await page.goto(link);
        await page.locator("details").evaluateAll((all) => all.forEach((details) => { details.open = true; }));
        const width = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(width <= 360, `${link} is ${width} wide`);
      }
      await pictured(on, "narrow");
    },
  },
};
