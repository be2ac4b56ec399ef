/**
 * Every field that shows what somebody else wrote, given every payload: no script runs, no request leaves, no element or address comes
 * of it, and the content security policy has nothing to stop.
 */
import type { SessionEvent } from "@farhand/protocol";
import { expect, type Page, test } from "@playwright/test";
import { Deployment } from "./fixture/deployment.js";
import { finished, NOW, SESSIONS, together } from "./fixture/facts.js";
import { freshStatus } from "./fixture/office.js";
import { ADDRESSES, PAYLOADS } from "./fixture/payloads.js";

test.describe.configure({ timeout: 240_000 });

/** Hundreds of rows take their time on a machine at work. */
const MANY = { timeout: 60_000 };

interface Watched {
  deployment: Deployment;
  /** What was asked of anybody else, and dialogs that opened. */
  left: string[];
}

async function watch(page: Page, change: (deployment: Deployment) => void): Promise<Watched> {
  const left: string[] = [];
  const own = new URL(test.info().project.use.baseURL ?? "").origin;
  const deployment = new Deployment(page);
  deployment.sessions = SESSIONS;
  change(deployment);
  await deployment.install();
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== own && !request.url().startsWith("ws")) left.push(request.url());
  });
  page.on("dialog", (dialog) => {
    left.push(dialog.message());
    void dialog.dismiss();
  });
  return { deployment, left };
}

/** What is in the page that only markup of somebody else could have brought. */
async function foreign(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const own = new Set(["/theme.js", ...[...document.scripts].map((one) => new URL(one.src).pathname)]);
    const found: string[] = [];
    for (const element of document.querySelectorAll("*")) {
      const name = element.localName;
      const handlers = element.getAttributeNames().filter((one) => /^on|^srcdoc$|^formaction$/.test(one));
      if (handlers.length > 0) found.push(`${name}[${handlers}]`);
      if (
        /^(?:iframe|object|embed|base|portal|math|template|style|marquee|animate|video|audio|img)$/.test(name)
      )
        found.push(name);
      if (name === "script" && !own.has(new URL((element as HTMLScriptElement).src).pathname))
        found.push(name);
      for (const attribute of ["href", "src", "xlink:href", "action"]) {
        const value = element.getAttribute(attribute);
        if (value === null) continue;
        const { protocol } = new URL(value, location.href);
        if (!/^(?:https?|mailto):$/.test(protocol)) found.push(`${name} ${attribute}=${value}`);
      }
    }
    if ("hit" in globalThis) found.push("a script ran");
    return found;
  });
}

async function expectHarmless(page: Page, { deployment, left }: Watched): Promise<void> {
  expect(await foreign(page)).toEqual([]);
  expect(left).toEqual([]);
  expect(deployment.complaints).toEqual([]);
}

