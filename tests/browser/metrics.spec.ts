/** The page of metrics: what is asked, what is shown as plot and as table, how it looks, and what is said where there is nothing. */
import { fileURLToPath } from "node:url";
import type { Metrics } from "@farhand/protocol";
import { expect, type Page, test } from "@playwright/test";
import axe from "axe-core";
import { Deployment } from "./fixture/deployment.js";
import { NOW, SESSIONS } from "./fixture/facts.js";
import { metricsOf, noMetrics } from "./fixture/metrics.js";

const PICTURES = fileURLToPath(new URL("./test-results/pictures/", import.meta.url));

interface Opened {
  deployment: Deployment;
  /** What was asked of the API, in order. */
  asked: URLSearchParams[];
}

async function open(page: Page, path: string, answer = metricsOf): Promise<Opened> {
  const deployment = new Deployment(page);
  deployment.sessions = SESSIONS;
  const asked: URLSearchParams[] = [];
  await deployment.install();
  await page.route("**/api/metrics?*", (route) => {
    const query = new URL(route.request().url()).searchParams;
    asked.push(query);
    return route.fulfill({ json: answer(query) });
  });
  await page.goto(path);
  return { deployment, asked };
}

const figure = (page: Page, name: string) => page.getByRole("region", { name, exact: true });

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

for (const colorScheme of ["light", "dark"] as const) {
  for (const [width, height] of [
    [1440, 1000],
    [1024, 768],
    [390, 844],
  ] as const) {
    test(`metrics, ${colorScheme}, ${width}`, async ({ page }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width, height });
      const { deployment } = await open(page, "/metrics");
      await expect(page.getByRole("img", { name: /Plot of sessions per day/ })).toBeVisible();
      await expect(page.locator("canvas")).toHaveCount(3);
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      await page.screenshot({ path: `${PICTURES}metrics-${colorScheme}-${width}.png` });
      const main = page.getByRole("main");
      await main.evaluate((element) => {
        // All of the page in one picture.
        element.style.height = `${element.scrollHeight}px`;
        document.documentElement.style.height = "auto";
      });
      expect(await faults(page)).toEqual([]);
      await page.setViewportSize({ width, height: 2600 });
      await page.screenshot({ path: `${PICTURES}metrics-${colorScheme}-${width}-whole.png` });
      expect(deployment.complaints).toEqual([]);
    });
  }
}

test("a period and a repository are chosen, asked for, and kept in the address", async ({ page }) => {
  const { asked } = await open(page, "/");
  await page.getByRole("link", { name: "Metrics" }).click();
  await expect(page.getByRole("status").filter({ hasText: "Sessions that started" })).toContainText("UTC");
  const days = (query: URLSearchParams | undefined) => [
    query?.get("from"),
    query?.get("to"),
    query?.get("zone"),
  ];
  const today = new Date(NOW).toISOString().slice(0, 10);
  const day = (offset: number) =>
    new Date(Date.parse(today) + offset * 86_400_000).toISOString().slice(0, 10);
  expect(days(asked.at(-1))).toEqual([day(-29), day(1), "UTC"]);
  await page.getByRole("radio", { name: "7 days" }).check();
  await expect.poll(() => days(asked.at(-1))).toEqual([day(-6), day(1), "UTC"]);
  await page.getByRole("combobox", { name: "Repository" }).selectOption("acme/billing-api");
  await expect.poll(() => asked.at(-1)?.get("repository")).toBe("acme/billing-api");
  await expect(page).toHaveURL(/\/metrics\?days=7&repository=acme%2Fbilling-api$/);
  await page.getByLabel("First day").fill(day(-2));
  await expect.poll(() => days(asked.at(-1))).toEqual([day(-2), day(1), "UTC"]);
  await expect(page.getByRole("radio", { name: "7 days" })).not.toBeChecked();
  await page.reload();
  await expect(page.getByLabel("First day")).toHaveValue(day(-2));
  await expect(page.getByRole("combobox", { name: "Repository" })).toHaveValue("acme/billing-api");
});

