/** What the client does when things happen: streams, gaps, losses, refusals, keys. Played, so that each case can be brought about. */
import { expect, type Page, test } from "@playwright/test";
import { Deployment, open } from "./fixture/deployment.js";
import { finished, running, starting } from "./fixture/facts.js";

const session = "/sessions/ses_cart";

const log = (page: Page) => page.getByRole("log");
const field = (page: Page) => page.getByRole("textbox", { name: "Prompt" });
const queue = (page: Page) => page.getByRole("list", { name: "Waiting prompts" });
const live =
  "Understood. Rounding moves to the cart total; per-line amounts stay in minor units. Updating the";

test("one signs in with one click and lands where one wanted to go", async ({ page }) => {
  const deployment = new Deployment(page);
  deployment.user = null;
  deployment.snapshot = finished();
  await deployment.install();
  await page.goto(session);
  await page.getByRole("button", { name: /Mika Kato/ }).click();
  await expect(log(page)).toContainText("#421");
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
  expect(deployment.complaints).toEqual([]);
});

test("a session starts with repository, model and prompt", async ({ page }) => {
  const deployment = new Deployment(page);
  deployment.snapshot = starting();
  await deployment.install();
  await page.goto("/");
  await expect(page.getByRole("link", { name: "New session" }).first()).toBeVisible();
  await page.keyboard.press("c");
  const picker = page.getByRole("combobox", { name: "Repository" });
  await expect(picker).toHaveValue("acme/billing-api");
  await picker.fill("store");
  await picker.press("Enter");
  await expect(picker).toHaveValue("acme/shop-web");
  await expect(page.getByLabel("Effort")).toHaveCount(0);
  await page.getByLabel("Model").selectOption("anthropic/claude-sonnet-4-5");
  await page.getByLabel("Effort").selectOption("High");
  await page.getByRole("textbox", { name: "First prompt" }).fill("Fix the total");
  await page.keyboard.press("Control+Enter");
  await expect(page).toHaveURL(/\/sessions\/ses_cart$/);
  const reservation = expect.stringMatching(/^rsv_[0-9a-z]{26}$/);
  expect(deployment.created).toEqual([
    {
      repository: "acme/shop-web",
      reservation,
      model: "anthropic/claude-sonnet-4-5",
      prompt: {
        id: expect.stringMatching(/^prm_[0-9a-z]{26}$/),
        text: "Fix the total",
        origin: "web",
        effort: "high",
      },
    },
  ]);
  await expect(log(page)).toContainText("Starting the sandbox: cloning");
});

test("a warm sandbox is reserved at the first key, once, and the session names it", async ({ page }) => {
  const deployment = new Deployment(page);
  deployment.snapshot = starting();
  await deployment.install();
  await page.goto("/new");
  const field = page.getByRole("textbox", { name: "First prompt" });
  await expect(page.getByRole("combobox", { name: "Repository" })).toHaveValue("acme/billing-api");
  expect(deployment.reservations).toEqual([]);
  await field.pressSequentially("Fix the total");
  await expect.poll(() => deployment.reservations.length).toBe(1);
  await page.keyboard.press("Control+Enter");
  await expect(page).toHaveURL(/\/sessions\/ses_cart$/);
  const { reservation } = deployment.created[0] as { reservation: string };
  expect(deployment.reservations).toEqual([`/api/repositories/acme/billing-api/reservations/${reservation}`]);
});

test("a session starts without a word about it where no warm sandbox can be reserved", async ({ page }) => {
  const deployment = new Deployment(page);
  deployment.reserves = false;
  deployment.snapshot = starting();
  await deployment.install();
  await page.goto("/new");
  const field = page.getByRole("textbox", { name: "First prompt" });
  await expect(page.getByRole("combobox", { name: "Repository" })).toHaveValue("acme/billing-api");
  await field.fill("Fix the total");
  await expect.poll(() => deployment.reservations.length).toBe(1);
  await expect(page.getByRole("alert")).toHaveCount(0);
  await page.keyboard.press("Control+Enter");
  await expect(page).toHaveURL(/\/sessions\/ses_cart$/);
});

test("text appears as it streams, each piece once", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  await expect(log(page)).toContainText(live);
  let offset = live.length;
  for (const text of [" helper", " now", " and **run", "ning** the tests"]) {
    deployment.emit({ type: "item_appended", itemId: "itm_live", offset, text });
    offset += text.length;
  }
  await expect(log(page)).toContainText("Updating the helper now and running the tests");
  await expect(log(page).locator("strong", { hasText: "running" })).toBeVisible();
  deployment.send({
    type: "event",
    seq: deployment.seq,
    at: deployment.now(),
    event: { type: "item_appended", itemId: "itm_live", offset, text: " twice" },
  });
  deployment.emit({ type: "title_changed", title: "Another title" });
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Another title");
  await expect(log(page)).not.toContainText("twice");
  expect(deployment.received).toEqual([{ type: "subscribe" }]);
});