/** Everything that a session shows of what others wrote, once with this text. */
function events(text: string, index: number): SessionEvent[] {
  const id = `x${index}`;
  const address = ADDRESSES[index % ADDRESSES.length] ?? text;
  const at = NOW - 1000;
  const item = (kind: string, content: object): SessionEvent =>
    ({
      type: "item_changed",
      item: { id: `itm_${kind}_${id}`, turnId: "trn_1", startedAt: at, content },
    }) as SessionEvent;
  const tool = (name: string, input: string): object => ({
    type: "tool",
    name,
    title: text,
    input,
    state: { type: "failed", durationMs: 5, message: text },
    output: text,
    omittedBytes: 0,
  });
  return [
    { type: "title_changed", title: text, by: "usr_mika" },
    {
      type: "participant_joined",
      participant: { userId: `usr_${id}`, login: text, name: text, joinedAt: at },
    },
    {
      type: "prompt_queued",
      prompt: {
        id: `prm_${id}`,
        author: `usr_${id}`,
        origin: "web",
        text,
        submittedAt: at,
        state: "queued",
        model: text,
      },
    },
    { type: "prompt_cancelled", promptId: `prm_${id}`, by: "usr_mika" },
    item("text", { type: "text", text, done: true }),
    item("thought", { type: "reasoning", text, done: true }),
    item("tool", tool("bash", text)),
    item(
      "edit",
      tool("edit", JSON.stringify({ filePath: text, oldString: text, newString: `${text}\n${text}` })),
    ),
    item("other", tool(text, text)),
    item("plan", { type: "plan", steps: [{ text, state: "pending" }] }),
    item("notice", { type: "notice", level: "warning", text }),
    { type: "egress_denied", denial: { host: text, port: 1, reason: "host_not_allowed", count: 2 } },
    { type: "egress_denied", denial: { host: "x", port: 1, reason: text, count: 2 } },
    { type: "effect_failed", what: text, reason: text },
    {
      type: "review_added",
      number: index,
      review: {
        id,
        author: text,
        verdict: "comment",
        text,
        path: text,
        url: address,
        updatedAt: at,
      },
    },
    {
      type: "artifact_changed",
      artifact: {
        id: "art_pull",
        turnId: "trn_1",
        changedAt: at,
        content: {
          type: "pull_request",
          number: index,
          url: address,
          title: text,
          author: "usr_mika",
          base: text,
          progress: {
            state: "open",
            updatedAt: at,
            flagged: [text],
            checks: [{ name: text, state: "failed", url: address, commit: "c", updatedAt: at }],
          },
        },
      },
    },
    {
      type: "artifact_changed",
      artifact: {
        id: `art_file_${index}`,
        turnId: "trn_1",
        changedAt: at,
        content: {
          type: "file",
          name: text,
          contentId: `art_content_${index}`,
          mediaType: index % 2 === 0 ? "text/plain" : text,
          bytes: 5,
        },
      },
    },
    {
      type: "artifact_changed",
      artifact: {
        id: "art_diff",
        turnId: "trn_1",
        changedAt: at,
        content: {
          type: "diff",
          files: [
            {
              path: text,
              previousPath: text,
              status: "modified",
              additions: 1,
              deletions: 1,
              omitted: false,
              hunks: [
                {
                  oldStart: 1,
                  newStart: 1,
                  heading: text,
                  lines: [
                    { kind: "removed", text },
                    { kind: "added", text: `${text} ` },
                  ],
                },
              ],
            },
          ],
        },
      },
    },
    { type: "sandbox_changed", status: { state: "failed", reason: text } },
  ];
}

test("there are more than two hundred payloads, and all differ", () => {
  expect(new Set(PAYLOADS).size).toBe(PAYLOADS.length);
  expect(PAYLOADS.length).toBeGreaterThan(200);
});

test("a session shows what others wrote as text", async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 1000 });
  const watched = await watch(page, (one) => {
    one.snapshot = finished();
  });
  const { deployment } = watched;
  await page.goto("/sessions/ses_cart");
  await expect(page.getByRole("log")).toContainText("#421");
  for (let from = 0; from < PAYLOADS.length; from += 40) {
    const some = PAYLOADS.slice(from, from + 40);
    deployment.emitTogether(...some.flatMap((text, index) => events(text, from + index)));
    deployment.emit({ type: "title_changed", title: `Up to ${from}`, by: "usr_mika" });
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(`Up to ${from}`, { timeout: 60_000 });
    await expectHarmless(page, watched);
  }
  await page.getByRole("tab", { name: "Details" }).click();
  await expect(page.getByRole("tabpanel")).toContainText("Participants");
  await expectHarmless(page, watched);
});

test("prompts that wait, a failing sandbox and a refusal are text", async ({ page }) => {
  const watched = await watch(page, (one) => {
    const snapshot = together();
    snapshot.prompts = PAYLOADS.slice(0, 90).map((text, index) => ({
      id: `prm_${index}`,
      author: "usr_mika",
      origin: "web",
      text,
      submittedAt: NOW,
      state: "queued",
      model: text,
      attachments: [{ kind: "text", name: text, bytes: 5, textId: "art_orders" }],
    }));
    snapshot.queue = snapshot.prompts.map(({ id }) => id);
    one.snapshot = snapshot;
  });
  const { deployment } = watched;
  await page.setViewportSize({ width: 1440, height: 1000 });
  await page.goto("/sessions/ses_cart");
  await expect(page.getByRole("list", { name: "Waiting prompts" }).getByRole("listitem")).toHaveCount(90);
  await expect(page.getByRole("region", { name: "Artifacts" })).toBeVisible();
  for (const [index, text] of PAYLOADS.entries()) {
    deployment.emitTogether(
      { type: "prompt_edited", promptId: `prm_${index % 90}`, text, by: "usr_mika" },
      { type: "sandbox_changed", status: { state: "starting", sandboxId: "sbx_1", step: text } },
    );
    deployment.send({ type: "rejected", error: { code: "bad_request", message: text } });
  }
  deployment.emit({ type: "title_changed", title: "All of them", by: "usr_mika" });
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("All of them", { timeout: 60_000 });
  await expectHarmless(page, watched);
});

