/**
 * Every state of the client in both themes and several widths: pictures for people, and for machines no accessibility fault, nothing
 * blocked by the content security policy, nothing wider than the screen. Needs only a built client.
 */
import { fileURLToPath } from "node:url";
import type { SessionSnapshot } from "@farhand/protocol";
import { expect, type Page, test } from "@playwright/test";
import axe from "axe-core";
import { ALL_TAKEN, nearlySpent, ROUND, stoppedBy, USED_UP, waiting } from "./fixture/budgets.js";
import { Deployment } from "./fixture/deployment.js";
import {
  ARCHIVED_SESSIONS,
  archived,
  finished,
  historyBefore,
  long,
  running,
  SESSIONS,
  sandboxFailed,
  starting,
  together,
  turnFailed,
  USERS,
  withArtifacts,
} from "./fixture/facts.js";
import { withFiles } from "./fixture/files.js";

const PICTURES = fileURLToPath(new URL("./test-results/pictures/", import.meta.url));

const SIZES = [
  { width: 1440, height: 1000 },
  { width: 1024, height: 768 },
  { width: 390, height: 844 },
];
const BETWEEN = { width: 640, height: 900 };

interface State {
  name: string;
  path: string;
  snapshot?: () => SessionSnapshot;
  prepare?(page: Page, deployment: Deployment): void | Promise<void>;
  ready(page: Page, deployment: Deployment): Promise<void>;
}

const session = "/sessions/ses_cart";
const timelineShows = (text: string) => async (page: Page) => {
  await expect(page.getByRole("log")).toContainText(text);
};

/** Beside the conversation, over it, or as the whole screen of a phone. */
async function showChanges(page: Page): Promise<void> {
  const tab = page.getByRole("button", { name: /^Changes/ });
  if (await tab.isVisible()) await tab.click();
  else if (!(await page.getByRole("radio", { name: "Split" }).isVisible()))
    await page.getByRole("button", { name: "Show the changes" }).click();
}

