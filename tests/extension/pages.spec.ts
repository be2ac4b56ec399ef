/** Reading pages that are awkward, private or hostile, in a real Chromium: what is told, what is not, and that the page notices nothing. */
import { expect, test } from "@playwright/test";
import type { Page } from "puppeteer-core";
import {
  byteLength,
  type CaptureNode,
  type ContextCapture,
  eachNode,
  LIMIT,
} from "../../extension/src/capture/capture.js";
import { fenceOutline, renderOutline } from "../../extension/src/capture/outline.js";
import { boxOf, Chrome, choice, drag, until } from "./fixture/chrome.js";
import { Site } from "./fixture/site.js";

const site = new Site();
let chrome: Chrome;
let page: Page;
let panel: Page;

test.beforeAll(async () => {
  await site.start();
  chrome = await Chrome.start();
});

test.afterAll(async () => {
  await chrome.stop();
  await site.stop();
});

test.afterEach(async () => {
  await page.close();
});

async function open(path: string): Promise<void> {
  page = await chrome.open(site.url(path));
  panel = await chrome.pressToolbar(page);
}

function all(capture: ContextCapture): CaptureNode[] {
  const nodes: CaptureNode[] = [];
  eachNode(capture.nodes, (node) => nodes.push(node));
  return nodes;
}

const everywhere = { x: 1, y: 1, width: 860, height: 790 };

test("elements in open and closed shadow roots are told, slots included", async () => {
  await open("/shadow");
  const capture = await chrome.select(panel, page, everywhere);
  const nodes = all(capture);
  expect(nodes.find((node) => node.text === "Slotted lamp")?.tag).toBe("span");
  const shadowed = nodes.find((node) => node.name === "Buy in the shadow");
  expect(shadowed?.tag).toBe("button");
  expect(nodes.find((node) => node.name === "Buy behind a closed door")?.id).toBe("inside");
  expect(JSON.stringify(nodes)).toContain(">>> ");
  // What no slot takes is not shown, and so not told.
  expect(JSON.stringify(nodes)).not.toContain("Not assigned");
});

test("a click finds the element inside a shadow root", async () => {
  await open("/shadow");
  const box = await boxOf(page, "#closed");
  await chrome.beginSelection(panel, page);
  await page.mouse.move(box.x + 60, box.y + 30);
  await page.mouse.click(box.x + 60, box.y + 30);
  const capture = await chrome.delivered();
  expect(capture.nodes[0]).toMatchObject({ tag: "button", name: "Buy behind a closed door" });
  expect(capture.nodes[0]?.selector).toBe("#closed >>> #inside");
});

test("a frame of the same site is read, one of another site is counted", async () => {
  await open("/frames");
  const capture = await chrome.select(panel, page, await boxOf(page, "#both"));
  const nodes = all(capture);
  const pay = nodes.filter((node) => node.name === "Pay in the frame");
  expect(pay).toHaveLength(1);
  const frame = await boxOf(page, "#own");
  expect(pay[0]?.box?.[1]).toBeGreaterThan(frame.y);
  expect(capture.counts.frames).toBe(1);
  expect(JSON.stringify(capture)).not.toContain("frame-value-7731");
});

test("five hundred rows are told by two of them, and the one that differs", async () => {
  await open("/table");
  const capture = await chrome.pick(panel, page, "#orders caption");
  const table = await chrome.select(panel, page, { x: 5, y: 5, width: 500, height: 780 });
  expect(capture.nodes[0]?.tag).toBe("caption");
  const rows = all(table).filter((node) => node.tag === "tr");
  expect(rows.length).toBeLessThan(10);
  expect(rows.some((node) => node.attributes?.["aria-selected"] === "true")).toBe(true);
  const told = rows.length + rows.reduce((sum, node) => sum + (node.similar ?? 0), 0);
  expect(told).toBeGreaterThan(20);
  expect(table.counts.repeated).toBeGreaterThan(50);
  expect(byteLength(table)).toBeLessThanOrEqual(LIMIT.bytes);
});

