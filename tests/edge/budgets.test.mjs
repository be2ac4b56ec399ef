/** Budgets and the kill switch end to end: what sessions may spend, what stops them, what people are told, and who may change it. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, LINUS, prompt, startEdge } from "./support/edge.mjs";
import { startRunner, startTurn, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

const users = [ADA, GRACE, LINUS].map((user) => ({ ...user, token: `token-of-${user.login}` }));
const USED_UP = "is used up: $1.00 of $1.00. An operator can raise it in the settings.";

let edge;
const people = {};
before(async () => {
  edge = await startEdge({
    vars: { IMAGES: "off", OPERATORS: "grace" },
    secrets: { LOCAL_USERS: JSON.stringify(users) },
  });
  for (const user of users) people[user.login] = await edge.client(user);
});
after(() => edge?.close());

const set = (scope, subject, period, limits = {}) =>
  people.grace.put("/api/operator/budgets", { scope, subject, period, ...limits });
const dollars = (count) => ({ moneyMicroDollars: count * 1_000_000 });

/** What the bridge was told last of how far a sandbox may go, once it fits. */
async function allowed(runner, fits, what) {
  const path = `/sandboxes/${runner.sandboxId}/allowance`;
  const last = () => edge.bridge.requests.findLast((request) => request.path === path)?.body.allowance;
  return until(last, (allowance) => allowance && fits(allowance), what);
}

