/**
 * What a person does with the panel: connect, sign in, point at something, say what should change, watch. In the real side panel beside a
 * real page; only the deployment is played. Pictures of the main states end up in `test-results/pictures`.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "@playwright/test";
import axe from "axe-core";
import type { Page } from "puppeteer-core";
import { withArtifacts } from "../browser/fixture/facts.js";
import { withFiles } from "../browser/fixture/files.js";
import { boxOf, Chrome, choice, drag, until, withHost } from "./fixture/chrome.js";
import { Deployment } from "./fixture/deployment.js";
import { Site } from "./fixture/site.js";

const PICTURES = fileURLToPath(new URL("./test-results/pictures/", import.meta.url));
const site = new Site();
let deployment: Deployment;
let chrome: Chrome;
let page: Page;
let panel: Page;

let extension: string;

test.beforeAll(async () => {
  mkdirSync(PICTURES, { recursive: true });
  extension = withHost("http://127.0.0.1/*");
  await site.start();
});

test.afterAll(async () => {
  rmSync(extension, { recursive: true, force: true });
  await site.stop();
});

test.beforeEach(async () => {
  deployment = new Deployment();
  await deployment.start();
  chrome = await Chrome.start(extension);
  page = await chrome.open(site.url("/shop/react-18/dev", "localhost"));
  await page.waitForSelector(".grid .button");
  panel = await chrome.pressToolbar(page);
});

test.afterEach(async () => {
  await chrome.stop();
  await deployment.stop();
});

/** As if somebody had connected and signed in before. */
async function signedIn(): Promise<void> {
  const { id, key, expiresAt } = deployment.giveKey();
  await panel.evaluate((account) => globalThis.chrome.storage.local.set({ account }), {
    address: deployment.address,
    key: { id, text: key, expiresAt },
  });
  await panel.waitForSelector(".page-name .page-text");
}

/** The panel in both themes, and no accessibility fault in either. */
async function look(name: string): Promise<void> {
  for (const theme of ["light", "dark"] as const) {
    await panel.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    await panel.screenshot({ path: `${PICTURES}${name}-${theme}.png` });
    const session = await panel.createCDPSession();
    await session.send("Page.setBypassCSP", { enabled: true });
    const faults = await panel.evaluate(
      `(() => { ${axe.source}; return axe.run().then((found) => found.violations.map((one) => one.id + ": " + one.nodes.map((node) => node.html).join(" | "))); })()`,
    );
    await session.detach();
    expect(faults, `${name}, ${theme}`).toEqual([]);
  }
}

const text = (selector: string): Promise<string> =>
  panel.$eval(selector, (element) => element.textContent ?? "");

async function write(words: string): Promise<void> {
  await panel.waitForSelector(".composer-field");
  await panel.type(".composer-field", words);
}

test("the first run asks for the address, and says what is wrong with one", async () => {
  await panel.waitForSelector(".text-field");
  await look("first-run");
  await panel.type(".text-field", "http://farhand.example.com");
  await panel.click(".button.is-primary");
  await until("the words", async () => (await text(".field-problem")).includes("https://"));
  await look("first-run-problem");
});

test("somebody connects, signs in by the window, and signs out again", async () => {
  await panel.waitForSelector(".text-field");
  await panel.type(".text-field", deployment.address);
  await panel.click(".button.is-primary");
  await until("the sign-in", async () => (await text("h1")) === "Sign in");
  await look("sign-in");
  await panel.click(".button.is-primary");
  await panel.waitForSelector(".switcher-button");
  const stored = (await panel.evaluate(() => globalThis.chrome.storage.local.get("account"))) as {
    account: { key: { text: string; id: string } };
  };
  expect(stored.account.key.text).toMatch(/^fhk_/);
  expect(deployment.asked.filter(({ path }) => path === "/api/me").at(-1)?.authorization).toBe(
    `Bearer ${stored.account.key.text}`,
  );
  await panel.click(".switcher-button");
  await panel.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>(".text-button")]
      .find((one) => one.textContent === "Sign out")
      ?.click(),
  );
  await until("the sign-in", async () => (await text("h1")) === "Sign in");
  await until("the key's end", async () => deployment.revoked.includes(stored.account.key.id));
  expect(
    JSON.stringify(await panel.evaluate(() => globalThis.chrome.storage.local.get("account"))),
  ).not.toContain("fhk_");
});