test("the whole of a table of five hundred rows fits", async () => {
  await open("/table");
  const box = await boxOf(page, "#orders caption");
  await chrome.beginSelection(panel, page);
  await page.mouse.move(box.x + 20, box.y + 4);
  await until("the choice", async () => (await choice(page)) === "caption");
  await page.mouse.click(box.x + 20, box.y + 4);
  const caption = await chrome.delivered();
  expect(caption.counts.kept).toBe(1);
  await chrome.beginSelection(panel, page);
  await page.mouse.move(box.x + 21, box.y + 5);
  await until("the choice", async () => (await choice(page)) === "caption");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  const capture = await chrome.delivered();
  expect(capture.nodes[0]).toMatchObject({ tag: "table", name: "Orders" });
  const bodyRows = all(capture).filter((node) => node.tag === "tr");
  expect(bodyRows.reduce((sum, node) => sum + 1 + (node.similar ?? 0), 0)).toBe(501);
});

const SECRETS = [
  "private.example",
  "query-secret",
  "csrf-secret",
  "hunter2",
  "typed-secret",
  "4111",
  "chosen-secret",
  "note-secret",
  "draft-secret",
  "editor-secret",
  "link-secret",
  "fragment-secret",
  "4242",
  "5555",
  "4444",
  "sk-live",
  "ghp_",
  "AKIA",
  "xoxb",
  "swordfish",
  "eyJ",
  "attribute-secret",
  "title-secret",
  "private-secret",
  "masked-secret",
  "signed-secret",
  "R0lGOD",
];

test("none of the planted secrets is in a capture of everything", async () => {
  await open("/secrets");
  const capture = await chrome.select(panel, page, everywhere);
  const json = JSON.stringify(capture);
  expect(SECRETS.filter((secret) => json.includes(secret))).toEqual([]);
  expect(capture.counts.redacted).toBeGreaterThan(12);
  const nodes = all(capture);
  expect(nodes.find((node) => node.attributes?.type === "password")?.attributes?.value).toBe("[filled]");
  expect(nodes.find((node) => node.attributes?.["data-testid"] === "save")?.name).toBe("Save changes");
  expect(nodes.find((node) => node.text === "reset")?.attributes?.href).toBe("/reset?code=…&lang=…");
});

test("none of the planted secrets is in a capture of each element on its own", async () => {
  await open("/secrets");
  for (const selector of [
    "form",
    "p",
    "#spread",
    "[data-private]",
    ".fs-exclude button",
    "select",
    "textarea",
    "[role=textbox]",
  ]) {
    const found: string[] = [];
    for (let index = 0; index < (selector === "p" ? 6 : 1); index += 1) {
      const box = await (await page.$$(`#account ${selector}`))[index]?.boundingBox();
      if (!box) continue;
      const json = JSON.stringify(
        await chrome.select(panel, page, {
          x: box.x - 2,
          y: box.y - 2,
          width: box.width + 4,
          height: box.height + 4,
        }),
      );
      found.push(...SECRETS.filter((secret) => json.includes(secret)));
    }
    expect(found, selector).toEqual([]);
  }
});

