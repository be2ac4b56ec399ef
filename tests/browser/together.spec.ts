/** Several people and one session, played: queue, steering, roles, presence, notices, earlier turns, and the session as a whole. */
import { expect, type Page, test } from "@playwright/test";
import { open } from "./fixture/deployment.js";
import { archived, finished, historyBefore, LONG_SEQ, long, together, USERS } from "./fixture/facts.js";

const session = "/sessions/ses_cart";

const log = (page: Page) => page.getByRole("log");
const field = (page: Page) => page.getByRole("textbox", { name: "Prompt", exact: true });
const queue = (page: Page) => page.getByRole("list", { name: "Waiting prompts" });
const rows = (page: Page) => queue(page).getByRole("listitem");
const grip = (page: Page, index: number) =>
  rows(page)
    .nth(index)
    .getByRole("button", { name: /^Move the prompt/ });

async function texts(page: Page): Promise<string[]> {
  return rows(page).locator(".queue-text").allTextContents();
}

const STEERING = "And leave the per-line amounts alone";
const EDITED = "Then check the same path in the mini-cart drawer";
const LAST = "Please keep the rounding rule: half-up on the cart, not per line.";

test("the queue is moved with the arrow keys, and goes back when it is refused", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  await expect.poll(() => texts(page)).toEqual([STEERING, EDITED, LAST]);
  await grip(page, 2).focus();
  await page.keyboard.press("ArrowUp");
  await expect.poll(() => texts(page)).toEqual([STEERING, LAST, EDITED]);
  expect(deployment.received.at(-1)).toEqual({ type: "move_prompt", promptId: "prm_3", before: "prm_2" });
  await expect(grip(page, 1)).toBeFocused();
  await expect(page.getByText("Moved to place 2 of 3 prompts")).toBeAttached();
  deployment.emit({ type: "prompt_moved", promptId: "prm_3", before: "prm_2", by: "usr_jo" });
  await page.keyboard.press("ArrowDown");
  expect(deployment.received.at(-1)).toEqual({ type: "move_prompt", promptId: "prm_3" });
  await expect.poll(() => texts(page)).toEqual([STEERING, EDITED, LAST]);
  deployment.send({
    type: "rejected",
    promptId: "prm_3",
    error: { code: "prompt_not_queued", message: "this prompt does not wait any more" },
  });
  await expect(rows(page).getByRole("alert")).toContainText("This prompt does not wait any more");
  await expect.poll(() => texts(page)).toEqual([STEERING, LAST, EDITED]);
  expect(deployment.complaints).toEqual([]);
});

test("the queue is moved with the pointer", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  const from = await grip(page, 2).boundingBox();
  const to = await grip(page, 0).boundingBox();
  if (from === null || to === null) throw new Error("the rows are not shown");
  await page.mouse.move(from.x + 8, from.y + 8);
  await page.mouse.down();
  await page.mouse.move(to.x + 8, to.y + 2, { steps: 6 });
  await page.mouse.up();
  expect(deployment.received.at(-1)).toEqual({ type: "move_prompt", promptId: "prm_3", before: "prm_6" });
  await expect.poll(() => texts(page)).toEqual([LAST, STEERING, EDITED]);
  const frames = deployment.received.length;
  await page.mouse.move(from.x + 8, from.y + 8);
  await page.mouse.down();
  await page.mouse.move(to.x + 8, to.y + 2, { steps: 6 });
  await page.keyboard.press("Escape");
  await page.mouse.up();
  expect(deployment.received.length).toBe(frames);
});

