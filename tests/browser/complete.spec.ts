/** What the composer completes: `@file` from what the session knows, `/command` for what it can do at once. */
import { expect, type Page, test } from "@playwright/test";
import { open } from "./fixture/deployment.js";
import { running, starting } from "./fixture/facts.js";

const session = "/sessions/ses_cart";
const field = (page: Page) => page.getByRole("textbox", { name: "Prompt", exact: true });
const list = (page: Page) => page.getByRole("listbox", { name: /^(?:Files|Commands)$/ });
const options = (page: Page) => list(page).getByRole("option");
const chosen = (page: Page) => list(page).getByRole("option", { selected: true });

test("@ completes a file by keyboard, in the middle of the words", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  await field(page).pressSequentially("Look at @");
  await expect(page.getByRole("listbox", { name: "Files" })).toBeVisible();
  await expect(options(page)).toHaveText([
    /discount\.ts\s*src\/cart\//,
    /quantity\.test\.ts\s*src\/cart\//,
    /cart\.png\s*assets\//,
    /quantity\.ts\s*src\/cart\//,
  ]);
  const id = await chosen(page).getAttribute("id");
  await expect(field(page)).toHaveAttribute("aria-activedescendant", id ?? "");
  await expect(field(page)).toBeFocused();
  await page.keyboard.press("ArrowUp");
  await expect(chosen(page)).toContainText("quantity.ts");
  await field(page).pressSequentially("quan");
  await expect(options(page)).toHaveCount(2);
  await page.keyboard.press("Enter");
  await expect(field(page)).toHaveValue("Look at @src/cart/quantity.test.ts ");
  await expect(options(page)).toHaveCount(0);
  await expect(field(page)).not.toHaveAttribute("aria-activedescendant", /./);
  await field(page).pressSequentially("and mail me@");
  await expect(options(page)).toHaveCount(0);
  await field(page).pressSequentially(" @png");
  await page.getByRole("option", { name: /cart\.png/ }).click();
  await expect(field(page)).toHaveValue("Look at @src/cart/quantity.test.ts and mail me@ @assets/cart.png ");
  await expect(field(page)).toBeFocused();
  await page.keyboard.press("Control+Enter");
  await expect.poll(() => deployment.frames("prompt").length).toBe(1);
  expect(deployment.complaints).toEqual([]);
});

test("Escape closes the list for this sign, and the prompt is sent as it is written", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  await field(page).pressSequentially("Ask @dis");
  await expect(options(page)).toHaveText([/discount\.ts/]);
  await page.keyboard.press("Escape");
  await expect(options(page)).toHaveCount(0);
  await expect(field(page)).toBeFocused();
  await field(page).pressSequentially("c");
  await expect(options(page)).toHaveCount(0);
  await field(page).pressSequentially(" @dis");
  await expect(options(page)).toHaveCount(1);
  await page.keyboard.press("Control+Enter");
  await expect
    .poll(() => deployment.frames("prompt").map(({ prompt }) => prompt.text))
    .toEqual(["Ask @disc @dis"]);
});

test("commands act at once and leave no words behind", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: running() });
  await field(page).pressSequentially("/");
  await expect(page.getByRole("listbox", { name: "Commands" })).toBeVisible();
  await expect(options(page)).toHaveText([
    /^\/stop/,
    /^\/queue/,
    /^\/steer/,
    /^\/attach/,
    /^\/model claude-sonnet-4-5/,
  ]);
  await field(page).pressSequentially("mod son");
  await page.keyboard.press("Tab");
  await expect(field(page)).toHaveValue("");
  await expect(page.getByRole("combobox", { name: "Model" })).toHaveValue("anthropic/claude-sonnet-4-5");
  await field(page).pressSequentially("/ste");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("radio", { name: "Steer" })).toBeChecked();
  const chooser = page.waitForEvent("filechooser");
  await field(page).pressSequentially("/att");
  await page.keyboard.press("Enter");
  await chooser;
  await field(page).pressSequentially("/stop");
  await page.keyboard.press("Control+Enter");
  await expect.poll(() => deployment.frames("stop")).toEqual([{ type: "stop", turnId: "trn_1" }]);
  await expect(field(page)).toHaveValue("");
  expect(deployment.frames("prompt")).toEqual([]);
});

test("without a running turn there is nothing to stop, and a path is no command", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: starting() });
  await field(page).pressSequentially("/");
  await expect(options(page)).toHaveText([/^\/attach/, /^\/model claude-sonnet-4-5/]);
  await field(page).pressSequentially("etc/hosts is wrong");
  await expect(options(page)).toHaveCount(0);
  await page.keyboard.press("Control+Enter");
  await expect
    .poll(() => deployment.frames("prompt").map(({ prompt }) => prompt.text))
    .toEqual(["/etc/hosts is wrong"]);
});

test("a model that can be told how much to think is told, and its prompts say so", async ({ page }) => {
  const deployment = await open(page, session, { snapshot: starting() });
  const effort = page.getByRole("combobox", { name: "Effort" });
  await expect(effort).toHaveCount(0);
  await field(page).pressSequentially("/mod son");
  await expect(options(page)).toHaveText([/^\/model claude-sonnet-4-5/]);
  await page.keyboard.press("Tab");
  await expect(effort).toHaveValue("");
  await field(page).pressSequentially("/eff");
  await expect(options(page)).toHaveText([/^\/effort low/, /^\/effort medium/, /^\/effort high/]);
  await field(page).pressSequentially(" med");
  await expect(options(page)).toHaveText([/^\/effort medium/]);
  await page.keyboard.press("Tab");
  await expect(effort).toHaveValue("medium");
  await field(page).fill("Think about the cart");
  await page.keyboard.press("Control+Enter");
  const asked = { model: "anthropic/claude-sonnet-4-5", effort: "medium" };
  await expect.poll(() => deployment.frames("prompt").map(({ prompt }) => prompt)).toMatchObject([asked]);
  await page.getByLabel("Model").selectOption("demo/demo-1");
  await expect(effort).toHaveCount(0);
  await field(page).fill("And now?");
  await page.keyboard.press("Control+Enter");
  await expect.poll(() => deployment.frames("prompt").length).toBe(2);
  expect(deployment.frames("prompt")[1]?.prompt).not.toHaveProperty("effort");
});
