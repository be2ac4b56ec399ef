/** What a session keeps besides conversation and diff: small in the inspector, large over the page, and nothing of it from elsewhere. */
import { expect, type Locator, type Page, test } from "@playwright/test";
import { open } from "./fixture/deployment.js";
import { running, withArtifacts } from "./fixture/facts.js";
import { file, withFiles } from "./fixture/files.js";

const session = "/sessions/ses_cart";
const shelf = (page: Page) => page.getByRole("region", { name: "Artifacts" });

test.use({ viewport: { width: 1440, height: 1000 } });

test("pictures and files open large by keyboard, go on with arrows, and Escape gives the focus back", async ({
  page,
  baseURL,
}) => {
  const foreign: string[] = [];
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(baseURL ?? "").origin) foreign.push(request.url());
  });
  const deployment = await open(page, session, { snapshot: withArtifacts() });
  await expect(shelf(page).getByRole("listitem")).toHaveCount(5);
  const before = shelf(page).getByRole("button", { name: "checkout-before.png" });
  const drawn = (name: string) =>
    page
      .getByRole("dialog")
      .getByRole("img", { name })
      .evaluate((one: HTMLImageElement) => one.naturalWidth);
  await expect
    .poll(() => before.locator("img").evaluate((one: HTMLImageElement) => one.naturalWidth))
    .toBe(1280);
  await before.focus();
  await page.keyboard.press("Enter");
  const viewer = page.getByRole("dialog");
  await expect(viewer).toHaveAccessibleName("checkout-before.png");
  await expect.poll(() => drawn("checkout-before.png")).toBe(1280);
  await expect(viewer).toContainText("1280×800 · 42 kB · from Jo Reyes");
  await page.keyboard.press("ArrowRight");
  await expect(viewer).toHaveAccessibleName("checkout-after.png");
  await page.keyboard.press("ArrowRight");
  await expect(viewer.locator("pre")).toContainText("1041,44.98");
  await expect(viewer.getByRole("button", { name: "Next" })).toHaveAttribute("aria-disabled", "true");
  await viewer.getByRole("button", { name: "Previous" }).click();
  await expect(viewer).toHaveAccessibleName("checkout-after.png");
  await expect(viewer.getByRole("link", { name: "Open in a new tab" })).toHaveAttribute(
    "href",
    "/api/sessions/ses_cart/artifacts/art_after",
  );
  await page.keyboard.press("Escape");
  await expect(viewer).toHaveCount(0);
  await expect(before).toBeFocused();
  expect(foreign).toEqual([]);
  expect(deployment.complaints).toEqual([]);
});

test("a whole output is one click away, and what comes while one looks is added", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: withArtifacts() });
  await expect(shelf(page).getByRole("link", { name: /npm run build -- --verbose/ })).toHaveAttribute(
    "href",
    "/api/sessions/ses_cart/artifacts/art_output",
  );
  const prompt = deployment.snapshot?.prompts.at(-1);
  if (prompt === undefined) throw new Error("there is no prompt");
  deployment.emit({
    type: "prompt_queued",
    prompt: {
      ...prompt,
      id: "prm_more",
      attachments: [{ kind: "text", name: "more.txt", bytes: 12, textId: "art_gone" }],
    },
  });
  await expect(shelf(page).getByRole("listitem")).toHaveCount(6);
  await shelf(page).getByRole("button", { name: "more.txt" }).click();
  await expect(page.getByRole("dialog")).toContainText("It cannot be loaded now.");
  await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

const step = (page: Page, name: string) =>
  page
    .getByRole("log")
    .locator(".row-frame", { hasText: name })
    .getByRole("list", { name: "Files of this step" });
const isDrawn = (picture: Locator) =>
  picture.evaluate((one: HTMLImageElement) => one.complete && one.naturalWidth > 0);