test("lists of sessions, repositories, keys, browsers and people are text", async ({ page }) => {
  const watched = await watch(page, (one) => {
    one.sessions = PAYLOADS.map((text, index) => ({
      ...(SESSIONS[0] as (typeof SESSIONS)[number]),
      sessionId: `ses_${index}`,
      title: text,
      repository: text,
      createdByName: text,
    }));
    one.repositories = {
      repositories: PAYLOADS.map((text) => ({ id: text, description: text, defaultBranch: text })),
    };
    const { office } = one;
    const [key] = office.keys;
    const [browser] = office.signIns;
    const [person] = office.people;
    if (key === undefined || browser === undefined || person === undefined)
      throw new Error("nobody is there");
    office.keys = PAYLOADS.map((text, index) => ({ ...key, id: `${index}`, name: text }));
    office.signIns = PAYLOADS.map((text, index) => ({ ...browser, id: `${index}`, browser: text }));
    office.people = PAYLOADS.map((text, index) => ({
      ...person,
      id: `usr_${index}`,
      name: text,
      login: text,
    }));
  });
  await page.goto("/settings");
  for (const name of ["Keys", "Browsers", "People"])
    await expect(page.getByRole("list", { name }).getByRole("listitem")).toHaveCount(PAYLOADS.length, MANY);
  await expect(page.getByRole("navigation", { name: "Sessions" }).getByRole("listitem")).toHaveCount(
    PAYLOADS.length,
    MANY,
  );
  await expectHarmless(page, watched);
  await page.getByRole("link", { name: "Repositories", exact: true }).click();
  await expect(page.getByRole("main").getByRole("listitem")).toHaveCount(PAYLOADS.length, MANY);
  await expectHarmless(page, watched);
  await page.goto("/new");
  await page.getByRole("combobox", { name: "Repository" }).click();
  await expect(page.getByRole("option")).not.toHaveCount(0);
  await expectHarmless(page, watched);
});

test("builds, logs, recipes, settings and hints of a repository are text", async ({ page }) => {
  const all = [...PAYLOADS];
  const watched = await watch(page, (one) => {
    const status = freshStatus();
    const [, , failed] = status.builds;
    if (failed === undefined) throw new Error("there is no build");
    status.builds = all.map((text, index) => ({
      ...failed,
      buildId: `bld_${index}`,
      outcome: { type: "failed", step: text, reason: text },
    }));
    status.recipe = {
      setup: all,
      build: all,
      warm: all,
      secrets: all,
      allowedHosts: all,
      tools: all,
      start: all[0] ?? "",
    };
    status.settings = structuredClone(status.recipe);
    status.pause = { reason: all.join(" "), until: NOW };
    one.office.statuses["acme/shop-web"] = status;
    one.office.hints = { description: all.join(" "), hints: all.join("\n"), channels: all };
    one.office.logs.bld_0 = all.join("\n");
  });
  await page.goto(`/repositories/acme/shop-web?host=${encodeURIComponent(all.slice(0, 40).join(" "))}`);
  const builds = page.getByRole("list", { name: "Builds" });
  await expect(builds.getByRole("listitem")).toHaveCount(all.length);
  await builds.getByRole("button").first().click();
  await builds.getByRole("button", { name: /more lines above/ }).click();
  await expect(builds.locator("pre")).toContainText("evil.test");
  await expectHarmless(page, watched);
});

test("what an extension says of itself is text, and leads nowhere by itself", async ({ page }) => {
  const watched = await watch(page, () => undefined);
  for (const text of [PAYLOADS.slice(0, 20).join(" "), ...ADDRESSES]) {
    const query = new URLSearchParams({ client: text, challenge: text, state: text });
    await page.goto(`/connect/extension?${query}`);
    await expect(page.getByRole("heading", { name: "Connect the extension?" })).toBeVisible();
    await expectHarmless(page, watched);
  }
});
