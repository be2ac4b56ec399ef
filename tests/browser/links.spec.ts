/** Links to places in the conversation: copied from an item's menu, followed to something seen, folded, long past, or not there. */
import { expect, type Page, test } from "@playwright/test";
import { open } from "./fixture/deployment.js";
import { finished, historyBefore, LONG_SEQ, long, oldPlaces, together } from "./fixture/facts.js";

const session = "/sessions/ses_cart";
const log = (page: Page) => page.getByRole("log");
const marked = (page: Page) => log(page).locator("[data-linked]");
const note = (page: Page) => page.locator(".timeline-note");

test("an item's link is copied by keyboard, and leads back to the item", async ({
  page,
  context,
  baseURL,
}) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const deployment = await open(page, session, { snapshot: together() });
  const prose = log(page).locator(".row-frame").filter({ hasText: "The discount is applied once in" });
  const more = prose.getByRole("button", { name: "More about this answer" });
  await more.focus();
  await page.keyboard.press("Enter");
  const menu = page.getByRole("menu", { name: "More" });
  await expect(menu.getByRole("menuitem", { name: "Copy link" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(menu).toBeHidden();
  await expect(more).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await expect(note(page)).toContainText("Link copied");
  await expect(more).toBeFocused();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link.replace(/\d+$/, "")).toBe(`${new URL(baseURL ?? "").origin}/sessions/ses_cart#e`);
  await more.click();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await expect(note(page)).toContainText("Text copied");
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain("`applyCode()`");

  await page.goto("/");
  await page.goto(link);
  await expect(marked(page)).toContainText("The discount is applied once in");
  await expect(marked(page)).toBeInViewport();
  await expect(marked(page)).toBeFocused();
  expect(deployment.complaints).toEqual([]);
});

test("what came while one looked has a link of its own", async ({ page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const deployment = await open(page, session, { snapshot: together() });
  const content = { type: "text", text: "A new thought", done: true } as const;
  const item = { id: "itm_new", turnId: "trn_1", startedAt: deployment.now(), content };
  deployment.emit({ type: "item_changed", item });
  const { seq } = deployment;
  deployment.emit({
    type: "item_changed",
    item: { ...item, content: { ...content, text: "A better thought" } },
  });
  const row = log(page).locator(".row-frame").filter({ hasText: "A better thought" });
  await row.getByRole("button", { name: "More about this answer" }).click();
  await page.getByRole("menuitem", { name: "Copy link" }).click();
  await expect(note(page)).toContainText("Link copied");
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toMatch(new RegExp(`#e${seq}$`));
  await page.evaluate((hash) => {
    location.hash = hash;
  }, `#e${seq}`);
  await expect(marked(page)).toContainText("A better thought");
});

test("a link into a folded row opens it", async ({ page }) => {
  const snapshot = finished();
  const index = snapshot.items.findIndex(({ id }) => id === "itm_read2");
  await open(page, `${session}#e${snapshot.places?.items[index]}`, { snapshot });
  await expect(marked(page)).toContainText("src/cart/quantity.ts");
  await expect(log(page).getByRole("button", { name: /Explored/ })).toHaveAttribute("aria-expanded", "true");
});

test("a link to a notice, to a turn and to a prompt finds each", async ({ page }) => {
  const snapshot = together();
  await open(page, `${session}#e31`, { snapshot });
  await expect(marked(page)).toContainText("Updating the pull request");
  const go = (place: number | undefined) =>
    page.evaluate((hash) => {
      location.hash = hash;
    }, `#e${place}`);
  await go(snapshot.places?.turns[0]);
  await expect(marked(page)).toHaveAccessibleName("Running turn");
  await go(snapshot.places?.prompts[1]);
  await expect(marked(page)).toHaveAccessibleName("Steering prompt of Mika Kato");
  await expect(marked(page)).toHaveCount(1);
});

test("a link to something long past fetches as much as it needs and no more", async ({ page }) => {
  const deployment = await open(page, `${session}#e${oldPlaces(20).answer}`, {
    snapshot: long(),
    seq: LONG_SEQ,
    history: historyBefore,
  });
  await expect(marked(page)).toContainText("Old answer 20.");
  await expect(marked(page)).toBeInViewport();
  await expect(marked(page)).toBeFocused();
  expect(deployment.pages.slice(0, 2)).toEqual([320, 240]);
  // It stays where it is while what stands above it is fetched as well.
  const top = () => marked(page).evaluate((element) => element.getBoundingClientRect().top);
  const before = await top();
  deployment.emit({ type: "title_changed", title: "Another title" });
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Another title");
  expect(Math.abs((await top()) - before)).toBeLessThan(2);
  await page.getByRole("button", { name: "Latest" }).click();
  await expect(log(page).getByRole("link", { name: "Review" })).toBeInViewport();
});

test("a number that nothing has is said kindly, and so is a page that does not come", async ({ page }) => {
  let busy = false;
  const deployment = await open(page, `${session}#e999`, {
    snapshot: long(),
    seq: LONG_SEQ,
    history: (before) =>
      busy ? { code: "unavailable", message: "The session is busy." } : historyBefore(before),
  });
  await expect(note(page)).toContainText("Nothing in this conversation has the number 999.");
  expect(deployment.pages, "it could only be newer").toEqual([]);
  await note(page).getByRole("button", { name: "Dismiss" }).click();
  await expect(note(page)).toHaveText("");
  busy = true;
  await page.evaluate(() => {
    location.hash = "#e5";
  });
  await expect(note(page)).toContainText("could not be reached. The session is busy.");
  await page.evaluate(() => {
    location.hash = "#content";
  });
  await expect(note(page)).toHaveText("");
  await expect(marked(page)).toHaveCount(0);
});