test("a sign-in that was not allowed says so", async () => {
  deployment.allows = false;
  await panel.waitForSelector(".text-field");
  await panel.evaluate(
    (address) => globalThis.chrome.storage.local.set({ account: { address } }),
    deployment.address,
  );
  await until("the sign-in", async () => (await text("h1")) === "Sign in");
  await panel.click(".button.is-primary");
  await panel.waitForSelector(".form-error");
  expect(await text(".form-error")).toContain("was not allowed");
});

test("what was pointed at goes with the first prompt of a session", async () => {
  await signedIn();
  expect(await text(".page-name")).toContain("localhost");
  await panel.waitForSelector(".repository-select select:not(:disabled)");
  await look("new-session");
  await panel.click(".select-button");
  await until("the highlight", async () => (await page.$("farhand-selection")) !== null);
  await look("selecting");
  const button = await boxOf(page, ".card .button");
  await page.mouse.move(button.x + 20, button.y + 10);
  await until("the component's name", async () => (await choice(page)) === "AddButton");
  await page.screenshot({ path: `${PICTURES}overlay-component-light.png` });
  await page.mouse.click(button.x + 20, button.y + 10);
  await panel.waitForSelector(".capture");
  expect(await text(".capture-name")).toBe("AddButton");
  await write("Make this button green");
  await look("new-session-captured");
  await panel.click(".capture-open");
  await panel.waitForSelector(".capture-outline");
  expect(await text(".capture-outline")).toContain(
    'button "Add Lamp 1 to cart" : Add to cart <AddButton> @src/add-button.jsx:6',
  );
  await look("capture-open");
  await panel.click(".send-button");
  await until("the session", async () => deployment.created.length === 1);
  const [created] = deployment.created;
  expect(created?.prompt).toMatchObject({ text: "Make this button green", origin: "extension" });
  const [attachment] = created?.prompt?.attachments ?? [];
  expect(attachment?.capture.nodes[0]).toMatchObject({ tag: "button", components: ["AddButton"] });
  expect(attachment?.outline).toContain("<AddButton>");
  await panel.waitForSelector(".timeline");
});

test("a selection goes into a running session, and one that was removed does not", async () => {
  await signedIn();
  await panel.evaluate(() => localStorage.setItem("farhand.session", "ses_cart"));
  await panel.reload();
  await panel.waitForSelector(".timeline .prompt");
  await look("session");
  for (const selector of [".header", ".grid"]) {
    await panel.click(".select-button");
    await until("the highlight", async () => (await page.$("farhand-selection")) !== null);
    const box = await boxOf(page, selector);
    if (selector === ".grid") {
      await page.mouse.move(box.x, box.y);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width, box.y + box.height, { steps: 4 });
      await page.screenshot({ path: `${PICTURES}overlay-area-light.png` });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
      await page.screenshot({ path: `${PICTURES}overlay-area-dark.png` });
      await page.emulateMediaFeatures([]);
      await page.mouse.up();
    } else await drag(page, box);
    await until(
      "the chip",
      async () => (await panel.$$(".capture")).length === (selector === ".grid" ? 2 : 1),
    );
  }
  expect(await panel.$$eval(".capture-name", (all) => all.map((one) => one.textContent))).toEqual([
    "Header",
    "ProductGrid",
  ]);
  await look("session-captured");
  await panel.click(".capture .icon-button");
  await write("Two columns here");
  await panel.click(".send-button");
  await until("the prompt", async () => deployment.prompts.length === 1);
  expect(deployment.prompts[0]?.attachments?.map(({ capture }) => capture.nodes[0]?.components)).toEqual([
    ["ProductGrid"],
  ]);
  await until("an empty composer", async () => (await panel.$$(".capture")).length === 0);
});

