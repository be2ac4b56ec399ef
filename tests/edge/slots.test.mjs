/** Limits on what works at once, end to end: who finds no slot waits with words, and goes on by itself when there is one. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, LINUS, prompt, startEdge } from "./support/edge.mjs";
import { findRunner, startTurn, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

const users = [ADA, GRACE, LINUS].map((user) => ({ ...user, token: `token-of-${user.login}` }));
const REPOSITORY = "acme/shop";

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

const set = async (scope, subject, limits = {}) => {
  const answer = await people.grace.put("/api/operator/budgets", {
    scope,
    subject,
    period: "day",
    ...limits,
  });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body.budgets;
};

/** A new session with a prompt, and somebody who looks at it. */
async function begin(client, text) {
  const { body } = await client.post("/api/sessions", { repository: REPOSITORY, prompt: prompt(text) });
  return { sessionId: body.sessionId, viewer: await view(edge, client, body.sessionId) };
}

/** What a session says while it waits for a slot. */
const waits = ({ viewer }) =>
  until(
    () => viewer.state.snapshot?.budget?.hold,
    (hold) => hold?.kind === "slots",
    "the wait for a slot",
  );

const orders = (sessionId) =>
  edge.bridge.requests.filter(
    ({ path, body }) => /^\/sandboxes\/[^/]+$/.test(path) && body.sessionId === sessionId,
  );

/** Lets the sandbox that a session orders, its first, take a turn. */
async function work({ sessionId }) {
  const runner = await findRunner(edge, sessionId, 2);
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const turn = await runner.turn();
  await runner.receive(turn);
  return { runner, turn, sessionId };
}

const end = ({ runner, turn }) => runner.report(turnEnded(turn));
const remove = (client, sessionId) => client.delete(`/api/sessions/${sessionId}`);
const slots = (sql = "1 = 1") =>
  edge.rows(`SELECT session_id, kind, user_id FROM slots WHERE ${sql} ORDER BY session_id, kind`);

async function settled(sessionIds) {
  await until(
    slots,
    (rows) => rows.every((row) => !sessionIds.includes(row.session_id)),
    "slots that are given back",
  );
  assert.deepEqual(await edge.rows("SELECT * FROM slot_waits"), []);
}

test("a limit is at least one, and not for a session", async () => {
  for (const [scope, subject, period, limits] of [
    ["user", "*", "day", { sessionsMax: 0 }],
    ["user", "*", "day", { sandboxesMax: 0 }],
    ["session", "*", "life", { sessionsMax: 1 }],
    ["organisation", "", "day", { sandboxesMax: 1e16 }],
  ]) {
    const { status } = await people.grace.put("/api/operator/budgets", { scope, subject, period, ...limits });
    assert.equal(status, 400, JSON.stringify({ scope, limits }));
  }
});

test("the second session of a user waits with words, and goes on when the first one's turn ends", async () => {
  const first = await startTurn(edge, people.ada, "One");
  // Those that are at work when a limit is set count.
  const [budget] = await set("user", ADA.id, { sessionsMax: 1 });
  assert.deepEqual(budget.sessions, { max: 1, taken: 1 });
  const second = await begin(people.ada, "Two");
  const hold = await waits(second);
  assert.equal(
    hold.reason,
    "1 of 1 sessions of Ada Lovelace are at work, and more may not be at once. The prompt goes on when another one's turn ends. " +
      "An operator can raise the limit in the settings.",
  );
  assert.deepEqual(orders(second.sessionId), [], "nothing is made for who waits");
  const { queue, turns } = second.viewer.state.snapshot;
  assert.deepEqual([queue.length, turns.length], [1, 0]);
  const other = await startTurn(edge, people.linus, "Somebody else's");

  await end(first);
  const next = await work(second);
  assert.equal(second.viewer.state.snapshot.budget?.hold, undefined);
  assert.deepEqual(await slots("kind = 'session' AND user_id = 'usr_ada'"), [
    { session_id: second.sessionId, kind: "session", user_id: ADA.id },
  ]);
  // The first has a prompt more: it waits behind the second, in the sandbox that it has.
  await people.ada.post(`/api/sessions/${first.sessionId}/message`, prompt("More"));
  const again = { sessionId: first.sessionId, viewer: await view(edge, people.ada, first.sessionId) };
  await waits(again);
  await end(next);
  await first.runner.turn(({ turnId }) => turnId !== first.turn.turnId);

  await set("user", ADA.id);
  const sessionIds = [first, second, other].map(({ sessionId }) => sessionId);
  for (const viewer of [second.viewer, again.viewer]) await viewer.close();
  for (const sessionId of sessionIds) {
    const client = sessionId === other.sessionId ? people.linus : people.ada;
    assert.equal((await remove(client, sessionId)).status, 200);
  }
  await settled(sessionIds);
});

