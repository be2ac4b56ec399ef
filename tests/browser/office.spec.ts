/** Keys, sign-ins, people and repositories: what is set, what is shown once, what a list says, and how one gets there. */
import { expect, type Page, test } from "@playwright/test";
import { open } from "./fixture/deployment.js";
import { NOW } from "./fixture/facts.js";
import { Office } from "./fixture/office.js";

const region = (page: Page, name: string) => page.getByRole("region", { name });

test("a key is made with a scope and an end, shown once, and revoked", async ({ page }) => {
  const deployment = await open(page, "/settings");
  const keys = region(page, "API keys");
  await expect(keys.getByRole("listitem").filter({ hasText: "Nightly report" })).toBeVisible();
  await expect(keys).toContainText("reads · used today 07:00 · ends 1 Dec");
  await expect(keys.getByRole("link", { name: "description of the API" })).toHaveAttribute(
    "href",
    "/openapi.json",
  );
  await keys.getByLabel("What the key is for").fill("Release script");
  await keys.getByLabel("It may").selectOption("write");
  await keys.getByLabel("It ends after").selectOption("7 days");
  await keys.getByRole("button", { name: "Make a key" }).click();
  await expect(keys.getByText(/^fhk_/)).toBeVisible();
  expect(deployment.office.changes).toEqual([
    { method: "POST", path: "/api/keys", body: { name: "Release script", scope: "write", days: 7 } },
  ]);
  await keys.getByRole("button", { name: "I have it" }).click();
  await expect(keys.getByText(/^fhk_/)).toHaveCount(0);
  await page.reload();
  await expect(keys.getByRole("listitem").filter({ hasText: "Release script" })).toBeVisible();
  expect(await page.content()).not.toContain("fhk_");
  await keys.getByRole("button", { name: "Revoke Release script" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await expect(keys.getByRole("listitem").filter({ hasText: "Release script" })).toHaveCount(0);
  expect(deployment.complaints).toEqual([]);
});

test("a key that cannot be made says why, and what was written stays", async ({ page }) => {
  await open(page, "/settings");
  const keys = region(page, "API keys");
  await keys.getByLabel("What the key is for").fill("One too many");
  await page.route("**/api/keys", (route) =>
    route.fulfill({
      status: 403,
      json: { code: "forbidden", message: "you have 50 keys; revoke one first" },
    }),
  );
  await keys.getByRole("button", { name: "Make a key" }).click();
  await expect(keys.getByRole("alert")).toContainText("You have 50 keys");
  await expect(keys.getByLabel("What the key is for")).toHaveValue("One too many");
});

test("one is signed out of another browser, and of all", async ({ page }) => {
  const deployment = await open(page, "/settings");
  const list = region(page, "Signed in");
  await expect(list.getByText("Chrome on Linux")).toBeVisible();
  await expect(list.getByText("this browser")).toBeVisible();
  await list.getByRole("button", { name: "Sign out Safari on iOS" }).click();
  await expect(list.getByText("Safari on iOS")).toHaveCount(0);
  expect(deployment.office.changes.map(({ path }) => path)).toEqual([`/api/sign-ins/${"b".repeat(32)}`]);
  await list.getByRole("button", { name: "Sign out everywhere" }).click();
  const dialog = page.getByRole("dialog", { name: "Sign out everywhere?" });
  await dialog.getByRole("button", { name: "Sign out everywhere" }).click();
  await expect(page.getByRole("heading", { name: "Sign in" })).toBeVisible();
});

test("operators see everybody, others do not see that there is a list", async ({ page }) => {
  const deployment = await open(page, "/settings");
  const people = page.getByRole("list", { name: "People" });
  await expect(people.getByRole("listitem")).toHaveCount(3);
  await expect(people).toContainText("operator");
  await expect(people).toContainText("may not sign in since yesterday 12:00");
  deployment.office.operator = false;
  await page.reload();
  await expect(region(page, "API keys").getByRole("list")).toBeVisible();
  await expect(page.getByRole("heading", { name: "People" })).toHaveCount(0);
});

test("an operator sees what the deployment works with, and what is wrong with it", async ({ page }) => {
  await open(page, "/settings");
  const checks = page.getByRole("list", { name: "Deployment" });
  await expect(checks.getByRole("listitem")).toHaveCount(7);
  await expect(checks.getByRole("listitem").filter({ hasText: "Sandbox bridge" })).toContainText(
    /BRIDGE_KEY must be the same.*does not work/,
  );
  await expect(checks.getByRole("listitem").filter({ hasText: "Slack" })).toContainText("not set up");
});

test("who does not run the deployment sees nothing of it", async ({ page }) => {
  const office = new Office();
  office.operator = false;
  await open(page, "/settings", { office });
  await expect(region(page, "API keys").getByRole("listitem")).toHaveCount(2);
  await expect(page.getByRole("heading", { name: "Deployment" })).toHaveCount(0);
  await expect(page.getByRole("heading", { name: "People" })).toHaveCount(0);
});

test("an operator removes somebody after a question, and lets them back in", async ({ page }) => {
  const deployment = await open(page, "/settings");
  const people = page.getByRole("list", { name: "People" });
  await expect(people.getByRole("button", { name: /Jo Reyes/ }), "nobody removes themselves").toHaveCount(0);
  await people.getByRole("button", { name: "Remove Mika Kato" }).click();
  const dialog = page.getByRole("dialog", { name: "Remove Mika Kato?" });
  await expect(dialog).toContainText("@mika is signed out everywhere");
  await dialog.getByRole("button", { name: "Keep them" }).click();
  expect(deployment.office.changes).toEqual([]);
  await people.getByRole("button", { name: "Remove Mika Kato" }).click();
  await dialog.getByRole("button", { name: "Remove" }).click();
  const mika = people.getByRole("listitem").filter({ hasText: "Mika Kato" });
  await expect(mika).toContainText("may not sign in since");
  await people.getByRole("button", { name: "Let back in Mika Kato" }).click();
  const back = page.getByRole("dialog", { name: "Let Mika Kato back in?" });
  await back.getByRole("button", { name: "Let back in" }).click();
  await expect(mika).toContainText("signed in");
  expect(deployment.office.changes.map(({ body }) => body)).toEqual([
    { login: "mika", removed: true },
    { login: "mika", removed: false },
  ]);
});

test("a removal that is refused says why", async ({ page }) => {
  const deployment = await open(page, "/settings");
  deployment.office.removes = false;
  await page.getByRole("button", { name: "Remove Mika Kato" }).click();
  const dialog = page.getByRole("dialog", { name: "Remove Mika Kato?" });
  await dialog.getByRole("button", { name: "Remove" }).click();
  await expect(dialog.getByRole("alert")).toContainText("Only operators may do that");
});

test("theme and one-key shortcuts are chosen and outlive a reload", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await open(page, "/settings");
  const scheme = () => page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
  await page.getByRole("radio", { name: "Dark" }).check();
  await expect.poll(scheme).toBe("dark");
  await page.getByRole("checkbox", { name: /single key/ }).uncheck();
  await page.reload();
  await expect(page.getByRole("radio", { name: "Dark" })).toBeChecked();
  await expect(page.getByRole("checkbox", { name: /single key/ })).not.toBeChecked();
  await page.getByRole("heading", { name: "Settings" }).click();
  await page.keyboard.press("c");
  await expect(page).toHaveURL(/\/settings$/);
  await page.getByRole("checkbox", { name: /single key/ }).check();
  await page.getByRole("heading", { name: "Settings" }).click();
  await page.keyboard.press("c");
  await expect(page).toHaveURL(/\/new$/);
});

test("the list of repositories says how fresh each is, and is searched", async ({ page }) => {
  const deployment = await open(page, "/");
  await page.getByRole("link", { name: "Repositories" }).click();
  await expect(page).toHaveURL(/\/repositories$/);
  const rows = page.getByRole("main").getByRole("listitem");
  await expect(rows).toHaveCount(3);
  await expect(rows.filter({ hasText: "acme/shop-web" })).toContainText("image of 41 min ago");
  await expect(rows.filter({ hasText: "acme/shop-web" })).toContainText(
    "4 of 5 sandboxes ready, 1 being made",
  );
  await expect(rows.filter({ hasText: "acme/billing-api" })).toContainText("first build runs");
  await expect(rows.filter({ hasText: "acme/platform" })).toContainText("not worked on yet");
  await page.getByRole("searchbox", { name: "Search repositories" }).fill("store");
  await expect(rows).toHaveCount(1);
  await rows.getByRole("link").click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("acme/shop-web");
  await page.goBack();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Repositories");
  expect(deployment.complaints).toEqual([]);
});

test("a repository shows its recipe with its sources, and a build's log that grows", async ({ page }) => {
  const deployment = await open(page, "/repositories/acme/billing-api");
  const builds = region(page, "Builds");
  await builds.getByRole("button", { name: /cargo build/ }).click();
  await expect(builds).toContainText("> cargo build");
  deployment.office.logs.bld_first += "Compiling é billing\n";
  await expect(builds).toContainText("Compiling é billing");
  const [first] = deployment.office.statuses["acme/billing-api"]?.builds ?? [];
  if (first === undefined) throw new Error("there is no build");
  deployment.office.logs.bld_first += "error: could not compile\n";
  first.endedAt = NOW;
  first.outcome = { type: "failed", step: "cargo build", reason: "cargo build ended with 101" };
  await expect(builds.getByRole("button", { name: /failed at cargo build/ })).toContainText("ended with 101");
  await expect(builds).toContainText("error: could not compile");
  await expect(builds.locator("pre")).toHaveText(
    "> cargo build\nCompiling é billing\nerror: could not compile",
  );

  await page.goto("/repositories/acme/shop-web");
  const recipe = region(page, "Recipe");
  await expect(recipe).toContainText("npm ci");
  await expect(recipe.locator("dd").filter({ hasText: "NPM_TOKEN" })).toContainText("set here");
  await expect(recipe.locator("dd").filter({ hasText: "npm run build" })).toContainText(
    "from the repository",
  );
  await region(page, "Image").getByRole("button", { name: "Build now" }).click();
  await expect(builds.getByRole("button", { name: /cloning/ })).toBeVisible();
  await expect(region(page, "Image").getByRole("button", { name: "A build runs" })).toBeDisabled();
});

test("settings of a repository are saved as they are seen, and what is emptied goes", async ({ page }) => {
  const deployment = await open(page, "/repositories/acme/shop-web");
  const settings = region(page, "Settings");
  await expect(settings.getByLabel("Warm sandboxes")).toHaveValue("5");
  await settings.getByLabel("Set-up commands").fill("npm ci\n\n npm run prepare ");
  await settings.getByLabel("Secrets, by name").fill("");
  await settings.getByLabel("Memory in MiB").fill("8192");
  await settings.getByRole("button", { name: "Save and build" }).click();
  await expect(settings.getByRole("status")).toHaveText("Saved. A build follows.");
  expect(deployment.office.changes).toEqual([
    {
      method: "PUT",
      path: "/api/repositories/acme/shop-web/settings",
      body: {
        setup: ["npm ci", "npm run prepare"],
        poolTarget: 5,
        limits: { cpuMillicores: 2000, memoryMib: 8192, diskMib: 10_240, lifeMs: 14_400_000 },
      },
    },
  ]);
});

test("what tells a repository apart in Slack is written down", async ({ page }) => {
  const deployment = await open(page, "/repositories/acme/platform");
  await expect(page.getByText("Nobody has worked on this repository yet.")).toBeVisible();
  const form = region(page, "In Slack");
  await form.getByLabel("What it is, in a sentence").fill("Clusters and pipelines");
  await form.getByLabel("Channels of its own").fill("C024BE91L, C0AAAAAAA");
  await form.getByRole("button", { name: "Save" }).click();
  await expect(form.getByRole("status")).toHaveText("Saved");
  expect(deployment.office.hints).toEqual({
    description: "Clusters and pipelines",
    hints: "cart\ncheckout",
    channels: ["C024BE91L", "C0AAAAAAA"],
  });
});

test("a refused host leads to where it is allowed", async ({ page }) => {
  const deployment = await open(page, "/sessions/ses_cart");
  await expect(page.getByRole("log")).toContainText("#421");
  const denial = { host: "registry.yarn.example", port: 8443, reason: "host_not_allowed", count: 2 };
  deployment.emit({ type: "egress_denied", denial });
  await page.getByRole("link", { name: "Allow for this repository…" }).click();
  await expect(page).toHaveURL(/\/repositories\/acme\/shop-web\?host=registry\.yarn\.example%3A8443$/);
  const settings = region(page, "Settings");
  await expect(settings.getByRole("note")).toContainText(
    '{"acme/shop-web":{"allow_hosts":["registry.yarn.example:8443"]}}',
  );
  await settings.getByRole("button", { name: "Add it to the list below" }).click();
  await expect(settings.getByLabel("Hosts that must be reachable")).toHaveValue("registry.yarn.example:8443");
});

test("pages that cannot be loaded say so and try again", async ({ page }) => {
  await open(page, "/");
  await page.route("**/api/repositories", (route) => route.abort("connectionrefused"));
  await page.goto("/repositories");
  await expect(page.getByRole("main").getByRole("alert")).toContainText("The server cannot be reached");
  await page.unroute("**/api/repositories");
  await page.getByRole("main").getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("main").getByText("acme/shop-web")).toBeVisible();
});

