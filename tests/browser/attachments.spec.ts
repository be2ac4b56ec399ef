/** What goes along with prompts: pasted, dropped and chosen files, their chips in the composer and in the timeline. */
import type { Attachment } from "@farhand/protocol";
import { expect, type Locator, type Page, test } from "@playwright/test";
import { open } from "./fixture/deployment.js";
import { starting } from "./fixture/facts.js";

const field = (page: Page) => page.getByRole("textbox", { name: "Prompt" });
const chips = (page: Page) => page.locator("form").getByRole("list", { name: "Attachments" });

/** Files as a paste or a drop brings them. `picture` is drawn in the page, as large as it says. */
type Given = { name: string; text: string } | { name: string; picture: [number, number] };

async function give(target: Locator, kind: "paste" | "drop", files: Given[]): Promise<void> {
  await target.evaluate(
    async (element, { kind, files }) => {
      const transfer = new DataTransfer();
      for (const file of files) {
        if ("text" in file) {
          transfer.items.add(new File([file.text], file.name, { type: "text/plain" }));
          continue;
        }
        const [width, height] = file.picture;
        const canvas = new OffscreenCanvas(width, height);
        const context = canvas.getContext("2d");
        for (let x = 0; context !== null && x < width; x += 7) {
          context.fillStyle = `rgb(${(x * 31) % 256} ${(x * 17) % 256} ${(x * 7) % 256})`;
          context.fillRect(x, 0, 7, height);
        }
        transfer.items.add(new File([await canvas.convertToBlob()], file.name, { type: "image/png" }));
      }
      const event =
        kind === "paste"
          ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true })
          : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
      element.dispatchEvent(event);
    },
    { kind, files },
  );
}

test("a pasted picture and a dropped file go along and stand in the timeline", async ({ page }) => {
  const deployment = await open(page, "/sessions/ses_cart");
  await field(page).fill("Make it look like this");
  await give(field(page), "paste", [{ name: "sketch.png", picture: [3000, 1500] }]);
  await expect(chips(page).getByRole("listitem")).toHaveCount(1);
  await give(field(page), "drop", [{ name: "build.log", text: "error: no such total\n" }]);
  await expect(chips(page).getByRole("listitem")).toHaveCount(2);
  await expect(chips(page)).toContainText("build.log");
  await page.keyboard.press("Control+Enter");
  await expect(chips(page)).toHaveCount(0);
  await expect.poll(() => deployment.frames("prompt").length).toBe(1);
  const [image, text] = deployment.frames("prompt").flatMap(({ prompt }) => prompt.attachments ?? []);
  expect(text).toEqual({ type: "text", name: "build.log", text: "error: no such total\n" });
  if (image?.type !== "image") throw new Error(image?.type);
  expect(image.name).toBe("sketch.png");
  expect(image.picture.mediaType).toBe("image/webp");
  expect([image.picture.width, image.picture.height]).toEqual([1568, 784]);
  expect(image.picture.data.length).toBeLessThan(180 * 1024);

  const told = page.getByRole("log").getByRole("list", { name: "Attachments" });
  await told.getByRole("button", { name: /build\.log/ }).press("Enter");
  await expect(told).toContainText("error: no such total");
  await told.getByRole("button", { name: /build\.log/ }).press("Escape");
  await expect(told).not.toContainText("error: no such total");
  await told.getByRole("button", { name: /sketch\.png/ }).click();
  const picture = told.getByRole("img", { name: "sketch.png" });
  await expect.poll(() => picture.evaluate((one: HTMLImageElement) => one.naturalWidth)).toBe(1568);
  await expect(told.getByRole("link", { name: "Open the picture" })).toHaveAttribute(
    "href",
    /\/artifacts\/art_1$/,
  );
  expect(deployment.complaints).toEqual([]);
});

test("chips are removed by keyboard, and what does not fit says why", async ({ page }) => {
  const deployment = await open(page, "/sessions/ses_cart");
  await give(field(page), "drop", [
    { name: "one.txt", text: "1" },
    { name: "two.txt", text: "2" },
  ]);
  await expect(chips(page).getByRole("listitem")).toHaveCount(2);
  await page.getByRole("button", { name: "Remove one.txt" }).press("Enter");
  await expect(chips(page).getByRole("listitem")).toHaveCount(1);
  await expect(page.getByRole("button", { name: "Remove two.txt" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(field(page)).toBeFocused();
  await expect(chips(page)).toHaveCount(0);

  const problem = page.locator("form").getByRole("alert");
  await give(field(page), "drop", [{ name: "huge.log", text: "x".repeat(200_000) }]);
  await expect(problem).toHaveText("huge.log does not fit: attachments have 180 KiB together.");
  await give(field(page), "drop", [{ name: "nul.bin", text: "a\u0000b" }]);
  await expect(problem).toHaveText("nul.bin is neither a picture nor text.");
  await give(
    field(page),
    "drop",
    ["1", "2", "3", "4", "5", "6"].map((text) => ({ name: `${text}.txt`, text })),
  );
  await expect(problem).toHaveText("A prompt takes 5 attachments. Remove one to add 6.txt.");
  await expect(chips(page).getByRole("listitem")).toHaveCount(5);
  expect(deployment.complaints).toEqual([]);
});

test("the first prompt of a session takes files too", async ({ page }) => {
  const deployment = await open(page, "/", { snapshot: starting() });
  await page.getByRole("link", { name: "New session" }).first().click();
  const first = page.getByRole("textbox", { name: "First prompt" });
  await expect(page.getByRole("combobox", { name: "Repository" })).toHaveValue("acme/billing-api");
  await first.fill("Fix this");
  const chooser = page.waitForEvent("filechooser");
  await page.getByRole("button", { name: "Attach pictures or text files" }).click();
  const notes = { name: "notes.md", mimeType: "text/markdown", buffer: Buffer.from("# Notes") };
  await (await chooser).setFiles([notes]);
  await expect(chips(page)).toContainText("notes.md");
  await page.keyboard.press("Tab");
  await first.press("Control+Enter");
  await expect(page).toHaveURL(/\/sessions\/ses_cart$/);
  const [created] = deployment.created as { prompt: { attachments: Attachment[] } }[];
  expect(created?.prompt.attachments).toEqual([{ type: "text", name: "notes.md", text: "# Notes" }]);
});

test("a refused prompt gives back its files with its words, before what was written since", async ({
  page,
}) => {
  const deployment = await open(page, "/sessions/ses_cart", { acknowledges: false });
  await field(page).fill("Too much");
  await give(field(page), "drop", [{ name: "build.log", text: "error: no such total" }]);
  await expect(chips(page)).toContainText("build.log");
  await page.keyboard.press("Control+Enter");
  await expect.poll(() => deployment.frames("prompt").length).toBe(1);
  await field(page).fill("And more");
  await give(field(page), "drop", [{ name: "other.log", text: "fine" }]);
  const [sent] = deployment.frames("prompt");
  deployment.send({
    type: "rejected",
    promptId: sent?.prompt.id ?? "",
    error: { code: "queue_full", message: "100 prompts wait already." },
  });
  await page.getByRole("button", { name: "Edit again" }).click();
  await expect(field(page)).toHaveValue("Too much\n\nAnd more");
  await expect(chips(page).getByRole("listitem")).toHaveText([/^build\.log/, /^other\.log/]);
  await page.keyboard.press("Control+Enter");
  await expect
    .poll(() => deployment.frames("prompt").at(-1)?.prompt.attachments)
    .toEqual([
      { type: "text", name: "build.log", text: "error: no such total" },
      { type: "text", name: "other.log", text: "fine" },
    ]);
});