test("a missing event is asked for, and so is missing text", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  await expect(log(page)).toContainText(live);
  const since = deployment.seq;
  deployment.emitUnheard({ type: "title_changed", title: "Unheard" });
  deployment.emit({ type: "item_appended", itemId: "itm_live", offset: live.length, text: " end" });
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Unheard");
  await expect(log(page)).toContainText(`${live} end`);
  expect(deployment.received.at(-1)).toEqual({ type: "subscribe", since });
  deployment.snapshot = finished();
  deployment.emit({ type: "item_appended", itemId: "itm_live", offset: 9999, text: " hole" });
  await expect(log(page)).toContainText("#421");
  expect(deployment.received.at(-1)).toEqual({ type: "subscribe" });
});

test("after a loss exactly the missed events are fetched", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  await expect(log(page)).toContainText(live);
  const since = deployment.seq;
  deployment.reachable = false;
  deployment.drop();
  deployment.emitUnheard({ type: "item_appended", itemId: "itm_live", offset: live.length, text: " rest" });
  deployment.reachable = true;
  await expect(log(page)).toContainText(`${live} rest`);
  expect(deployment.received.at(-1)).toEqual({ type: "subscribe", since });
  await expect(page.getByText("Reconnecting…")).toBeHidden();
});

test("a prompt that was not acknowledged is sent again with its id, also after a reload", async ({
  page,
}) => {
  const deployment = await open(page, session, { snapshot: running(), acknowledges: false });
  await field(page).fill("Do this once");
  await page.keyboard.press("Control+Enter");
  await expect(queue(page)).toContainText("Do this once");
  await expect(queue(page)).toContainText("sending");
  deployment.drop();
  await expect.poll(() => deployment.received.filter((one) => one.type === "prompt").length).toBe(2);
  await page.reload();
  await expect.poll(() => deployment.received.filter((one) => one.type === "prompt").length).toBe(3);
  deployment.acknowledges = true;
  deployment.drop();
  await expect(queue(page)).not.toContainText("sending");
  await expect(queue(page).getByText("Do this once")).toHaveCount(1);
  const ids = deployment.received.flatMap((one) => (one.type === "prompt" ? [one.prompt.id] : []));
  expect(new Set(ids).size).toBe(1);
});

test("a prompt written without a connection is kept and sent later", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  deployment.reachable = false;
  deployment.drop();
  await field(page).fill("Later");
  await page.keyboard.press("Control+Enter");
  await expect(queue(page)).toContainText("sent when connected");
  expect(deployment.received.filter((one) => one.type === "prompt")).toEqual([]);
  deployment.reachable = true;
  await expect(queue(page)).not.toContainText("sent when connected");
  await expect(queue(page)).toContainText("Later");
});

test("drafts belong to their session and outlive a reload", async ({ page }) => {
  await open(page, session, { snapshot: running() });
  await field(page).fill("Half a thou");
  await page.reload();
  await expect(field(page)).toHaveValue("Half a thou");
  await page.goto("/sessions/ses_other");
  await expect(field(page)).toHaveValue("");
});

test("sending says why it cannot", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  await expect(page.getByRole("button", { name: "Queue", exact: true })).toHaveAttribute(
    "aria-disabled",
    "true",
  );
  await field(page).fill("é".repeat(40_000));
  await expect(page.getByText("15 KiB too long; the limit is 64 KiB")).toBeVisible();
  await page.keyboard.press("Control+Enter");
  await field(page).fill("   ");
  await page.keyboard.press("Control+Enter");
  expect(deployment.received.filter((one) => one.type === "prompt")).toEqual([]);
});

test("a refused prompt is said and can be edited again", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running(), acknowledges: false });
  await field(page).fill("Too much");
  await page.keyboard.press("Control+Enter");
  await expect.poll(() => deployment.received.at(-1)?.type).toBe("prompt");
  const sent = deployment.received.at(-1);
  const promptId = sent?.type === "prompt" ? sent.prompt.id : "";
  deployment.send({
    type: "rejected",
    promptId,
    error: { code: "queue_full", message: "100 prompts wait already." },
  });
  await expect(page.getByRole("alert")).toContainText("100 prompts wait already.");
  await page.getByRole("button", { name: "Edit again" }).click();
  await expect(field(page)).toHaveValue("Too much");
});

test("waiting prompts can be taken back, one's own words come back", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  await field(page).fill("Mine");
  await page.keyboard.press("Control+Enter");
  await expect(queue(page)).toContainText("Mine");
  await queue(page).getByRole("button", { name: "Take back the prompt of Jo Reyes" }).click();
  await expect.poll(() => deployment.received.at(-1)?.type).toBe("cancel_prompt");
  await expect(field(page)).toHaveValue("");
  const [cancel] = deployment.frames("cancel_prompt");
  deployment.emit({ type: "prompt_cancelled", promptId: cancel?.promptId ?? "", by: "usr_jo" });
  await expect(queue(page)).not.toContainText("Mine");
  await expect(field(page)).toHaveValue("Mine");
  await expect(field(page)).toBeFocused();
});