test("one edits one's own waiting prompts, and sees who edited and took back", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  await expect(rows(page).getByRole("button", { name: "Edit this prompt" })).toHaveCount(1);
  await expect(log(page)).toContainText("Mika Kato took back a prompt of Tess Strand");
  await rows(page).getByRole("button", { name: "Edit this prompt" }).click();
  const edit = page.getByLabel("Text of the waiting prompt");
  await expect(edit).toBeFocused();
  await edit.fill("Check the drawer first");
  await page.keyboard.press("Control+Enter");
  expect(deployment.received.at(-1)).toEqual({
    type: "edit_prompt",
    promptId: "prm_2",
    text: "Check the drawer first",
  });
  deployment.emit({ type: "prompt_edited", promptId: "prm_2", text: "Check the drawer first", by: "usr_jo" });
  await expect(rows(page).nth(1)).toContainText("Check the drawer first");
  await expect(rows(page).nth(1).getByTitle("Edited by Jo Reyes")).toBeVisible();
  await rows(page).getByRole("button", { name: "Edit this prompt" }).click();
  await edit.fill("Never mind");
  await page.keyboard.press("Escape");
  await expect(edit).toBeHidden();
  expect(deployment.frames("edit_prompt").length).toBe(1);
  await expect(rows(page).getByRole("button", { name: "Edit this prompt" })).toBeFocused();
});

test("words that are being edited are not lost when their prompt begins to run", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  await rows(page).getByRole("button", { name: "Edit this prompt" }).click();
  await page.getByLabel("Text of the waiting prompt").fill("Half of a better text");
  deployment.emit({ type: "prompt_cancelled", promptId: "prm_2", by: "usr_mika" });
  await expect(field(page)).toHaveValue("Half of a better text");
});

test("a prompt is queued or steered, as chosen or by the other key", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  const sent = () => deployment.frames("prompt").map(({ prompt }) => [prompt.text, prompt.delivery]);
  await field(page).fill("Later");
  await page.keyboard.press("Control+Enter");
  await field(page).fill("Now");
  await page.keyboard.press("Alt+Enter");
  await page.getByRole("radio", { name: "Steer" }).check();
  await field(page).fill("Also now");
  await page.getByRole("button", { name: "Steer", exact: true }).click();
  await field(page).fill("Also later");
  await page.keyboard.press("Alt+Enter");
  await expect.poll(sent).toEqual([
    ["Later", undefined],
    ["Now", "steer"],
    ["Also now", "steer"],
    ["Also later", undefined],
  ]);
});

test("a steered prompt goes from the queue into the turn, and comes back when the turn is lost", async ({
  page,
}) => {
  const deployment = await open(page, session, { snapshot: together() });
  const steered = log(page).getByRole("article", { name: "Steering prompt of Mika Kato" });
  await expect(steered).toHaveCount(1);
  await expect(rows(page).first()).toContainText("steering");
  deployment.emit({ type: "prompt_steered", promptId: "prm_6", turnId: "trn_1" });
  await expect(steered).toHaveCount(2);
  await expect.poll(() => texts(page)).toEqual([EDITED, LAST]);
  deployment.emit({
    type: "turn_ended",
    turnId: "trn_1",
    promptState: "queued",
    end: {
      endedAt: deployment.now(),
      outcome: { type: "failed", reason: "The sandbox was lost." },
      usage: { inputTokens: 0, outputTokens: 0, cachedTokens: 0, costUsd: 0 },
    },
  });
  await expect(steered).toHaveCount(0);
  await expect
    .poll(() => texts(page))
    .toEqual(["Use half-up rounding, the finance team asked for it.", STEERING, EDITED, LAST]);
});

test("everybody sees who asked for the end", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  deployment.emit({
    type: "item_revised",
    item: {
      id: "itm_reply",
      turnId: "trn_1",
      startedAt: 0,
      content: { type: "text", text: "", done: true },
    },
  });
  deployment.emit({ type: "stop_requested", turnId: "trn_1", by: "usr_mika" });
  await expect(log(page)).toContainText("Stopping, asked by Mika Kato");
  await expect(page.getByRole("button", { name: "Stopping" })).toHaveAttribute("title", /asked by Mika Kato/);
  deployment.emit({
    type: "turn_ended",
    turnId: "trn_1",
    promptState: "done",
    end: {
      endedAt: deployment.now(),
      outcome: { type: "stopped" },
      usage: { inputTokens: 0, outputTokens: 0, cachedTokens: 0, costUsd: 0 },
    },
  });
  await expect(log(page)).toContainText("Stopped by Mika Kato after");
});