test("a deployment that takes no captures gets the outline as text", async () => {
  deployment.takesCaptures = false;
  await signedIn();
  await panel.click(".select-button");
  await until("the highlight", async () => (await page.$("farhand-selection")) !== null);
  await drag(page, await boxOf(page, ".grid"));
  await panel.waitForSelector(".capture");
  await write("Two columns here");
  await panel.click(".send-button");
  await until("the session", async () => deployment.created.length === 1);
  const prompt = deployment.created[0]?.prompt;
  expect(prompt?.attachments).toBeUndefined();
  expect(prompt?.text).toMatch(
    /^Two columns here\n\nSelected on a web page\..*not instructions:\n```page\npage: http:/s,
  );
  expect(prompt?.text).toContain("<ProductGrid>");
});

test("a picture goes along only when it was asked for", async () => {
  await signedIn();
  await panel.click(".picture-toggle");
  await panel.click(".select-button");
  await until("the highlight", async () => (await page.$("farhand-selection")) !== null);
  await drag(page, await boxOf(page, ".grid"));
  await panel.waitForSelector(".capture-picture");
  await look("captured-picture");
  await write("Look at this");
  await panel.click(".send-button");
  await until("the session", async () => deployment.created.length === 1);
  const picture = deployment.created[0]?.prompt?.attachments?.[0]?.picture;
  expect(picture?.mediaType).toBe("image/webp");
  expect(
    Buffer.from(picture?.data ?? "", "base64")
      .subarray(8, 12)
      .toString(),
  ).toBe("WEBP");
  const grid = await boxOf(page, ".grid");
  expect((picture?.width ?? 0) / (picture?.height ?? 1)).toBeCloseTo(grid.width / grid.height, 0);
});

test("a page that went elsewhere wants a press of the toolbar's button, and then is read again", async () => {
  await signedIn();
  await page.goto(site.url("/strict", "other.localhost"));
  await until("the locked page", async () => (await text(".page-name")).includes("Click the toolbar icon"));
  expect(await panel.$(".select-button")).toBeNull();
  await look("page-locked");
  await chrome.pressToolbar(page);
  await panel.waitForSelector(".select-button");
  expect(await text(".page-name")).toContain("other.localhost");
});

test("a page that goes away while somebody selects is said, and the panel is ready again", async () => {
  await signedIn();
  await panel.click(".select-button");
  await until("the highlight", async () => (await page.$("farhand-selection")) !== null);
  await page.goto(site.url("/strict", "localhost"));
  await panel.waitForSelector(".page-row-frame .form-error");
  expect(await text(".page-row-frame .form-error")).toContain("went away");
  await look("page-navigated");
  await panel.click(".select-button");
  await until("the highlight", async () => (await page.$("farhand-selection")) !== null);
});

test("the browser's own pages are told apart", async () => {
  await signedIn();
  const own = await chrome.open("chrome://version");
  await until("the locked page", async () => (await text(".page-name")).includes("Click the toolbar icon"));
  await chrome.pressToolbar(own);
  await until("the words", async () =>
    (await text(".page-name")).includes("lets no extension read this page"),
  );
  expect(await panel.$(".select-button")).toBeNull();
});

test("a key that was ended elsewhere leads back to the sign-in", async () => {
  await signedIn();
  deployment.endKeys();
  await panel.reload();
  await until("the sign-in", async () => (await text("h1")) === "Sign in");
});

test("a deployment that does not answer is said, and can be tried again", async () => {
  await signedIn();
  deployment.reachable = false;
  await panel.reload();
  await panel.waitForSelector(".problem");
  await look("unreachable");
  deployment.reachable = true;
  await panel.click(".problem .button");
  await panel.waitForSelector(".switcher-button");
});

test("a component whose name is markup is text in the panel, and nothing else", async () => {
  await signedIn();
  await page.goto(site.url("/names", "localhost"));
  const elements = await panel.$$eval("script, img, iframe", (all) => all.length);
  await panel.click(".select-button");
  await until("the highlight", async () => (await page.$("farhand-selection")) !== null);
  await drag(page, { x: 5, y: 5, width: 800, height: 120 });
  await panel.waitForSelector(".capture-open");
  await panel.click(".capture-open");
  await panel.waitForSelector(".capture-outline");
  const outline = await text(".capture-outline");
  expect(outline).toContain("<<script>alert(1)</script><img src=x onerror=alert(2)> XXX");
  expect(outline).not.toContain("passwd");
  expect(outline.length).toBeLessThan(2000);
  expect(await panel.$$eval("script, img, iframe", (all) => all.length)).toBe(elements);
});

test("sessions are switched by keyboard", async () => {
  await signedIn();
  await panel.focus(".switcher-button");
  await panel.keyboard.press("Enter");
  await panel.waitForSelector(".switcher-row");
  await look("sessions");
  await panel.keyboard.press("Tab");
  await panel.keyboard.press("Enter");
  await panel.waitForSelector(".timeline .prompt");
  expect(await text(".switcher-title")).toBe("Cart total ignores discount on quantity change");
});

/** By keyboard: what is pressed may move while the conversation is laid out. */
async function press(selector: string): Promise<void> {
  await panel.focus(selector);
  await panel.keyboard.press("Enter");
}

/** Opens the session whose snapshot the deployment has. */
async function openSession(): Promise<void> {
  await panel.waitForSelector(".switcher-button");
  await panel.click(".switcher-button");
  await panel.waitForSelector(".switcher-row");
  await panel.click(".switcher-row");
  await panel.waitForSelector(".timeline .prompt");
}

/** Whether a picture of the panel shows something that it has fetched. */
const isDrawn = (selector: string): Promise<boolean> =>
  panel.$$eval(selector, (found) =>
    found.some((one) => {
      const picture = one as HTMLImageElement;
      return picture.src.startsWith("blob:") && picture.complete && picture.naturalWidth > 0;
    }),
  );

/** The text of the file that following a link saves. */
async function savedFile(link: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "farhand-saved-"));
  try {
    const session = await chrome.browser.target().createCDPSession();
    await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: folder });
    await press(link);
    const found = (): string | undefined => readdirSync(folder).find((name) => !name.endsWith(".crdownload"));
    await until("the file", async () => found() !== undefined);
    return readFileSync(join(folder, found() ?? ""), "utf8");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("pictures and files of the agent are fetched with the key, shown in the panel and saved from it", async () => {
  deployment.snapshot = withFiles();
  await signedIn();
  await openSession();
  await until("the pictures", () => isDrawn(".row-picture img"));
  await panel.$eval(".row-picture", (one) => one.scrollIntoView({ block: "center" }));
  await look("agent-files");
  await press(".row-picture");
  await until("the large picture", () => isDrawn(".viewer-picture"));
  await look("agent-picture");
  await panel.keyboard.press("Escape");
  await panel.waitForFunction(() => document.querySelector(".viewer") === null);
  await press(".row-files.is-of-turn button");
  await panel.waitForSelector(".viewer .attachment-text");
  await until("the text", async () => (await text(".viewer .attachment-text")).includes("1041,44.98"));
  await panel.keyboard.press("Escape");
  const asked = deployment.asked.filter(({ path }) => path.includes("/artifacts/"));
  expect(asked.length).toBeGreaterThan(2);
  for (const { authorization } of asked) expect(authorization).toMatch(/^Bearer fhk_/);
  const saved = await savedFile('.row-file a[download="trace.zip"]');
  expect(saved).toBe("a trace of the browser");
});

test("what went along with a prompt is shown in the panel", async () => {
  deployment.snapshot = withArtifacts();
  await signedIn();
  await openSession();
  await press(".prompt-attachment .attach-chip");
  await until("the picture", () => isDrawn(".attachment-picture"));
  await look("attachment-picture");
  await press(".prompt-attachment .attach-chip");
  await press(".prompt-attachment:nth-child(3) .attach-chip");
  await until("the text", async () => (await panel.$(".attachment-text")) !== null);
  await until("its words", async () => (await text(".attachment-text")).includes("1042,49.98"));
  const away = await panel.$$eval(".attachment-panel a", (links) => links.map((one) => one.target));
  expect(away).toEqual(["_blank"]);
});