test("each plot is a table as well, and a file", async ({ page }) => {
  const { asked } = await open(page, "/metrics?days=7");
  const metrics = metricsOf(new URLSearchParams(await firstOf(asked)));
  const sessions = figure(page, "Sessions and pull requests");
  await sessions.getByRole("button", { name: "Sessions and pull requests as a table" }).click();
  await expect(sessions.getByRole("row")).toHaveCount(8);
  await expect(sessions.getByRole("row").nth(1)).toContainText(String(metrics.series[0]?.sessions));
  await expect(sessions.getByRole("img")).toHaveCount(0);
  const csv = sessions.getByRole("link", { name: /CSV/ });
  await expect(csv).toHaveAttribute(
    "href",
    /^\/api\/metrics\?from=[\d-]+&to=[\d-]+&zone=UTC&format=csv&table=series$/,
  );
  const repositories = figure(page, "Repositories");
  await expect(repositories.getByRole("listitem")).toHaveCount(metrics.repositories.length);
  await repositories.getByRole("button", { name: "Repositories as a table" }).click();
  const platform = repositories.getByRole("row").filter({ hasText: "acme/platform" });
  await expect(platform.getByRole("cell").nth(4)).toHaveText("–");
  const funnel = figure(page, "From session to merge");
  await expect(funnel.getByRole("listitem")).toHaveCount(3);
  await funnel.getByRole("button", { name: "From session to merge as a table" }).click();
  await expect(funnel.getByRole("row").nth(3)).toContainText("of pull requests");
});

async function firstOf(asked: URLSearchParams[]): Promise<string> {
  await expect.poll(() => asked.length).toBeGreaterThan(0);
  return String(asked[0]);
}

test("the values under the pointer are told, and every figure says what it means", async ({ page }) => {
  await open(page, "/metrics?days=7");
  const sessions = figure(page, "Sessions and pull requests");
  await sessions.locator(".u-over").hover({ position: { x: 300, y: 80 } });
  await expect(sessions.locator(".plot-moment")).toHaveText(/^\w{3},? \d+ \w{3}$/);
  await expect(sessions.locator(".plot-key b").first()).toHaveText(/^\d+$/);
  const meaning = page.getByText("People who took part in at least one of these sessions.");
  await expect(meaning).toHaveCount(0);
  await page.getByRole("button", { name: "What the figures mean" }).click();
  await expect(meaning).toBeVisible();
});

test("where nothing happened there are zeros, and words", async ({ page }) => {
  const { deployment } = await open(page, "/metrics", noMetrics);
  await expect(page.getByText("No session of the period, and no pull request of one.")).toBeVisible();
  await expect(page.getByText("No repository has an image.")).toBeVisible();
  await expect(page.getByText("Merge rate").locator("xpath=..")).toContainText("0%");
  await page.screenshot({ path: `${PICTURES}metrics-empty.png` });
  expect(await faults(page)).toEqual([]);
  expect(deployment.complaints).toEqual([]);
});

test("what cannot be answered says why, and what was there stays", async ({ page }) => {
  await open(page, "/metrics");
  await expect(page.getByText("Time to first token").first()).toBeVisible();
  await page.route("**/api/metrics?*", (route) =>
    route.fulfill({
      status: 503,
      json: { code: "unavailable", message: "the database does not answer; try again" },
    }),
  );
  await page.getByRole("radio", { name: "90 days" }).check();
  await expect(page.getByRole("alert")).toContainText("The database does not answer");
  await expect(page.getByText("Time to first token").first()).toBeVisible();
  await page.route("**/api/metrics?*", (route) => {
    const answer: Metrics = metricsOf(new URL(route.request().url()).searchParams);
    return route.fulfill({ json: answer });
  });
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("alert")).toHaveCount(0);
});
