/** Component names as a person would expect them, on the same shop in every framework, in development and production. */
import { expect, test } from "@playwright/test";
import type { Page } from "puppeteer-core";
import { type CaptureNode, type ContextCapture, eachNode } from "../../extension/src/capture/capture.js";
import { boxOf, Chrome } from "./fixture/chrome.js";
import { type Mode, SHOPS, type Shop } from "./fixture/shops.js";
import { Site } from "./fixture/site.js";

const site = new Site();
let chrome: Chrome;
let panel: Page;
let page: Page;

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

async function openShop(shop: Shop, mode: Mode): Promise<void> {
  page = await chrome.open(site.url(`/shop/${shop}/${mode}`));
  await page.waitForSelector(".grid .button");
  panel = await chrome.pressToolbar(page);
}

function find(capture: ContextCapture, matches: (node: CaptureNode) => boolean): CaptureNode | undefined {
  let found: CaptureNode | undefined;
  eachNode(capture.nodes, (node) => {
    if (found === undefined && matches(node)) found = node;
  });
  return found;
}

const isButton = (node: CaptureNode): boolean => node.tag === "button";

for (const shop of SHOPS.filter((one) => one.startsWith("react"))) {
  for (const mode of ["dev", "prod"] as const) {
    test(`a click in ${shop} (${mode}) takes the component under it`, async () => {
      await openShop(shop, mode);
      const capture = await chrome.pick(panel, page, ".card .button");
      expect(capture.framework).toBe(`react-${mode}`);
      expect(capture.kind).toBe("element");
      expect(capture.components).toEqual(["Shop", "Theme.Provider", "ProductGrid", "ProductCard"]);
      expect(capture.nodes.map((node) => [node.tag, node.components, node.name])).toEqual([
        ["button", ["AddButton"], "Add Lamp 1 to cart"],
      ]);
    });

    test(`a rectangle in ${shop} (${mode}) tells which component each element is of`, async () => {
      await openShop(shop, mode);
      const capture = await chrome.select(panel, page, await boxOf(page, ".grid"));
      const root = capture.nodes[0] as CaptureNode;
      expect(root.components).toEqual(["ProductGrid"]);
      expect(root.children?.map((node) => [node.tag, node.components])).toEqual(
        [1, 2, 3].map(() => ["article", ["ProductCard"]]),
      );
      expect(find(capture, isButton)?.components).toEqual(["AddButton"]);
      // A minifier takes away what was not set by hand, and its one letter is not a name.
      const price = find(capture, (node) => node.classes?.includes("price") === true);
      expect(price?.components).toEqual(mode === "dev" ? ["Price"] : undefined);
      const title = find(capture, (node) => node.tag === "h3");
      expect(title?.text).toBe("Lamp 1");
    });
  }

  test(`what ${shop} shows through a portal belongs to the component that opened it`, async () => {
    await openShop(shop, "dev");
    const capture = await chrome.pick(panel, page, ".menu [role=menuitem]");
    expect([...capture.components, ...(capture.nodes[0]?.components ?? [])]).toEqual([
      "Shop",
      "Theme.Provider",
      "MenuPortal",
      "Menu",
    ]);
  });

  test(`what ${shop} loads lazily has the name of what was loaded`, async () => {
    await openShop(shop, "dev");
    const capture = await chrome.pick(panel, page, ".newsletter button");
    expect(capture.nodes[0]?.components).toEqual(["NewsletterForm"]);
    expect(JSON.stringify(capture)).not.toContain("private.example");
  });
}

for (const shop of ["react-17", "react-18"] as const) {
  test(`${shop} in development says where an element is written`, async () => {
    await openShop(shop, "dev");
    const capture = await chrome.pick(panel, page, ".card .button");
    expect(capture.nodes[0]?.source).toMatch(/^src\/add-button\.jsx:6:\d+$/);
  });
}

test("React 19 in development names no bundle as a source", async () => {
  await openShop("react-19", "dev");
  const capture = await chrome.pick(panel, page, ".card .button");
  expect(capture.nodes[0]?.source).toBeUndefined();
});

for (const mode of ["dev", "prod"] as const) {
  test(`Vue (${mode}) tells components by the names of their files`, async () => {
    await openShop("vue", mode);
    const capture = await chrome.select(panel, page, await boxOf(page, ".grid"));
    expect(capture.framework).toBe(`vue-${mode}`);
    expect(capture.components).toEqual(["App"]);
    expect(capture.nodes[0]?.components).toEqual(["ProductGrid"]);
    const button = find(capture, isButton);
    expect(button?.components).toEqual(["AddButton"]);
    expect(button?.source).toBe(mode === "dev" ? "src/AddButton.vue" : undefined);
  });
}

test("Svelte in development tells components and where they are written", async () => {
  await openShop("svelte", "dev");
  const capture = await chrome.select(panel, page, await boxOf(page, ".grid"));
  expect(capture.framework).toBe("svelte-dev");
  expect(capture.components).toEqual(["App"]);
  expect(capture.nodes[0]?.components).toEqual(["ProductGrid"]);
  const button = find(capture, isButton);
  expect(button?.components).toEqual(["AddButton"]);
  expect(button?.source).toBe("src/AddButton.svelte:5:1");
});

test("Svelte in production leaves no names, and the elements are told all the same", async () => {
  await openShop("svelte", "prod");
  const capture = await chrome.select(panel, page, await boxOf(page, ".grid"));
  expect(capture.framework).toBeUndefined();
  expect(capture.components).toEqual([]);
  expect(find(capture, isButton)?.name).toBe("Add Lamp 1 to cart");
});
