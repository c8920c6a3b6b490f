// Runs every check in its own browser context and prints how many passed.
import { chromium } from "playwright-core";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { checks } from "./checks.mjs";
import { startDemo } from "./demo.mjs";

const folder = await mkdtemp(join(tmpdir(), "browser-"));
const demo = await startDemo(process.env.DEMO_BIN);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
  ],
});

let passed = 0;
const failed = [];
try {
  for (const [name, { options = {}, check }] of Object.entries(checks)) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options });
    const problems = [];
    await context.route(/.*/, (route) => {
      const url = route.request().url();
      if (url.startsWith(`${demo.url}/`)) return route.continue();
      problems.push(`a request to ${url}`);
      return route.abort();
    });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    page.on("pageerror", (error) => problems.push(`an error: ${error.message}`));
    page.on("dialog", (dialog) => {
      problems.push(`a dialog: ${dialog.message()}`);
      return dialog.dismiss();
    });
    page.on("console", (message) => {
      if (!["log", "debug", "info"].includes(message.type())) problems.push(`${message.type()}: ${message.text()}`);
    });
    try {
      // A check that causes problems on purpose removes them from the list.
      await check({ page, context, url: demo.url, folder, problems });
      if (problems.length) throw new Error(problems.join("; "));
      passed += 1;
      console.log(`ok    ${name}`);
    } catch (error) {
      failed.push(name);
      console.log(`FAILED ${name}: ${error.message}`);
    }
    await context.close();
  }
} finally {
  await browser.close();
  await demo.stop();
  await rm(folder, { recursive: true });
}
console.log(failed.length ? `${passed} checks passed, ${failed.length} failed: ${failed.join(", ")}` : `${passed} checks passed`);
process.exitCode = failed.length ? 1 : 0;