test("Stop names the turn and shows that it is under way", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.getByRole("button", { name: "Stopping" })).toBeDisabled();
  expect(deployment.received.at(-1)).toEqual({ type: "stop", turnId: "trn_1" });
  deployment.emit({ type: "stop_requested", turnId: "trn_1", by: "usr_jo" });
  deployment.emit({
    type: "turn_ended",
    turnId: "trn_1",
    promptState: "done",
    end: {
      endedAt: deployment.now(),
      outcome: { type: "stopped" },
      usage: { inputTokens: 1000, outputTokens: 0, cachedTokens: 0, costUsd: 0 },
    },
  });
  await expect(page.getByRole("button", { name: "Stopping" })).toBeHidden();
  await expect(log(page)).toContainText("Stopped by Jo Reyes after");
});

test("nothing that an agent writes becomes markup, and nothing foreign is loaded", async ({
  page,
  baseURL,
}) => {
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  const deployment = await open(page, session, { snapshot: running() });
  const text =
    'x <img src=x onerror="window.hit=1"> <script>window.hit=1</script> ![p](https://evil.test/p.png) [j](javascript:window.hit=1) [ok](https://example.com)';
  deployment.emit({
    type: "item_changed",
    item: { id: "itm_bad", turnId: "trn_1", startedAt: 0, content: { type: "text", text, done: true } },
  });
  await expect(log(page)).toContainText('<img src=x onerror="window.hit=1">');
  await expect(log(page).locator("img, script, iframe, [onerror]")).toHaveCount(0);
  const link = log(page).getByRole("link", { name: "ok" });
  await expect(link).toHaveAttribute("rel", /noopener/);
  await expect(log(page).getByRole("link", { name: "j", exact: true })).toHaveCount(0);
  expect(await page.evaluate(() => "hit" in globalThis)).toBe(false);
  expect(requests.filter((url) => new URL(url).origin !== new URL(baseURL ?? "").origin)).toEqual([]);
});

test("rows open and stay open while the turn goes on", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  const row = log(page).getByRole("button", { name: /Explored/ });
  await row.click();
  await expect(log(page).getByText("src/cart/quantity.ts", { exact: true })).toBeVisible();
  deployment.emit({ type: "item_appended", itemId: "itm_live", offset: live.length, text: " more" });
  await expect(log(page)).toContainText(`${live} more`);
  await expect(row).toHaveAttribute("aria-expanded", "true");
  await expect(log(page)).toContainText("1 failed");
});

test("the timeline follows its end until one scrolls away", async ({ page }) => {
  await page.setViewportSize({ width: 1024, height: 500 });
  const deployment = await open(page, session, { snapshot: running() });
  const distance = () => log(page).evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight);
  await expect.poll(distance).toBeLessThan(2);
  deployment.emit({
    type: "item_appended",
    itemId: "itm_live",
    offset: live.length,
    text: "\n\nline".repeat(30),
  });
  await expect(log(page)).toContainText("line");
  await expect.poll(distance).toBeLessThan(2);
  await log(page).hover();
  await page.mouse.wheel(0, -400);
  await expect(page.getByRole("button", { name: "Latest" })).toBeVisible();
  const before = await log(page).evaluate((box) => box.scrollTop);
  deployment.emit({
    type: "item_appended",
    itemId: "itm_live",
    offset: live.length + 180,
    text: "\n\nbelow",
  });
  await expect(log(page)).toContainText("below");
  expect(await log(page).evaluate((box) => box.scrollTop)).toBe(before);
  await page.getByRole("button", { name: "Latest" }).click();
  await expect.poll(distance).toBeLessThan(2);
});

test("keys move through the list, search it and go away while one types", async ({ page }) => {
  await open(page, session, { snapshot: running() });
  await expect(page.getByRole("link", { name: /Move webhook retries/ })).toBeVisible();
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/ses_queue$/);
  await page.keyboard.press("Control+k");
  await page.keyboard.type("postgres");
  await expect(page.getByRole("navigation", { name: "Sessions" }).getByRole("listitem")).toHaveCount(1);
  await field(page).click();
  await page.keyboard.type("cc ?");
  await expect(field(page)).toHaveValue("cc ?");
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

test("a chosen theme holds over a reload", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await open(page, session, { snapshot: running() });
  const scheme = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  await page.getByRole("button", { name: "Theme: system" }).click();
  await page.getByRole("button", { name: "Theme: light" }).click();
  await expect.poll(scheme).toBe("dark");
  await page.reload();
  await expect.poll(scheme).toBe("dark");
});