const STATES: State[] = [
  {
    name: "sign-in",
    path: "/",
    prepare: (_, deployment) => {
      deployment.user = null;
    },
    ready: (page) => expect(page.getByRole("button", { name: /Jo Reyes/ })).toBeVisible(),
  },
  {
    name: "empty",
    path: "/",
    prepare: (_, deployment) => {
      deployment.sessions = [];
    },
    ready: (page) => expect(page.getByText("No sessions yet")).toBeAttached(),
  },
  {
    name: "home",
    path: "/",
    ready: (page) => expect(page.getByText("Move webhook retries to a queue")).toBeAttached(),
  },
  {
    name: "new-session",
    path: "/new",
    ready: async (page) => {
      await expect(page.getByRole("combobox", { name: "Repository" })).toHaveValue("acme/billing-api");
      await page
        .getByRole("textbox", { name: "First prompt" })
        .fill("Show the order number in the page title");
    },
  },
  {
    name: "new-session-picker",
    path: "/new",
    ready: async (page) => {
      await expect(page.getByRole("combobox", { name: "Repository" })).toHaveValue("acme/billing-api");
      await page.getByRole("combobox", { name: "Repository" }).click();
      await expect(page.getByRole("option").first()).toBeVisible();
    },
  },
  {
    name: "running",
    path: session,
    snapshot: running,
    ready: timelineShows("Updating the"),
  },
  { name: "finished", path: session, snapshot: finished, ready: timelineShows("#421") },
  {
    name: "together",
    path: session,
    snapshot: together,
    ready: async (page, deployment) => {
      await timelineShows("I also keep the")(page);
      deployment.send({ type: "typing", userId: "usr_mika" });
      await expect(page.getByText("Mika Kato is writing")).toBeVisible();
    },
  },
  {
    name: "viewer",
    path: session,
    snapshot: together,
    prepare: (_, deployment) => {
      deployment.user = USERS[2] ?? null;
    },
    ready: (page) => expect(page.getByText("You are a viewer here")).toBeVisible(),
  },
  {
    name: "archived",
    path: session,
    snapshot: archived,
    ready: (page) => expect(page.getByRole("button", { name: "Take it up again" })).toBeVisible(),
  },
  {
    name: "people",
    path: session,
    snapshot: together,
    ready: async (page) => {
      await timelineShows("I also keep the")(page);
      // A phone shows them among the details.
      const faces = page.getByRole("button", { name: /Participants/ });
      if (await faces.isVisible()) await faces.click();
      else await page.getByRole("button", { name: "Details" }).click();
      await expect(page.getByLabel("Role of Mika Kato").last()).toBeVisible();
    },
  },
  {
    name: "menu",
    path: session,
    snapshot: finished,
    ready: async (page) => {
      await timelineShows("#421")(page);
      await page.getByRole("button", { name: "More about this session" }).click();
      await expect(page.getByRole("menuitem", { name: "Archive" })).toBeVisible();
    },
  },
  {
    name: "delete",
    path: session,
    snapshot: finished,
    ready: async (page) => {
      await timelineShows("#421")(page);
      await page.getByRole("button", { name: "More about this session" }).click();
      await page.getByRole("menuitem", { name: "Delete…" }).click();
      await expect(page.getByRole("dialog", { name: "Delete this session?" })).toBeVisible();
    },
  },
  {
    name: "history",
    path: session,
    snapshot: long,
    prepare: (_, deployment) => {
      deployment.history = (before) =>
        before > 240
          ? historyBefore(before)
          : { code: "unavailable", message: "The session is busy. Try again." };
    },
    ready: async (page) => {
      await timelineShows("#421")(page);
      await page.getByRole("log").evaluate((box) => box.scrollTo(0, 0));
      await timelineShows("Old prompt 24")(page);
      await page.getByRole("log").evaluate((box) => box.scrollTo(0, 0));
      await expect(page.getByText("The session is busy.")).toBeVisible();
    },
  },
  {
    name: "archived-list",
    path: "/",
    ready: async (page) => {
      await expect(page.getByText("Move webhook retries to a queue")).toBeAttached();
      const more = page.getByRole("button", { name: "More filters" });
      if (!(await more.isVisible())) {
        await page.getByRole("button", { name: "Show the session list" }).click();
      }
      await more.click();
      await page.getByRole("button", { name: "Archived" }).click();
      await expect(page.getByRole("link", { name: /Try the new date picker/ })).toBeVisible();
    },
  },
  {
    name: "settings",
    path: "/settings",
    ready: async (page) => {
      await expect(page.getByText("Nightly report").first()).toBeVisible();
      await expect(page.getByText("Safari on iOS").first()).toBeVisible();
      await expect(page.getByRole("list", { name: "People" })).toBeVisible();
    },
  },
  {
    name: "settings-budgets",
    path: "/settings",
    ready: async (page) => {
      const budgets = page.getByRole("region", { name: "Budgets" });
      await expect(budgets).toContainText("88 % spent");
      await budgets.evaluate((one) => one.scrollIntoView());
    },
  },
  {
    name: "settings-halted",
    path: "/settings",
    prepare: (_, deployment) => deployment.office.treasury.halt("A key of a provider leaked."),
    ready: async (page) => {
      const halted = page.getByText("Everything is stopped");
      await expect(halted).toBeVisible();
      await halted.scrollIntoViewIfNeeded();
    },
  },
  {
    name: "budget-warning",
    path: session,
    snapshot: nearlySpent,
    ready: async (page) => {
      await expect(page.getByText("comes to its end")).toBeVisible();
      const details = page.getByRole("tab", { name: "Details" });
      if (await details.isVisible()) await details.click();
    },
  },
  {
    name: "budget-held",
    path: session,
    snapshot: () => stoppedBy("budget", USED_UP),
    ready: async (page) => void (await expect(page.getByText(USED_UP)).toBeVisible()),
  },
  {
    name: "slots-taken",
    path: session,
    snapshot: waiting,
    ready: async (page) => {
      await expect(page.getByText(ALL_TAKEN)).toBeVisible();
      const details = page.getByRole("tab", { name: "Details" });
      if (await details.isVisible()) await details.click();
    },
  },
  {
    name: "loop-stopped",
    path: session,
    snapshot: () => stoppedBy("loop", ROUND),
    ready: async (page) => void (await expect(page.getByText(ROUND)).toBeVisible()),
  },
  {
    name: "settings-new-key",
    path: "/settings",
    ready: async (page) => {
      await page.getByLabel("What the key is for").fill("Release script");
      await page.getByRole("button", { name: "Make a key" }).click();
      await expect(page.getByText(/^fhk_/)).toBeVisible();
      await page.getByText(/^fhk_/).scrollIntoViewIfNeeded();
    },
  },
  {
    name: "repositories",
    path: "/repositories",
    ready: async (page) => {
      await expect(page.getByText("image of 41 min ago")).toBeVisible();
      await expect(page.getByText("first build runs")).toBeVisible();
      await expect(page.getByText("not worked on yet")).toBeVisible();
    },
  },
  {
    name: "repository",
    path: "/repositories/acme/shop-web",
    ready: async (page) => {
      await page.getByRole("button", { name: /failed at npm ci/ }).click();
      await expect(page.getByText("code EUSAGE").last()).toBeVisible();
      await expect(page.getByLabel("Words that mean it")).toHaveValue(/cart/);
    },
  },
  {
    name: "repository-settings",
    path: "/repositories/acme/shop-web?host=registry.yarn.example",
    ready: async (page) => {
      await expect(page.getByRole("note")).toBeInViewport();
      await expect(page.getByLabel("Words that mean it")).toHaveValue(/cart/);
    },
  },
  {
    name: "connect",
    path: `/connect/extension?client=enbmhbgjjakbhommiecphdjfgnmpmgkj&challenge=${"a".repeat(43)}&state=1234`,
    ready: (page) => expect(page.getByRole("heading", { name: "Connect the extension?" })).toBeVisible(),
  },
  {
    name: "connect-slack",
    path: "/connect/slack#code=abc",
    ready: (page) => expect(page.getByRole("button", { name: /This is me/ })).toBeVisible(),
  },
  {
    name: "list-filters",
    path: "/",
    ready: async (page) => {
      const more = page.getByRole("button", { name: "More filters" });
      await expect(page.getByText("Move webhook retries to a queue")).toBeAttached();
      if (!(await more.isVisible())) {
        await page.getByRole("button", { name: "Show the session list" }).click();
      }
      await more.click();
      await page.getByLabel("Repository of the sessions").selectOption("acme/billing-api");
      await expect(page.getByText("Upgrade to Postgres 17 client")).toHaveCount(0);
    },
  },
  {
    name: "split",
    path: session,
    snapshot: finished,
    ready: async (page) => {
      await timelineShows("#421")(page);
      await showChanges(page);
      await page.getByRole("radio", { name: "Split" }).check();
    },
  },
  {
    name: "artifacts",
    path: session,
    snapshot: withArtifacts,
    ready: async (page) => {
      await timelineShows("I also keep the")(page);
      await showChanges(page);
      const pictures = page.getByRole("region", { name: "Artifacts" }).locator("img");
      await pictures.last().scrollIntoViewIfNeeded();
      await expect
        .poll(() => pictures.evaluateAll((all) => all.every((one) => (one as HTMLImageElement).complete)))
        .toBe(true);
    },
  },
  {
    name: "files",
    path: session,
    snapshot: withFiles,
    ready: async (page) => {
      await timelineShows("#421")(page);
      const pictures = page.getByRole("list", { name: "Files of this step" }).locator("img");
      await pictures.last().scrollIntoViewIfNeeded();
      await expect
        .poll(() => pictures.evaluateAll((all) => all.every((one) => (one as HTMLImageElement).complete)))
        .toBe(true);
    },
  },
  {
    name: "artifact-open",
    path: session,
    snapshot: withArtifacts,
    ready: async (page) => {
      await timelineShows("I also keep the")(page);
      await showChanges(page);
      const shelf = page.getByRole("region", { name: "Artifacts" });
      await shelf.getByRole("button", { name: "checkout-after.png" }).click();
      const picture = page.getByRole("dialog").getByRole("img", { name: "checkout-after.png" });
      await expect
        .poll(() => picture.evaluate((one: HTMLImageElement) => one.naturalWidth))
        .toBeGreaterThan(0);
    },
  },
  {
    name: "linked",
    path: `${session}#e9`,
    snapshot: finished,
    ready: async (page) => {
      await expect(page.locator("[data-linked]")).toBeInViewport();
      await expect(page.getByRole("status").getByText("Looking for")).toHaveCount(0);
    },
  },
  {
    name: "link-unknown",
    path: `${session}#e999`,
    snapshot: finished,
    ready: (page) => expect(page.getByText("has the number 999")).toBeVisible(),
  },
  {
    name: "item-menu",
    path: session,
    snapshot: finished,
    ready: async (page) => {
      await timelineShows("#421")(page);
      await page.getByRole("button", { name: "More about this answer" }).last().click();
      await expect(page.getByRole("menuitem", { name: "Copy link" })).toBeVisible();
    },
  },
  {
    name: "complete-file",
    path: session,
    snapshot: together,
    ready: async (page) => {
      await timelineShows("I also keep the")(page);
      const field = page.getByRole("textbox", { name: "Prompt", exact: true });
      await field.fill("");
      await field.pressSequentially("Look at @");
      await expect(page.getByRole("listbox", { name: "Files" })).toBeVisible();
    },
  },
  {
    name: "complete-command",
    path: session,
    snapshot: running,
    ready: async (page) => {
      await timelineShows("Updating the")(page);
      const field = page.getByRole("textbox", { name: "Prompt", exact: true });
      await field.fill("");
      await field.pressSequentially("/");
      await expect(page.getByRole("listbox", { name: "Commands" })).toBeVisible();
    },
  },
  {
    name: "remove-person",
    path: "/settings",
    ready: async (page) => {
      await page.getByRole("button", { name: "Remove Mika Kato" }).click();
      await expect(page.getByRole("dialog", { name: "Remove Mika Kato?" })).toBeVisible();
    },
  },
  {
    name: "rename",
    path: session,
    snapshot: together,
    ready: async (page, deployment) => {
      await timelineShows("I also keep the")(page);
      deployment.send({ type: "presence_changed", joined: ["usr_tess"], left: [] });
      await expect(page.getByText("Tess Strand joined")).toBeVisible();
      await page.getByRole("button", { name: /npm run build/ }).click();
      await expect(page.getByRole("link", { name: "Show full output" })).toBeVisible();
      await page.getByRole("heading", { level: 1 }).getByRole("button").click();
      await expect(page.getByLabel("Title of the session")).toBeFocused();
    },
  },
  {
    name: "queue-drag",
    path: session,
    snapshot: together,
    ready: async (page) => {
      await timelineShows("I also keep the")(page);
      const grip = page.getByRole("button", { name: /^Move the prompt/ }).last();
      const box = await grip.boundingBox();
      if (box === null) throw new Error("the queue is not shown");
      await page.mouse.move(box.x + 8, box.y + 8);
      await page.mouse.down();
      await page.mouse.move(box.x + 10, box.y - 42, { steps: 4 });
      await expect(page.locator(".is-held")).toBeVisible();
    },
  },
  {
    name: "queue-edit",
    path: session,
    snapshot: together,
    ready: async (page) => {
      await timelineShows("I also keep the")(page);
      await page.getByRole("button", { name: "Edit this prompt" }).first().click();
      await expect(page.getByLabel("Text of the waiting prompt")).toBeFocused();
      await page.getByRole("radio", { name: "Steer" }).check();
    },
  },
  { name: "starting", path: session, snapshot: starting, ready: timelineShows("cloning acme/shop-web") },
  {
    name: "sandbox-failed",
    path: session,
    snapshot: sandboxFailed,
    ready: timelineShows("no user namespaces"),
  },
  {
    name: "turn-failed-weak",
    path: session,
    snapshot: turnFailed,
    ready: async (page) => {
      await timelineShows("refused the key")(page);
      await page.getByRole("button", { name: /Sandbox/ }).click();
      await expect(page.getByRole("region", { name: "Sandbox" }).first()).toContainText(
        "plain process of the host",
      );
    },
  },
  {
    name: "reconnecting",
    path: session,
    snapshot: running,
    ready: async (page, deployment) => {
      await timelineShows("Updating the")(page);
      deployment.reachable = false;
      deployment.drop();
      await expect(page.getByText("Reconnecting…")).toBeVisible();
    },
  },
  {
    name: "gone",
    path: session,
    ready: (page) =>
      expect(page.getByRole("heading", { level: 1 })).toHaveText("This session does not exist"),
  },
];

