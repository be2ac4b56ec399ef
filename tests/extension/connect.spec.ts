/**
 * The whole way by which the extension comes to its key, through real pages: the panel opens the web client's page in a window of the
 * browser's, somebody signs in there and allows it, the Worker gives the key, and the panel works with it. Nothing is played.
 */
import { rmSync } from "node:fs";
import { expect, test } from "@playwright/test";
import type { Page } from "puppeteer-core";
import { Chrome, until, withHost } from "./fixture/chrome.js";
import { type RealDeployment, startDeployment } from "./fixture/worker.js";

const EXTENSION_ID = "enbmhbgjjakbhommiecphdjfgnmpmgkj";
/** A Worker begins, and a window opens, on a machine that does other things too. */
const WAIT_MS = 60_000;

test.describe.configure({ timeout: 240_000 });

let extension: string;
let deployment: RealDeployment;
let chrome: Chrome;

test.beforeAll(async () => {
  extension = withHost("http://127.0.0.1/*");
  deployment = await startDeployment(EXTENSION_ID);
  chrome = await Chrome.start(extension);
});

test.afterAll(async () => {
  await chrome?.stop();
  await deployment?.close();
  rmSync(extension, { recursive: true, force: true });
});

const press = async (page: Page, words: string): Promise<void> => {
  const found = await page.waitForSelector(`::-p-text(${words})`, { timeout: WAIT_MS });
  await found?.click();
};

test("somebody signs in on the page that the extension opens, allows it, and the panel has its key", async () => {
  expect(chrome.extensionId).toBe(EXTENSION_ID);
  const panel = await chrome.open(`chrome-extension://${EXTENSION_ID}/panel.html`);
  await panel.waitForSelector(".text-field", { timeout: WAIT_MS });
  await panel.type(".text-field", deployment.origin);
  await panel.click(".button.is-primary");
  await panel.waitForFunction(() => document.querySelector("h1")?.textContent === "Sign in", {
    timeout: WAIT_MS,
  });
  await panel.click(".button.is-primary");

  const target = await chrome.browser.waitForTarget((one) => one.url().includes("/connect/extension"), {
    timeout: WAIT_MS,
  });
  const asked = new URL(target.url());
  expect(asked.origin).toBe(deployment.origin);
  expect(asked.searchParams.get("client")).toBe(EXTENSION_ID);
  const page = await target.asPage();
  await press(page, "Ada Lovelace");
  await page.waitForFunction(() => document.querySelector("h1")?.textContent === "Connect the extension?", {
    timeout: WAIT_MS,
  });
  expect(await page.$eval(".client-id", (element) => element.textContent)).toBe(EXTENSION_ID);
  await press(page, "Connect as");

  await panel.waitForSelector(".switcher-button", { timeout: WAIT_MS });
  const stored = (await panel.evaluate(() => globalThis.chrome.storage.local.get("account"))) as {
    account: { address: string; key: { id: string; text: string } };
  };
  const { address, key } = stored.account;
  expect(address).toBe(deployment.origin);
  expect(key.text).toMatch(new RegExp(`^fhk_${key.id}_[0-9a-f]{64}$`));
  const rows = await deployment.rows(
    `SELECT name, scope, revoked_at FROM api_keys WHERE key_id = '${key.id}'`,
  );
  expect(rows).toEqual([{ name: `extension ${EXTENSION_ID}`, scope: "write", revoked_at: null }]);
  await until("the window's end", async () =>
    chrome.browser.targets().every((one) => !one.url().includes("/connect/extension")),
  );
  const answer = await fetch(`${deployment.origin}/api/me`, {
    headers: [["authorization", `Bearer ${key.text}`]],
  });
  expect(((await answer.json()) as { login: string }).login).toBe("ada");
});