/** Events with what the bridge says that the sandbox has spent. */
async function spend(runner, microDollars, refused, ...events) {
  const spending = { microDollars, tokens: microDollars / 100, refused };
  const batch = { ...runner.batch(events.length ? events : [{ type: "heartbeat" }]), spending };
  const answer = await edge.report(runner.sessionId, "events", batch);
  runner.seq += batch.events.length;
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

/** States of a session's prompts, as a newcomer sees them. */
async function prompts(sessionId) {
  const newcomer = await view(edge, people.grace, sessionId);
  await newcomer.settle();
  await newcomer.close();
  return newcomer.state.snapshot.prompts.map(({ state }) => state);
}

const held = (viewer, fits) => viewer.event("budget_changed", ({ hold }) => fits(hold));

test("only operators see and change budgets, and each wrong one is refused with its remedy", async () => {
  for (const login of ["ada", "linus"]) {
    assert.equal((await people[login].get("/api/operator/budgets")).status, 403);
    assert.equal((await people[login].post("/api/operator/halt", { reason: "no" })).status, 403);
  }
  for (const [scope, subject, period, more] of [
    ["organisation", "acme", "month", dollars(1)],
    ["organisation", "", "life", dollars(1)],
    ["session", "*", "day", dollars(1)],
    ["user", "", "day", dollars(1)],
    ["repository", "acme", "day", dollars(1)],
    ["planet", "", "day", dollars(1)],
    ["user", "*", "day", { moneyMicroDollars: -1 }],
    ["user", "*", "day", { moneyMicroDollars: 1e15 }],
    ["user", "*", "day", { limit: 1 }],
  ])
    assert.equal((await set(scope, subject, period, more)).status, 400, `${scope} ${subject} ${period}`);
  assert.equal((await people.grace.post("/api/operator/halt", { reason: " " })).status, 400);
  assert.deepEqual((await people.grace.get("/api/operator/budgets")).body, { budgets: [] });
});

test("a session that spends its budget is stopped, says why, and goes on when it is raised", async () => {
  await set("session", "*", "life", dollars(1));
  const { runner, turn, sessionId } = await startTurn(edge, people.ada, "Fix the sum");
  const first = await allowed(runner, () => true, "an allowance");
  assert.deepEqual([first.microDollars, first.more], [500_000, true]);
  assert.match(turn.means, /^The budget of this session: \$1\.00 of \$1\.00 left$/);
  const viewer = await view(edge, people.ada, sessionId);

  await spend(runner, 300_000, false);
  await allowed(runner, ({ microDollars }) => microDollars === 650_000, "the next allowance");
  await spend(runner, 640_000, false);
  await allowed(runner, ({ microDollars }) => microDollars >= 820_000, "the next allowance");
  await spend(runner, 995_000, false);
  const last = await allowed(runner, ({ more }) => !more, "the last allowance");
  assert.equal(last.microDollars, 1_000_000);
  assert.match(last.reason, /^The budget of this session is used up/);

  await people.ada.post(`/api/sessions/${sessionId}/message`, prompt("And the tests"));
  // The gateway refuses a call; the agent fails by it.
  const failed = turnEnded(turn, { outcome: { type: "failed", reason: "402 Payment Required" } });
  await spend(runner, 1_000_000, true, failed);
  const { end, promptState } = await viewer.event("turn_ended");
  assert.deepEqual([end.outcome.type, end.held.kind, promptState], ["stopped", "budget", "done"]);
  const { hold } = await held(viewer, (hold) => hold?.reason.includes(USED_UP));
  assert.equal(hold.kind, "budget");
  assert.deepEqual(await prompts(sessionId), ["done", "queued"], "the next prompt waits");
  assert.deepEqual(
    (await edge.rows("SELECT money, tokens FROM spending WHERE session_id = ?1", sessionId)).map(
      Object.values,
    ),
    [[1_000_000, 10_000]],
  );
  // Nobody can spend what was given back.
  await allowed(runner, ({ microDollars }) => microDollars === 0, "the end of the allowance");

  await set("session", "*", "life", dollars(2));
  await held(viewer, (hold) => hold === undefined);
  const next = await runner.turn(({ turnId }) => turnId !== turn.turnId);
  assert.equal(next.prompt, "And the tests");
  assert.match(next.means, /\$1\.00 of \$2\.00 left$/);
  await runner.receive(next);
  await runner.report(turnEnded(next));
  await until(
    () => edge.rows("SELECT session_id FROM budget_leases"),
    (leases) => leases.length === 0,
    "the end of what was granted",
  );
  await set("session", "*", "life");
  await viewer.close();
});

test("two sessions of one person never get the same dollar", async () => {
  await set("user", ADA.id, "day", dollars(3));
  const [one, two] = await Promise.all([
    startTurn(edge, people.ada, "One"),
    startTurn(edge, people.ada, "Two"),
  ]);
  const grants = await Promise.all(
    [one, two].map(({ runner }) => allowed(runner, () => true, "an allowance")),
  );
  const { body } = await people.grace.get("/api/operator/budgets");
  const [budget] = body.budgets;
  const granted = grants.reduce((sum, { microDollars }) => sum + microDollars, 0);
  assert.equal(budget.promisedMicroDollars, granted);
  assert.ok(granted + budget.spentMicroDollars <= 3_000_000, JSON.stringify({ granted, budget }));
  // One uses its part, and gives nothing back.
  await spend(one.runner, grants[0].microDollars, false);
  await until(
    async () => (await people.grace.get("/api/operator/budgets")).body.budgets[0],
    (now) => now.spentMicroDollars === budget.spentMicroDollars + grants[0].microDollars,
    "what was spent",
  );
  const now = (await people.grace.get("/api/operator/budgets")).body.budgets[0];
  assert.ok(now.spentMicroDollars + now.promisedMicroDollars <= 3_000_000, JSON.stringify(now));
  for (const { runner, turn } of [one, two]) await runner.report(turnEnded(turn));
  await set("user", ADA.id, "day");
});

test("halting ends every sandbox, sessions say why, and lifting it lets them go on", async () => {
  const turns = await Promise.all(["One", "Two", "Three"].map((text) => startTurn(edge, people.linus, text)));
  const viewers = await Promise.all(turns.map(({ sessionId }) => view(edge, people.linus, sessionId)));
  const asked = performance.now();
  const { status, body } = await people.grace.post("/api/operator/halt", { reason: "A key leaked" });
  const took = Math.round(performance.now() - asked);
  console.log(`halted ${body.ended} sandboxes in ${took} ms`);
  assert.equal(status, 200, JSON.stringify(body));
  assert.ok(body.ended >= 3 && body.problem === undefined, JSON.stringify(body));
  assert.equal(edge.bridge.running.size, 0);
  for (const viewer of viewers) {
    const { hold } = await held(viewer, (hold) => hold?.kind === "halt");
    assert.equal(
      hold.reason,
      "An operator has stopped everything: A key leaked. Prompts wait until that is lifted.",
    );
    const { end, promptState } = await viewer.event("turn_ended");
    assert.deepEqual([end.outcome.type, end.held.kind, promptState], ["stopped", "halt", "queued"]);
  }
  // Nothing new begins either.
  const created = await people.ada.post("/api/sessions", {
    repository: "acme/shop",
    prompt: prompt("Later"),
  });
  const late = await view(edge, people.ada, created.body.sessionId);
  await until(
    async () => (await edge.rows("SELECT session_id FROM held_sessions")).map((row) => row.session_id),
    (ids) => ids.includes(created.body.sessionId),
    "the new session's wait",
  );
  await until(
    () => edge.bridge.running.size,
    (size) => size === 0,
    "the end of what was being made",
  );
  assert.equal((await people.grace.get("/api/operator/budgets")).body.halt.by, GRACE.name);

  assert.equal((await people.grace.delete("/api/operator/halt")).body.halt, undefined);
  for (const viewer of [...viewers, late]) await held(viewer, (hold) => hold === undefined);
  const orders = edge.bridge.requests.filter(
    ({ path, body }) => /^\/sandboxes\/[^/]+$/.test(path) && body.generation,
  );
  for (const { sessionId } of turns) {
    await until(
      () =>
        edge.bridge.requests.filter(
          ({ path, body }) => /^\/sandboxes\/[^/]+$/.test(path) && body.sessionId === sessionId,
        ),
      (found) => found.length >= 2,
      "another sandbox",
    );
  }
  assert.ok(orders.length > 0);
  const audit = (await people.grace.get("/api/operator/audit")).body.entries.map(({ action }) => action);
  assert.ok(audit.includes("halt") && audit.includes("halt.lift") && audit.includes("budget.change"));
  for (const viewer of [...viewers, late]) await viewer.close();
});

test("while nothing is limited, sandboxes are told nothing of allowances", async () => {
  const runner = await startRunner(edge, people.ada, "Free");
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const turn = await runner.turn();
  assert.equal(turn.means, undefined);
  const path = `/sandboxes/${runner.sandboxId}/allowance`;
  assert.equal(
    edge.bridge.requests.some((request) => request.path === path),
    false,
  );
});