async function play(page: Page, state: State): Promise<Deployment> {
  const deployment = new Deployment(page);
  deployment.sessions = SESSIONS;
  deployment.archivedSessions = ARCHIVED_SESSIONS;
  deployment.snapshot = state.snapshot?.() ?? null;
  deployment.present = ["usr_jo", "usr_mika"];
  await state.prepare?.(page, deployment);
  await deployment.install();
  return deployment;
}

async function open(page: Page, state: State): Promise<Deployment> {
  const deployment = await play(page, state);
  await page.goto(state.path);
  await state.ready(page, deployment);
  return deployment;
}

async function check(page: Page, name: string): Promise<void> {
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: `${PICTURES}${name}.png`, animations: "disabled" });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow, "wider than the screen").toBeLessThanOrEqual(0);
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe.source);
  const violations = await page.evaluate(async () => {
    const run = (globalThis as unknown as { axe: typeof axe }).axe.run;
    const { violations: found } = await run(document, { rules: { region: { enabled: false } } });
    return found.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).join(", ")}`);
  });
  expect(violations).toEqual([]);
}

for (const state of STATES) {
  test(`${state.name} looks right`, async ({ page }) => {
    const deployment = await play(page, state);
    for (const size of state.name === "running" ? [...SIZES, BETWEEN] : SIZES) {
      // Each size starts afresh, as on a device of that size.
      await page.setViewportSize(size);
      deployment.reachable = true;
      await page.goto(state.path);
      await state.ready(page, deployment);
      for (const colorScheme of ["dark", "light"] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await check(page, `${state.name}-${size.width}-${colorScheme}`);
      }
    }
    expect(deployment.complaints).toEqual([]);
  });
}

test("changes and details have the whole screen of a phone", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
  await open(page, { name: "finished", path: session, snapshot: finished, ready: timelineShows("#421") });
  const tabs = page.getByRole("navigation", { name: "Parts of the session" });
  await tabs.getByRole("button", { name: /Changes/ }).click();
  await expect(page.getByRole("region", { name: "src/cart/discount.ts", exact: true })).toBeVisible();
  await check(page, "phone-changes-dark");
  await tabs.getByRole("button", { name: "Details" }).click();
  await expect(page.getByRole("tabpanel").getByText("here now").first()).toBeVisible();
  await check(page, "phone-details-dark");
  await page.getByRole("button", { name: "Show the session list" }).click();
  await expect(page.getByRole("link", { name: "New session" })).toBeVisible();
  await check(page, "phone-rail-dark");
});

test("details and help open on a wide screen", async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 1000 });
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  await open(page, { name: "finished", path: session, snapshot: finished, ready: timelineShows("#421") });
  await page.getByRole("tab", { name: "Details" }).click();
  await expect(page.getByText("0.8 s after")).toBeVisible();
  await check(page, "details-1440-light");
  await page.getByRole("tabpanel").click();
  await page.keyboard.press("?");
  await expect(page.getByRole("dialog", { name: "Keyboard" })).toBeVisible();
  await check(page, "help-1440-light");
});