test("a hostile page neither stops a capture nor writes it", async () => {
  await open("/hostile");
  const capture = await chrome.select(panel, page, everywhere);
  const json = JSON.stringify(capture);
  const nodes = all(capture);
  expect(nodes.find((node) => node.name === "Honest button")?.tag).toBe("button");
  expect(nodes.find((node) => node.text === "Trapped")?.id).toBe("trap");
  // The page has broken what names are read with, which costs the names and nothing else.
  expect(nodes.find((node) => node.id === "forged")?.components).toBeUndefined();
  expect(json).not.toContain("tail-of-the-text");
  expect(json).not.toContain('forged":true');
  expect(json).not.toContain("\u202e");
  expect(byteLength(capture)).toBeLessThanOrEqual(LIMIT.bytes);
  const prompt = fenceOutline(renderOutline(capture));
  const [fence = ""] = /`{3,}(?=page)/.exec(prompt) ?? [];
  expect(prompt.split(`\n${fence}`)).toHaveLength(3);
  // It hears of no message but those that it sent itself.
  const heard = await page.evaluate(() => (window as unknown as { heard: string[] }).heard);
  expect(heard.filter((one) => one.startsWith("message"))).toEqual([
    "message EXTRACT_SELECTION",
    "message START_SELECTION",
    "message SELECTION_PICKED",
  ]);
});

test("messages that a page forges do nothing", async () => {
  await open("/hostile");
  await page.evaluate(() => {
    for (const type of ["SELECTION_PICKED", "NAME_COMPONENTS", "EXTRACT_SELECTION"])
      window.postMessage({ type, box: [0, 0, 9, 9] }, "*");
  });
  await chrome.beginSelection(panel, page);
  const worker = await chrome.worker();
  const waiting = await worker.evaluate(async () =>
    Object.keys(await globalThis.chrome.storage.session.get(null)),
  );
  expect(waiting.filter((key) => key.startsWith("capture."))).toEqual([]);
});

test("a page that allows no script, style or frame can be selected in", async () => {
  await open("/strict");
  const capture = await chrome.pick(panel, page, "#go");
  expect(capture.nodes[0]).toMatchObject({ tag: "button", name: "Strict button", selector: "#go" });
});

test("an element inside a modal dialog can be selected", async () => {
  await open("/modal");
  const capture = await chrome.pick(panel, page, "#yes");
  expect(capture.nodes[0]).toMatchObject({ name: "Yes, remove it" });
});

test("the page gets no event of a selection, and is afterwards as it was", async () => {
  await open("/listening");
  const before = await page.evaluate(() => document.documentElement.outerHTML);
  await chrome.pick(panel, page, "#link");
  await chrome.pick(panel, page, "#button");
  await chrome.select(panel, page, { x: 10, y: 10, width: 300, height: 150 });
  await chrome.beginSelection(panel, page);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await chrome.delivered();
  const after = await page.evaluate(() => ({
    heard: (window as unknown as { heard: string[] }).heard,
    html: document.documentElement.outerHTML,
    url: location.pathname,
  }));
  expect(after).toEqual({ heard: [], html: before, url: "/listening" });
});

test("Escape ends a selection, in the page and from the panel", async () => {
  await open("/listening");
  const gone = () => until("the highlight's end", async () => (await page.$("farhand-selection")) === null);
  await chrome.beginSelection(panel, page);
  await page.keyboard.press("Escape");
  await gone();
  await chrome.beginSelection(panel, page);
  await panel.evaluate(async () => {
    const [tab] = await globalThis.chrome.tabs.query({ active: true, currentWindow: true });
    await globalThis.chrome.runtime.sendMessage({ type: "SELECTION_KEY", tabId: tab?.id, key: "Escape" });
  });
  await gone();
});

test("a second selection takes the place of the first", async () => {
  await open("/listening");
  await chrome.beginSelection(panel, page);
  await chrome.beginSelection(panel, page);
  expect(await page.$$("farhand-selection")).toHaveLength(1);
  await drag(page, { x: 20, y: 20, width: 400, height: 150 });
  expect((await chrome.delivered()).kind).toBe("area");
});

test("reading two thousand elements is quick (printed)", async () => {
  await open("/many");
  const worker = await chrome.worker();
  await chrome.select(panel, page, { x: 2, y: 2, width: 60, height: 60 });
  const cpu = await page.createCDPSession();
  await cpu.send("Performance.enable", { timeDomain: "threadTicks" });
  const busyMs = async (): Promise<number> => {
    const { metrics } = await cpu.send("Performance.getMetrics");
    return (metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0) * 1000;
  };
  const wall: number[] = [];
  const busy: number[] = [];
  let seen = 0;
  for (let round = 0; round < 7; round += 1) {
    const before = await busyMs();
    const result = (await worker.evaluate(async () => {
      const [tab] = await globalThis.chrome.tabs.query({ active: true, currentWindow: true });
      const begun = performance.now();
      const message = { type: "EXTRACT_SELECTION", area: [0, 0, 880, 790] };
      const capture = await globalThis.chrome.tabs.sendMessage(tab?.id ?? 0, message, { frameId: 0 });
      return { ms: performance.now() - begun, seen: capture.counts.seen };
    })) as { ms: number; seen: number };
    busy.push(Math.round((await busyMs()) - before));
    wall.push(Math.round(result.ms));
    seen = result.seen;
  }
  console.log(
    `    ${seen} elements: page's thread busy ${busy.join(", ")} ms; ${wall.join(", ")} ms with the way there and back`,
  );
  expect(seen).toBeGreaterThanOrEqual(2000);
});