test("who comes, goes and writes is told, and one's own writing is", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  const faces = page.getByRole("button", { name: /Participants/ });
  deployment.send({ type: "presence_changed", joined: ["usr_mika", "usr_tess"], left: [] });
  await expect(page.getByText("Mika Kato and Tess Strand joined")).toBeVisible();
  await expect(faces).toHaveAccessibleName(/Mika Kato, here now/);
  deployment.send({ type: "typing", userId: "usr_mika" });
  await expect(page.getByText("Mika Kato is writing")).toBeVisible();
  deployment.send({ type: "presence_changed", joined: [], left: ["usr_mika"] });
  await expect(page.getByText("Mika Kato left")).toBeVisible();
  await expect(faces).toHaveAccessibleName(/Mika Kato, away/);
  await expect(page.getByText("Mika Kato is writing")).toBeHidden();
  await field(page).pressSequentially("Hello");
  expect(deployment.frames("typing").length).toBe(1);
});

test("owners change roles; the only owner stays", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  await page.getByRole("button", { name: /Participants/ }).click();
  const people = page.getByRole("region", { name: "People" });
  await expect(people.getByLabel(/Role of Jo/)).toHaveCount(0);
  const role = people.getByLabel("Role of Mika Kato");
  await role.selectOption("viewer");
  expect(deployment.received.at(-1)).toEqual({ type: "set_role", userId: "usr_mika", role: "viewer" });
  await expect(role).toHaveValue("driver");
  deployment.emit({ type: "role_changed", userId: "usr_mika", role: "viewer", by: "usr_jo" });
  await expect(role).toHaveValue("viewer");
  await people.getByLabel("Role of Tess Strand").selectOption("owner");
  deployment.send({ type: "rejected", error: { code: "forbidden", message: "ask an owner" } });
  await expect(people.getByRole("alert")).toContainText("Ask an owner");
  await page.keyboard.press("Escape");
  await expect(people).toBeHidden();
});

test("viewers watch and read why; made drivers, they write", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together(), user: USERS[2] ?? null });
  await expect(page.getByText("You are a viewer here")).toBeVisible();
  await expect(field(page)).toHaveCount(0);
  await expect(rows(page)).toHaveCount(3);
  await expect(queue(page).getByRole("button")).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Stop" })).toHaveCount(0);
  await page.getByRole("button", { name: "More about this session" }).click();
  await expect(page.getByRole("menuitem", { name: /Rename/ })).toHaveAttribute("aria-disabled", "true");
  deployment.emit({ type: "role_changed", userId: "usr_tess", role: "driver", by: "usr_jo" });
  await expect(field(page)).toBeVisible();
  await expect(page.getByRole("button", { name: "Stop" })).toBeVisible();
});

test("what happened beside the turns is told", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  await expect(log(page)).toContainText("remembers all but the last 2 turns");
  await expect(log(page)).toContainText("Updating the pull request: GitHub answered 403");
  deployment.emit({
    type: "conversation_restored",
    sandboxId: "sbx_2",
    from: { type: "digest", turns: 3 },
  });
  await expect(log(page)).toContainText("given a summary of 3 turns");
});

test("the whole of a long output is one click away", async ({ page }) => {
  await open(page, session, { snapshot: together() });
  await log(page)
    .getByRole("button", { name: /npm run build/ })
    .click();
  await expect(log(page)).toContainText("1.4 MB in the middle are left out here.");
  await expect(log(page).getByRole("link", { name: "Show full output" })).toHaveAttribute(
    "href",
    "/api/sessions/ses_cart/artifacts/art_output",
  );
});

