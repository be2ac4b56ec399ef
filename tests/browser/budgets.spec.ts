/** Budgets and the kill switch as people meet them: set, used up, warned of, and lifted. */
import { expect, type Page, test } from "@playwright/test";
import { ALL_TAKEN, ROUND, stoppedBy, USED_UP, waiting } from "./fixture/budgets.js";
import { open } from "./fixture/deployment.js";

const region = (page: Page, name: string) => page.getByRole("region", { name });

test("an operator sets a budget and removes it; others are not shown that there are any", async ({
  page,
}) => {
  const deployment = await open(page, "/settings");
  const budgets = region(page, "Budgets");
  await expect(budgets).toContainText("Everybody here together");
  await expect(budgets).toContainText("a month · $352.40 of $400.00");
  await expect(budgets).toContainText("88 % spent");
  await budgets.getByLabel("Whose").selectOption("a user");
  await budgets.getByLabel("Its id; each one when empty").fill("usr_mika");
  await budgets.getByLabel("Period").selectOption("day (UTC)");
  await budgets.getByLabel("Dollars").fill("2.50");
  await budgets.getByRole("button", { name: "Set the budget" }).click();
  await expect(budgets.getByRole("listitem").filter({ hasText: "usr_mika" })).toContainText("$0.00 of $2.50");
  expect(deployment.office.changes.at(-1)?.body).toEqual({
    scope: "user",
    subject: "usr_mika",
    period: "day",
    moneyMicroDollars: 2_500_000,
  });
  await budgets.getByRole("button", { name: "Remove the budget of usr_mika" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await expect(budgets.getByRole("listitem").filter({ hasText: "usr_mika" })).toHaveCount(0);
  deployment.office.operator = false;
  await page.reload();
  await expect(region(page, "API keys").getByRole("list")).toBeVisible();
  await expect(region(page, "Budgets")).toHaveCount(0);
  await expect(region(page, "Stop everything")).toHaveCount(0);
});

test("an operator limits how many work at once, sees how many do, and a session says that it waits", async ({
  page,
}) => {
  const deployment = await open(page, "/settings");
  const budgets = region(page, "Budgets");
  const everybody = budgets.getByRole("listitem").filter({ hasText: "Everybody here together" });
  await expect(everybody).toContainText("7 of 12 sessions at work, 20 of 20 sandboxes in use");
  await expect(everybody.getByText("full", { exact: true })).toBeVisible();
  const each = budgets.getByRole("listitem").filter({ hasText: "Each user" });
  await expect(each).toContainText("at most 3 sessions at once");
  await budgets.getByLabel("Whose").selectOption("a session");
  await expect(budgets.getByLabel("Sessions at once")).toHaveCount(0);
  await budgets.getByLabel("Whose").selectOption("a repository");
  await budgets.getByLabel("Its id; each one when empty").fill("acme/docs");
  await budgets.getByLabel("Sessions at once").fill("2");
  await budgets.getByLabel("Sandboxes at once").fill("4");
  await budgets.getByRole("button", { name: "Set the budget" }).click();
  const docs = budgets.getByRole("listitem").filter({ hasText: "acme/docs" });
  await expect(docs).toContainText("0 of 2 sessions at work, 0 of 4 sandboxes in use");
  await expect(docs).not.toContainText("a month");
  expect(deployment.office.changes.at(-1)?.body).toEqual({
    scope: "repository",
    subject: "acme/docs",
    period: "month",
    sessionsMax: 2,
    sandboxesMax: 4,
  });
  await open(page, "/sessions/ses_cart", { snapshot: waiting() });
  await expect(page.getByRole("status").filter({ hasText: ALL_TAKEN })).toBeVisible();
  await expect(page.getByRole("button", { name: "Continue anyway" })).toHaveCount(0);
});

test("stopping everything takes a reason and a second word, and can be lifted", async ({ page }) => {
  const deployment = await open(page, "/settings");
  const stop = region(page, "Stop everything");
  await stop.getByLabel("Why").fill("A key leaked");
  await stop.getByRole("button", { name: "Stop everything …" }).click();
  const dialog = page.getByRole("dialog", { name: "Stop everything?" });
  await expect(dialog).toContainText("Every sandbox of every session ends now.");
  await dialog.getByRole("button", { name: "Let it run" }).click();
  expect(deployment.office.changes).toEqual([]);
  await stop.getByRole("button", { name: "Stop everything …" }).click();
  await dialog.getByRole("button", { name: "Stop everything" }).click();
  await expect(stop).toContainText("Everything is stopped");
  await expect(stop).toContainText("by Ada Lovelace: A key leaked");
  await expect(stop.getByRole("status")).toHaveText("3 sandboxes ended.");
  await stop.getByRole("button", { name: "Let it go on …" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Let it go on" }).click();
  await expect(stop.getByLabel("Why")).toBeVisible();
  expect(deployment.office.changes.map(({ method, path }) => `${method} ${path}`)).toEqual([
    "POST /api/operator/halt",
    "DELETE /api/operator/halt",
  ]);
});

test("a session says what stopped its agent, and lets it continue after a circle", async ({ page }) => {
  const deployment = await open(page, "/sessions/ses_cart", { snapshot: stoppedBy("loop", ROUND) });
  await expect(page.getByText(ROUND)).toBeVisible();
  await expect(page.getByRole("log")).toContainText("Stopped by the loop detector after");
  await page.getByRole("button", { name: "Continue anyway" }).click();
  await expect(page.getByText(ROUND)).toHaveCount(0);
  const prompts = deployment.received.filter(({ type }) => type === "prompt");
  expect(prompts).toMatchObject([{ prompt: { text: "Continue." } }]);
  deployment.snapshot = stoppedBy("budget", USED_UP);
  await page.reload();
  await expect(page.getByText(USED_UP)).toBeVisible();
  await expect(page.getByRole("button", { name: "Continue anyway" })).toHaveCount(0);
});
