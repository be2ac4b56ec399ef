/** The list of sessions: search, whose, repository, state, what is new, archived with a way back; and the marks in a diff. */
import { expect, type Page, test } from "@playwright/test";
import { open } from "./fixture/deployment.js";

const list = (page: Page) => page.getByRole("navigation", { name: "Sessions" });
const rows = (page: Page) => list(page).getByRole("listitem");

test("the list is narrowed by repository and state, and says when nothing is left", async ({ page }) => {
  await open(page, "/");
  await expect(rows(page)).toHaveCount(7);
  await list(page).getByRole("button", { name: "Team" }).click();
  await expect(rows(page)).toHaveCount(8);
  await list(page).getByRole("button", { name: "More filters" }).click();
  await list(page).getByLabel("Repository of the sessions").selectOption("acme/platform");
  await expect(rows(page)).toHaveCount(2);
  await list(page).getByLabel("State of the sessions").selectOption("Failed");
  await expect(rows(page)).toHaveCount(1);
  await expect(rows(page)).toContainText("Upgrade to Postgres 17 client");
  await list(page).getByLabel("State of the sessions").selectOption("Running");
  await expect(list(page).getByText("No session is of that repository and state.")).toBeVisible();
  await list(page).getByLabel("Repository of the sessions").selectOption("Every repository");
  await expect(rows(page)).toHaveCount(2);
});

test("what ended since one looked waits under Needs me, until it is looked at", async ({ page }) => {
  await page.addInitScript(() => {
    if (localStorage.getItem("farhand.seen") === null)
      localStorage.setItem("farhand.seen", JSON.stringify({ since: 0, at: {} }));
  });
  await open(page, "/");
  await list(page)
    .getByRole("button", { name: /Needs me/ })
    .click();
  await expect(rows(page)).toHaveCount(5);
  await expect(list(page).getByText("Move webhook retries to a queue")).toHaveCount(0);
  await list(page)
    .getByRole("link", { name: /Add keyboard focus ring/ })
    .click();
  await expect(page).toHaveURL(/ses_focus$/);
  await expect(rows(page)).toHaveCount(4);
  await page.reload();
  await list(page)
    .getByRole("button", { name: /Needs me/ })
    .click();
  await expect(rows(page)).toHaveCount(4);
  await expect(
    list(page).getByRole("link", { name: /Upgrade to Postgres 17 client.*\(new\)/ }),
  ).toBeVisible();
});

test("E archives the session in the list that has the focus, and it can be taken back", async ({ page }) => {
  const deployment = await open(page, "/");
  await list(page)
    .getByRole("link", { name: /Explain the tax rounding/ })
    .focus();
  await page.keyboard.press("e");
  await expect(list(page).getByRole("link", { name: /Explain the tax rounding/ })).toHaveCount(0);
  expect(deployment.changed).toEqual(["archived true"]);
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(list(page).getByRole("link", { name: /Explain the tax rounding/ })).toBeVisible();
  expect(deployment.changed).toEqual(["archived true", "archived false"]);
});

test("an archiving that is refused says why, and the session stays", async ({ page }) => {
  await open(page, "/");
  await page.route("**/archived", (route) =>
    route.fulfill({ status: 403, json: { code: "forbidden", message: "only an owner may archive" } }),
  );
  await list(page)
    .getByRole("link", { name: /Explain the tax rounding/ })
    .focus();
  await page.keyboard.press("e");
  await expect(page.getByRole("status").getByText("Only an owner may archive")).toBeVisible();
  await expect(list(page).getByRole("link", { name: /Explain the tax rounding/ })).toBeVisible();
});

test("changes stand one below the other or side by side, as chosen before", async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 1000 });
  await open(page, "/sessions/ses_cart");
  const file = page.getByRole("region", { name: "src/cart/discount.ts", exact: true });
  await expect(file.locator("tr").first().locator("td")).toHaveCount(4);
  await page.getByRole("radio", { name: "Split" }).check();
  const changed = file.locator("tr").filter({ hasText: "cart.discount = rule.amount(cart)" });
  await expect(changed).toContainText("cart.codes = rule.amount(cart)");
  await expect(changed.locator("td.is-removed mark")).toHaveText("discount");
  await page.reload();
  await expect(page.getByRole("radio", { name: "Split" })).toBeChecked();
  await expect(changed).toContainText("cart.codes");
  await page.getByRole("radio", { name: "Unified" }).check();
  await expect(changed).not.toContainText("cart.codes");
});

test("a file is marked as viewed until it changes", async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 1000 });
  const deployment = await open(page, "/sessions/ses_cart");
  const file = page.getByRole("region", { name: "src/cart/discount.ts", exact: true });
  const mark = file.getByRole("checkbox");
  await mark.check();
  await expect(page.getByText("1 of 3 viewed")).toBeVisible();
  await expect(file.getByRole("button")).toHaveAttribute("aria-expanded", "false");
  await page.reload();
  await expect(mark).toBeChecked();
  await expect(file.getByRole("button")).toHaveAttribute("aria-expanded", "false");
  const diff = structuredClone(deployment.snapshot?.artifacts.find((one) => one.content.type === "diff"));
  if (diff?.content.type !== "diff") throw new Error("there is no diff");
  diff.content.files[0]?.hunks[0]?.lines.push({ kind: "added", text: "// more" });
  deployment.emit({ type: "artifact_changed", artifact: diff });
  await expect(mark).not.toBeChecked();
  await expect(page.getByText("0 of 3 viewed")).toBeVisible();
});

test("N and P go from change to change, into closed files too", async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 1000 });
  await open(page, "/sessions/ses_cart");
  const first = page.getByRole("region", { name: "src/cart/discount.ts", exact: true });
  await expect(first).toBeVisible();
  const current = page.locator("[data-current]");
  await page.keyboard.press("n");
  await expect(current).toContainText("cart.discount = rule.amount(cart)");
  await expect(current).toBeFocused();
  await page.keyboard.press("n");
  await expect(current).toContainText("Discounts follow the lines they apply to");
  await page.keyboard.press("p");
  await expect(current).toContainText("cart.discount = rule.amount(cart)");
  await first.getByRole("checkbox").check();
  await page.keyboard.press("n");
  await expect(current).toHaveAccessibleName(/discount\.ts/);
  await page.keyboard.press("n");
  await expect(current).toContainText("the total follows the quantity");
});