test("raising the limit lets a session go on, and so does the end of a slot that nobody gives back", async () => {
  await set("repository", REPOSITORY, { sessionsMax: 1 });
  const first = await startTurn(edge, people.ada, "One");
  const second = await begin(people.linus, "Two");
  assert.match((await waits(second)).reason, /^1 of 1 sessions of acme\/shop are at work/);
  await set("repository", REPOSITORY, { sessionsMax: 2 });
  const next = await work(second);

  const third = await begin(people.ada, "Three");
  await waits(third);
  await Promise.all([end(first), end(next)]);
  const later = await work(third);
  // A session that is never heard of again, with the only slot.
  const hour = Date.now() + 3_600_000;
  await edge.rows("INSERT INTO slots VALUES ('ses_lost', 'session', 'usr_ada', ?1, ?2, 0)", REPOSITORY, hour);
  await set("repository", REPOSITORY, { sessionsMax: 1 });
  await end(later);
  const fourth = await begin(people.ada, "Four");
  await waits(fourth);
  const over = Date.now() + 2000;
  await edge.rows("UPDATE slots SET expires_at = ?1 WHERE session_id = 'ses_lost'", over);
  // It asks anew, and from then on knows when that is.
  await set("repository", REPOSITORY, { sessionsMax: 1 });
  await work(fourth);
  assert.ok(Date.now() >= over, "not before the lost one's slot has ended");

  await set("repository", REPOSITORY);
  for (const { viewer } of [second, third, fourth]) await viewer.close();
  for (const { sessionId } of [first, third, fourth]) await remove(people.ada, sessionId);
  await remove(people.linus, second.sessionId);
  await settled([first, second, third, fourth].map(({ sessionId }) => sessionId));
});

test("a sandbox counts while it idles, and the end of its session makes room", async () => {
  await set("organisation", "", { sandboxesMax: 1 });
  const first = await startTurn(edge, people.ada, "One");
  await end(first);
  const second = await begin(people.linus, "Two");
  assert.match(
    (await waits(second)).reason,
    /^1 of 1 sandboxes of everybody here are in use, and more may not be at once\. The prompt goes on when one of them ends/,
  );
  const [{ sandboxes }] = (await people.grace.get("/api/operator/budgets")).body.budgets;
  assert.deepEqual(sandboxes, { max: 1, taken: 1 });
  assert.equal((await remove(people.ada, first.sessionId)).status, 200);
  await work(second);
  await second.viewer.close();
  await set("organisation", "");
});

test("of many that wait exactly as many go on as there are slots, in the order of waiting", async () => {
  await set("user", LINUS.id, { sessionsMax: 1 });
  const [busy] = await slots("kind = 'session' AND user_id = 'usr_linus'");
  const waiting = [];
  for (const text of ["One", "Two", "Three"]) {
    waiting.push(await begin(people.linus, text));
    await waits(waiting.at(-1));
  }
  const order = async () =>
    (await edge.rows("SELECT session_id FROM slot_waits ORDER BY since")).map((row) => row.session_id);
  assert.deepEqual(
    await order(),
    waiting.map(({ sessionId }) => sessionId),
  );
  // Who takes its prompt back does not hold up who comes after.
  const [{ id }] = waiting[0].viewer.state.snapshot.prompts;
  waiting[0].viewer.send({ type: "cancel_prompt", promptId: id });
  await until(order, (ids) => ids.length === 2, "one less that waits");
  await remove(people.linus, busy.session_id);
  const next = await work(waiting[1]);
  assert.deepEqual(await order(), [waiting[2].sessionId]);
  await end(next);
  await work(waiting[2]);
  assert.equal((await slots("kind = 'session' AND user_id = 'usr_linus'")).length, 1);
  for (const { viewer } of waiting) await viewer.close();
});