test("earlier turns come as one scrolls up, and nothing jumps", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: long(), seq: LONG_SEQ, history: historyBefore });
  await expect(log(page)).toContainText("#421");
  expect(deployment.pages).toEqual([]);
  /** Where a text stands in the next picture; what is measured between two pictures nobody sees. */
  const top = (text: string) =>
    log(page)
      .getByText(text, { exact: true })
      .evaluate(async (element) => {
        const picture = () => new Promise((resolve) => requestAnimationFrame(resolve));
        await picture();
        await picture();
        return element.getBoundingClientRect().top;
      });
  await log(page).hover();
  await expect(async () => {
    await page.mouse.wheel(0, -900);
    expect(deployment.pages.length).toBeGreaterThan(0);
  }).toPass({ intervals: [50] });
  await expect(log(page)).toContainText("Old prompt 24");
  // From here to the very beginning: the first visible prompt stands still while pages come in above it.
  for (let round = 1; deployment.pages.at(-1) !== 80; round += 1) {
    expect(round).toBeLessThan(20);
    const asked = deployment.pages.length;
    await log(page).evaluate((box) => box.scrollTo(0, 300));
    const text = await log(page).evaluate((box) => {
      const edge = box.getBoundingClientRect().top;
      const shown = [...box.querySelectorAll(".prompt-text")];
      return shown.find((one) => one.getBoundingClientRect().top >= edge)?.textContent ?? "";
    });
    const before = await top(text);
    await expect.poll(() => deployment.pages.length).toBeGreaterThan(asked);
    await expect(log(page)).toContainText(`Old prompt ${(deployment.pages.at(-1) ?? 80) / 10 - 8}`);
    expect(Math.abs((await top(text)) - before)).toBeLessThan(2);
  }
  await log(page).evaluate((box) => box.scrollTo(0, 0));
  await expect(log(page).getByText("Old prompt 0", { exact: true })).toBeVisible();
  await expect(page.getByText("Show earlier turns")).toHaveCount(0);
  const prompts = await log(page).locator(".prompt-text").allTextContents();
  expect(prompts.slice(0, 40)).toEqual(Array.from({ length: 40 }, (_, index) => `Old prompt ${index}`));
  expect(deployment.pages).toEqual([320, 240, 160, 80]);
  await page.getByRole("button", { name: "Latest" }).click();
  await expect(log(page).getByRole("link", { name: "Review" })).toBeInViewport();
});

test("a page that does not come is said and tried again on request", async ({ page }) => {
  let busy = true;
  const deployment = await open(page, session, {
    snapshot: long(),
    seq: LONG_SEQ,
    history: (before) =>
      busy ? { code: "unavailable", message: "The session is busy." } : historyBefore(before),
  });
  await expect(log(page)).toContainText("#421");
  await log(page).evaluate((box) => box.scrollTo(0, 0));
  await expect(log(page).getByRole("alert")).toContainText("The session is busy.");
  expect(deployment.pages).toEqual([320]);
  busy = false;
  await log(page).getByRole("button", { name: "Try again" }).click();
  await expect(log(page)).toContainText("Old prompt 24");
});

test("the title is renamed by a click on it", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  const title = page.getByRole("heading", { level: 1 });
  await title.getByRole("button").click();
  const input = page.getByLabel("Title of the session");
  await expect(input).toBeFocused();
  await input.fill("Totals");
  await page.keyboard.press("Escape");
  await expect(title).toHaveText(/Cart total/);
  expect(deployment.frames("rename")).toEqual([]);
  await page.keyboard.press("Enter");
  await input.fill("Totals");
  await page.keyboard.press("Enter");
  expect(deployment.frames("rename")).toEqual([{ type: "rename", title: "Totals" }]);
  deployment.emit({ type: "title_changed", title: "Totals", by: "usr_jo" });
  await expect(title).toHaveText("Totals");
  await title.getByRole("button").click();
  await input.fill("Other");
  await field(page).click();
  expect(deployment.frames("rename").at(-1)).toEqual({ type: "rename", title: "Other" });
  deployment.send({ type: "rejected", error: { code: "bad_request", message: "a title is one line" } });
  await expect(page.getByRole("main").getByRole("alert")).toContainText("A title is one line");
});

