/**
 * Two people, one session, real parts: needs `FARHAND_URL`, the address of a stack with the scripted agent
 * (`cargo xtask dev --agent scripted`) and at least two local users.
 */
import type { Configuration, User } from "@farhand/protocol";
import { type Browser, expect, type Page, test } from "@playwright/test";

const url = process.env.FARHAND_URL;

test.skip(
  url === undefined,
  "FARHAND_URL is not set: start a stack with the scripted agent and give its address",
);
test.describe.configure({ timeout: 180_000 });

/** A sandbox starts from nothing here, so the first words may take a while. */
const FIRST_WORDS = { timeout: 90_000 };
const TURN_END = { timeout: 60_000 };

const log = (page: Page) => page.getByRole("log");
const field = (page: Page) => page.getByRole("textbox", { name: "Prompt" });
const queue = (page: Page) => page.getByRole("list", { name: "Waiting prompts" });

async function users(page: Page): Promise<[User, User]> {
  const answer = await page.request.get(`${url}/api/configuration`);
  const { signIn } = (await answer.json()) as Configuration;
  const [first, second] = signIn.type === "local" ? signIn.users : [];
  if (first === undefined || second === undefined) throw new Error("the stack needs two local users");
  return [first, second];
}

/** A browser of its own, signed in by one click. */
async function enter(browser: Browser, user: User): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 } });
  const page = await context.newPage();
  await page.goto("/");
  await page.getByRole("button", { name: user.name }).click();
  await expect(page.getByRole("link", { name: "New session" }).first()).toBeVisible();
  return page;
}

async function startSession(page: Page, prompt: string): Promise<void> {
  await page.goto("/new");
  await expect(page.getByRole("combobox", { name: "Repository" })).not.toHaveValue("");
  await page.getByRole("textbox", { name: "First prompt" }).fill(prompt);
  await page.keyboard.press("Control+Enter");
  await expect(page).toHaveURL(/\/sessions\/ses_/);
}

async function ask(page: Page, prompt: string): Promise<void> {
  await field(page).fill(prompt);
  await page.keyboard.press("Control+Enter");
}

const words = async (page: Page) => ((await log(page).textContent()) ?? "").match(/word\d+/g) ?? [];

test("everybody sees the same, a reload changes nothing, and the next prompt waits its turn", async ({
  browser,
  page,
}) => {
  const [one, other] = await users(page);
  const first = await enter(browser, one);
  await startSession(
    first,
    "think Looking around\nsay Hello from the agent\nstream 150 40\nwrite notes.txt remember\nrun echo it-works\nsay That is all",
  );
  await expect(log(first)).toContainText("Hello from the agent", FIRST_WORDS);

  const second = await enter(browser, other);
  await second.goto(first.url());
  await expect(log(second)).toContainText("word3");
  await expect(
    first.getByRole("button", { name: new RegExp(`Participants.*${other.name}, here now`) }),
  ).toBeVisible();

  await ask(second, "say Second answer");
  await expect(queue(first)).toContainText("say Second answer");
  await expect(queue(second)).toContainText("next");

  const before = (await words(second)).length;
  await second.reload();
  await expect(log(second)).toContainText("Hello from the agent");
  await expect.poll(async () => (await words(second)).length).toBeGreaterThanOrEqual(before);
  await expect(queue(second)).toContainText("say Second answer");

  for (const each of [first, second]) {
    await expect(log(each)).toContainText("That is all", TURN_END);
    await expect(log(each)).toContainText("Second answer", TURN_END);
    await expect(queue(each)).toBeHidden();
    expect(await words(each)).toEqual(Array.from({ length: 150 }, (_, index) => `word${index}`));
  }
  for (const each of [first, second]) {
    await expect(log(each).getByText(/Took/)).toHaveCount(2, TURN_END);
    await expect(log(each).getByRole("link", { name: "Review" })).toBeVisible(TURN_END);
  }
  await expect(log(second)).toHaveText((await log(first).textContent()) ?? "", { useInnerText: false });

  for (const each of [first, second]) {
    const file = each.getByRole("region", { name: "notes.txt", exact: true });
    await expect(file).toContainText("remember");
    await expect(each.getByRole("article", { name: `Prompt of ${other.name}` })).toContainText(
      "say Second answer",
    );
  }
  await first.context().close();
  await second.context().close();
});

test("a running turn can be stopped, and the session goes on", async ({ browser, page }) => {
  const [one] = await users(page);
  const first = await enter(browser, one);
  await startSession(first, "say Begun\nstream 2000 50\nsay Never reached");
  await expect(log(first)).toContainText("word5", FIRST_WORDS);
  await first.getByRole("button", { name: "Stop" }).click();
  await expect(log(first)).toContainText(`Stopped by ${one.name} after`, TURN_END);
  await ask(first, "say Still here");
  await expect(log(first).getByRole("article")).toHaveCount(2, TURN_END);
  await expect(log(first)).toContainText(/Took/, TURN_END);
  await expect(log(first).locator(".markdown", { hasText: "Never reached" })).toHaveCount(0);
  await first.context().close();
});

test("a prompt can be taken back while it waits", async ({ browser, page }) => {
  const [one] = await users(page);
  const first = await enter(browser, one);
  await startSession(first, "stream 120 40\nsay First done");
  await expect(log(first)).toContainText("word2", FIRST_WORDS);
  await ask(first, "say Not wanted");
  await queue(first)
    .getByRole("button", { name: /Take back/ })
    .click();
  await expect(queue(first)).toBeHidden();
  await expect(field(first)).toHaveValue("say Not wanted");
  await expect(log(first)).toContainText(/Took/, TURN_END);
  await expect(log(first).getByRole("article")).toHaveCount(1);
  await first.context().close();
});
