/** The page of the deployment's status: what it says where all is well, where it is not, and where there is nothing; how it stays fresh. */
import { fileURLToPath } from "node:url";
import { expect, type Page, test } from "@playwright/test";
import axe from "axe-core";
import { open } from "./fixture/deployment.js";
import { emptyDeployment, troubledDeployment } from "./fixture/status.js";

const PICTURES = fileURLToPath(new URL("./test-results/pictures/", import.meta.url));

async function faults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const run = (globalThis as unknown as { axe: typeof axe }).axe.run;
    const { violations } = await run({
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    });
    return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)}`));
  });
}

const list = (page: Page, name: string) => page.getByRole("list", { name });

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 390]) {
    test(`status, ${colorScheme}, ${width}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width, height: 900 });
      const deployment = await open(page, "/status");
      await expect(page.getByRole("status").filter({ hasText: "Everything works" })).toBeVisible();
      await page.screenshot({ path: `${PICTURES}status-${colorScheme}-${width}.png` });
      deployment.office.deployment = troubledDeployment();
      await page.reload();
      await expect(page.getByText("3 things keep it from working")).toBeVisible();
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      expect(await faults(page)).toEqual([]);
      await page.setViewportSize({ width, height: 1200 });
      await page.screenshot({ path: `${PICTURES}status-troubled-${colorScheme}-${width}.png` });
      expect(deployment.complaints).toEqual([]);
    });
  }
}

test("what does not work is named with what to do, and leads to where it is", async ({ page }) => {
  const deployment = await open(page, "/settings");
  deployment.office.deployment = troubledDeployment();
  await page.getByRole("link", { name: "How it is at this moment" }).click();
  await expect(page).toHaveURL(/\/status$/);
  const replicas = list(page, "Replicas").getByRole("listitem");
  await expect(replicas.first()).toContainText("does not answer");
  await expect(replicas.nth(1)).toContainText("Room: only 112 MiB of disk are left");
  const sessions = list(page, "Sessions");
  await expect(sessions).toContainText("2 turns run, 3 prompts wait");
  await expect(sessions.getByRole("link")).toHaveAttribute("href", "/sessions/ses_one");
  await expect(list(page, "Repositories")).toContainText("Modal: no capacity in this region");
});

test("a deployment that nobody has used says so", async ({ page }) => {
  const deployment = await open(page, "/");
  deployment.office.deployment = emptyDeployment();
  await page.goto("/status");
  await expect(page.getByText("Nobody has worked in any repository yet.")).toBeVisible();
  await expect(list(page, "Sessions")).toContainText("no turn runs, no prompt waits");
});

test("it stays fresh, and keeps what it has while the deployment does not answer", async ({ page }) => {
  await page.clock.install();
  const deployment = await open(page, "/status");
  await expect(page.getByText("Everything works")).toBeVisible();
  deployment.office.deployment = troubledDeployment();
  await page.clock.runFor(10_000);
  await expect(page.getByText("3 things keep it from working")).toBeVisible();
  await page.route("**/api/operator/status", (route) =>
    route.fulfill({
      status: 503,
      json: { code: "unavailable", message: "the database does not answer; try again" },
    }),
  );
  await page.clock.runFor(10_000);
  await expect(page.getByRole("alert")).toContainText("The database does not answer");
  await expect(list(page, "Replicas")).toBeVisible();
});

test("others are told that it is not for them", async ({ page }) => {
  const deployment = await open(page, "/");
  deployment.office.operator = false;
  await page.goto("/status");
  await expect(page.getByText("is shown to those who run it")).toBeVisible();
  await expect(page.getByRole("alert")).toHaveCount(0);
});