test("the extension is let in at the address that it opens", async ({ page }) => {
  const client = "enbmhbgjjakbhommiecphdjfgnmpmgkj";
  const challenge = "a".repeat(43);
  const query = `client=${client}&challenge=${challenge}&state=some-state-of-it`;
  await open(page, `/connect/extension?${query}`, { user: null });
  await page.getByRole("button", { name: /Jo Reyes/ }).click();
  await expect(page.getByRole("heading", { name: "Connect the extension?" })).toBeVisible();
  await expect(page.getByText(client)).toBeVisible();
  let asked: unknown;
  const redirect = "http://farhand.localhost/new?code=c&state=some-state-of-it";
  await page.route("**/api/keys/grants", (route) => {
    asked = route.request().postDataJSON();
    return route.fulfill({ json: { redirect } });
  });
  await page.getByRole("button", { name: /Connect as Jo Reyes/ }).click();
  await expect(page).toHaveURL(redirect);
  expect(asked).toEqual({ client, challenge, state: "some-state-of-it" });
});

test("a Slack account is linked by a press, with a code that only the fragment has", async ({ page }) => {
  const deployment = await open(page, "/connect/slack#code=abc", { user: null });
  await page.getByRole("button", { name: /Jo Reyes/ }).click();
  await expect(page.getByText("jo.reyes")).toBeVisible();
  expect(deployment.changed, "looking links nothing").toEqual(["slack abc look"]);
  await page.getByRole("button", { name: /This is me, Jo Reyes/ }).click();
  await expect(page.getByRole("heading", { name: "Linked. Go back to Slack." })).toBeVisible();
  expect(deployment.changed).toEqual(["slack abc look", "slack abc confirm"]);
});

test("the code of a Slack account survives a sign-in at the code host, and goes there not", async ({
  page,
}) => {
  const urls: string[] = [];
  page.on("request", (request) => urls.push(request.url()));
  const deployment = await open(page, "/connect/slack#code=abc", { user: null, signsInElsewhere: true });
  await page.getByRole("link", { name: "Continue with GitHub" }).click();
  await page.getByRole("link", { name: "Authorize" }).click();
  await expect(page.getByRole("button", { name: /This is me, Jo Reyes/ })).toBeVisible();
  expect(deployment.changed).toEqual(["slack abc look"]);
  await expect(page).toHaveURL(/\/connect\/slack#code=abc$/);
  expect(urls.filter((url) => url.includes("abc") && !url.includes("#"))).toEqual([]);
  expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
});
