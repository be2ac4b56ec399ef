/** Everything that is stored about a person, in Settings: taken along, deleted after the login was typed, and what operators see of it. */
import { fileURLToPath } from "node:url";
import { expect, type Page, test } from "@playwright/test";
import { open } from "./fixture/deployment.js";
import { HELD, OVER } from "./fixture/erasures.js";

const PICTURES = fileURLToPath(new URL("./test-results/pictures/", import.meta.url));

const region = (page: Page, name: string) => page.getByRole("region", { name });

test("a person takes everything along, and is deleted when the login was typed", async ({ page }) => {
  const deployment = await open(page, "/settings");
  const own = region(page, "Your data");
  const link = own.getByRole("link", { name: "Export my data" });
  await expect(link).toHaveAttribute("href", "/api/me/export");
  await expect(link).toHaveAttribute("download", "");
  await own.getByRole("button", { name: "Delete my account" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete your account?" });
  await expect(dialog).toContainText("Sessions of others keep what was written, by “Removed person”");
  const remove = dialog.getByRole("button", { name: "Delete my account" });
  await expect(remove).toBeDisabled();
  await dialog.getByLabel("Type jo to confirm").fill("mika");
  await expect(remove).toBeDisabled();
  await dialog.getByRole("button", { name: "Keep my account" }).click();
  expect(deployment.office.changes).toEqual([]);

  await own.getByRole("button", { name: "Delete my account" }).click();
  await dialog.getByLabel("Type jo to confirm").fill("jo");
  await page.screenshot({ path: `${PICTURES}/settings-delete-account.png` });
  await remove.click();
  await expect(page.getByRole("heading", { name: "Settings" })).toHaveCount(0);
  expect(deployment.office.changes).toEqual([
    { method: "POST", path: "/api/me/erasure", body: { login: "jo" } },
  ]);
});

test("the last who runs the deployment is told why not", async ({ page }) => {
  const deployment = await open(page, "/settings");
  deployment.office.removes = false;
  await region(page, "Your data").getByRole("button", { name: "Delete my account" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete your account?" });
  await dialog.getByLabel("Type jo to confirm").fill("jo");
  await dialog.getByRole("button", { name: "Delete my account" }).click();
  await expect(dialog.getByRole("alert")).toContainText(/name another operator/);
  await expect(page.getByRole("heading", { name: "Settings", exact: true })).toBeVisible();
});

for (const [width, height, name] of [
  [1280, 1000, "settings-deleted-people"],
  [390, 844, "settings-deleted-people-phone"],
] as const)
  test(`an operator exports and deletes somebody and sees how far that is, at ${width}`, async ({ page }) => {
    await page.setViewportSize({ width, height });
    const deployment = await open(page, "/settings");
    deployment.office.erasures = [HELD, OVER];
    await page.reload();
    const people = page.getByRole("list", { name: "People", exact: true });
    await expect(people.getByRole("link", { name: "Export data of Mika Kato" })).toHaveAttribute(
      "href",
      "/api/operator/people/usr_mika/export",
    );
    await expect(people.getByRole("link", { name: /Jo Reyes/ }), "oneself is elsewhere").toHaveCount(0);
    await people.getByRole("button", { name: "Delete with all data Mika Kato" }).click();
    const dialog = page.getByRole("dialog", { name: "Delete Mika Kato?" });
    await dialog.getByLabel("Type mika to confirm").fill("mika");
    await dialog.getByRole("button", { name: "Delete", exact: true }).click();
    await expect(dialog).toHaveCount(0);
    expect(deployment.office.changes).toEqual([
      { method: "POST", path: "/api/operator/people/usr_mika/erasure", body: { login: "mika" } },
    ]);

    const deleted = page.getByRole("list", { name: "Deleted people" });
    const row = (text: string) => deleted.getByRole("listitem").filter({ hasText: text });
    await expect(row("@mika")).toContainText("6 sessions to go · asked for by Jo Reyes today");
    await expect(row("@ines")).toContainText("2 sessions do not answer");
    await expect(row("@ines")).toContainText("by themselves");
    await row("Removed person").getByText("What was done").click();
    await expect(row("Removed person")).toContainText("3 sessions deleted with all they had");
    await expect(row("Removed person")).toContainText("lines of the audit log: 31");
    await deleted.scrollIntoViewIfNeeded();
    await people.evaluate((list) => list.scrollIntoView({ block: "start" }));
    await page.screenshot({ path: `${PICTURES}/${name}.png` });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(overflow).toBe(false);
  });