test("pictures that the agent brings stand below their step, open large, and are on the shelf", async ({
  page,
}) => {
  const deployment = await open(page, session, { snapshot: withFiles() });
  const shot = step(page, "localhost:5173");
  await expect(shot.getByRole("listitem")).toHaveCount(2);
  const wide = shot.getByRole("button", { name: "checkout-after.png 1280×800" });
  await expect.poll(() => isDrawn(wide.locator("img"))).toBe(true);
  const box = await wide.locator("img").boundingBox();
  expect([Math.round(box?.width ?? 0), Math.round(box?.height ?? 0)]).toEqual([352, 220]);
  await wide.focus();
  await page.keyboard.press("Enter");
  const viewer = page.getByRole("dialog");
  await expect(viewer).toHaveAccessibleName("checkout-after.png");
  await expect(viewer).toContainText("1280×800 · 42 kB · from the agent");
  await page.keyboard.press("ArrowRight");
  await expect(viewer).toHaveAccessibleName("checkout-on-a-phone-with-the-drawer-open.png");
  await page.keyboard.press("Escape");
  await expect(wide).toBeFocused();

  const left = page.getByRole("log").getByRole("list", { name: "Files of this turn" });
  await left.getByRole("button", { name: "orders.csv" }).click();
  await expect(viewer.locator("pre")).toContainText("1041,44.98");
  await page.keyboard.press("Escape");
  const download = left.getByRole("link", { name: "trace.zip" });
  await expect(download).toHaveAttribute("download", "trace.zip");
  await expect(download).toHaveAttribute("href", "/api/sessions/ses_cart/artifacts/art_trace");
  await expect(shelf(page).getByRole("listitem")).toHaveCount(5);
  await expect(shelf(page).getByRole("link", { name: "trace.zip" })).toHaveAttribute("download", "trace.zip");
  expect(deployment.complaints).toEqual([]);
});

test("a picture appears while the agent works, and nothing that is no picture is drawn", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  await expect(page.getByRole("list", { name: "Files of this step" })).toHaveCount(0);
  const bring = (id: string, content: Parameters<typeof file>[1]) =>
    deployment.emit({ type: "artifact_changed", artifact: file(id, { itemId: "itm_test", ...content }) });
  bring("after", { extent: { width: 1280, height: 800 } });
  const files = step(page, "npm test");
  await expect.poll(() => isDrawn(files.locator("img"))).toBe(true);
  bring("page", { name: "page.html", mediaType: "text/plain" });
  bring("movie", { name: "<img src=x>.mp4", mediaType: "video/mp4" });
  await expect(files.getByRole("listitem")).toHaveCount(3);
  await expect(files.locator("img")).toHaveCount(1);
  await expect(files.getByRole("link")).toContainText("<img src=x>.mp4");
  expect(deployment.complaints).toEqual([]);
});

test("the inspector's width is changed with keys and pointer, and kept", async ({ page }) => {
  await open(page, session);
  const inspector = page.getByRole("complementary", { name: "Changes and details" });
  const edge = page.getByRole("separator", { name: "Width of the inspector" });
  const width = async () => (await inspector.boundingBox())?.width;
  expect(await width()).toBe(432);
  await edge.focus();
  await page.keyboard.press("ArrowLeft");
  await expect(edge).toHaveAttribute("aria-valuenow", "448");
  await expect.poll(width).toBe(448);
  await page.reload();
  await expect.poll(width).toBe(448);
  await edge.focus();
  await page.keyboard.press("End");
  await expect.poll(width).toBe(640);
  await page.keyboard.press("Home");
  await expect.poll(width).toBe(360);
  const box = await edge.boundingBox();
  if (box === null) throw new Error("there is no edge");
  await page.mouse.move(box.x + 4, 400);
  await page.mouse.down();
  await page.mouse.move(box.x - 96, 400, { steps: 5 });
  await page.mouse.up();
  await expect.poll(width).toBe(460);
  await page.reload();
  await expect.poll(width).toBe(460);
  await edge.dblclick();
  await expect.poll(width).toBe(432);
});
