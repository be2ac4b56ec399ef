/**
 * The pictures of the README. `npm run pictures --workspace @farhand/tests-browser` writes those that are committed, in `workers/web/pictures`;
 * every other run writes them beside the other pictures, and sees that they are no heavier than a page should be.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, type Page, test } from "@playwright/test";
import { open } from "./fixture/deployment.js";
import { running } from "./fixture/facts.js";
import { withFiles } from "./fixture/files.js";

const FOLDER = fileURLToPath(
  new URL(
    process.env.README_PICTURES === undefined
      ? "./test-results/pictures/readme/"
      : "../../workers/web/pictures/",
    import.meta.url,
  ),
);
const BYTES_MAX = 150_000;

/** The page as WebP, which Playwright does not write: drawn and encoded by the browser itself. */
async function webp(page: Page): Promise<Buffer> {
  const png = await page.screenshot({ animations: "disabled" });
  const blank = await page.context().newPage();
  const encoded = await blank.evaluate(async (data) => {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/webp", quality: 0.92 });
    const url = new FileReader();
    url.readAsDataURL(blob);
    await new Promise((done) => url.addEventListener("load", done));
    return `${url.result}`.split(",")[1] ?? "";
  }, png.toString("base64"));
  await blank.close();
  return Buffer.from(encoded, "base64");
}

for (const { name, colorScheme, viewport, snapshot } of [
  { name: "session-dark", colorScheme: "dark", viewport: { width: 1440, height: 900 }, snapshot: running() },
  {
    name: "session-light",
    colorScheme: "light",
    viewport: { width: 1440, height: 900 },
    snapshot: running(),
  },
  { name: "phone-dark", colorScheme: "dark", viewport: { width: 390, height: 844 }, snapshot: withFiles() },
  { name: "phone-light", colorScheme: "light", viewport: { width: 390, height: 844 }, snapshot: withFiles() },
] as const) {
  test.describe(name, () => {
    test.use({ colorScheme, viewport });
    test("is a picture of the README", async ({ page }) => {
      await open(page, "/sessions/ses_cart", { snapshot });
      await expect(page.getByRole("log")).toContainText(/#421|Updating the/);
      const drawn = (all: Element[]) =>
        all.every((one) => {
          const { width, top, bottom } = one.getBoundingClientRect();
          const seen = width > 0 && bottom > 0 && top < innerHeight;
          return !seen || (one as HTMLImageElement).complete;
        });
      await expect.poll(() => page.locator("img").evaluateAll(drawn)).toBe(true);
      const picture = await webp(page);
      expect(picture.length).toBeLessThan(BYTES_MAX);
      expect(picture.subarray(8, 12).toString()).toBe("WEBP");
      mkdirSync(FOLDER, { recursive: true });
      writeFileSync(`${FOLDER}${name}.webp`, picture);
    });
  });
}