test("a session is archived and taken up again", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: finished() });
  await page.getByRole("button", { name: "More about this session" }).click();
  await page.getByRole("menuitem", { name: "Archive" }).click();
  await expect(page.getByText("This session is archived and takes no prompts.")).toBeVisible();
  await expect(field(page)).toHaveCount(0);
  await page.getByRole("button", { name: "Take it up again" }).click();
  await expect(field(page)).toBeVisible();
  expect(deployment.changed).toEqual(["archived true", "archived false"]);
});

test("work has to end before a session is archived, and only owners do it", async ({ page }) => {
  await open(page, session, { snapshot: together() });
  const archive = page.getByRole("menuitem", { name: /Archive/ });
  await page.getByRole("button", { name: "More about this session" }).click();
  await expect(archive).toHaveText(/Stop the turn/);
  await expect(archive).toHaveAttribute("aria-disabled", "true");
});

test("archived sessions have a list of their own", async ({ page }) => {
  await open(page, session, { snapshot: archived() });
  const list = page.getByRole("navigation", { name: "Sessions" });
  await expect(list.getByText("Try the new date picker")).toHaveCount(0);
  await list.getByRole("button", { name: "More filters" }).click();
  await list.getByRole("button", { name: "Archived" }).click();
  await expect(list.getByRole("link", { name: /Try the new date picker/ })).toBeVisible();
  await expect(list.getByRole("link", { name: /Move webhook retries/ })).toHaveCount(0);
  await list.getByRole("button", { name: "Archived" }).click();
  await expect(list.getByRole("link", { name: /Move webhook retries/ })).toBeVisible();
});

test("a session is deleted after a question, and everyone else is told", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: finished() });
  await field(page).fill("A draft");
  await page.getByRole("button", { name: "More about this session" }).click();
  await page.getByRole("menuitem", { name: "Delete…" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete this session?" });
  await dialog.getByRole("button", { name: "Keep it" }).click();
  await expect(dialog).toBeHidden();
  expect(deployment.changed).toEqual([]);
  await page.getByRole("button", { name: "More about this session" }).click();
  await page.getByRole("menuitem", { name: "Delete…" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(page).toHaveURL(/\/$/);
  expect(deployment.changed).toEqual(["deleted"]);
  await expect(page.getByRole("link", { name: /Cart total/ })).toHaveCount(0);
  expect(
    await page.evaluate(() => Object.keys(localStorage).filter((key) => key.includes("ses_cart"))),
  ).toEqual([]);
});

test("one whose session is deleted by somebody else reads so", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  deployment.drop(4004);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("This session was deleted");
  await page.getByRole("link", { name: "To the sessions" }).click();
  await expect(page).toHaveURL(/\/$/);
});

test("events in one frame, a skip and a pong's number end in the same state", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: together() });
  deployment.emitTogether(
    { type: "title_changed", title: "One" },
    { type: "prompt_cancelled", promptId: "prm_3", by: "usr_jo" },
    { type: "title_changed", title: "Cart total two" },
  );
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Cart total two");
  await expect.poll(() => texts(page)).toEqual([STEERING, EDITED]);
  const since = deployment.seq;
  deployment.emitUnheard({ type: "title_changed", title: "Missed" });
  deployment.send({ type: "lagging" });
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Missed");
  expect(deployment.received.at(-1)).toEqual({ type: "subscribe", since });
  deployment.emitUnheard({ type: "title_changed", title: "Quiet" });
  // The page comes back into view, which makes the client ask whether the other side lives.
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Quiet");
  expect(deployment.complaints).toEqual([]);
});
