/** Deletion: a deleted session is gone from its object, from R2, from the lists and for everyone who looked at it. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, askEverything, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { startRunner, startTurn, toolItem, turnEnded } from "./support/runner.mjs";
import { connect, ticketOf, view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

const EVE = { id: "usr_eve", login: "eve", name: "Eve", email: "eve@farhand.example" };

let edge;
let ada;
let grace;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
  grace = await edge.client(GRACE);
});
after(() => edge?.close());

/** Until nothing of a session is left in its object. */
const isEmpty = (sessionId) => {
  const tables =
    "SELECT name FROM sqlite_master WHERE name IN ('session', 'events', 'items', 'participants')";
  return until(
    () => edge.sessionRows(sessionId, tables),
    ({ length }) => length === 0,
    "an empty object",
    20_000,
  );
};

test("a deleted session is gone, everywhere and for everyone", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, ada, "Delete me");
  await runner.report(toolItem(turn.turnId, "itm_big", "x".repeat(100 * 1024)));
  await until(
    () => edge.artifactKeys(`sessions/${sessionId}/`),
    ({ length }) => length > 0,
    "the stored output",
  );
  const viewers = [
    await view(edge, ada, sessionId),
    await view(edge, grace, sessionId),
    await connect(edge, ticketOf(edge, EVE, sessionId), sessionId),
  ];
  const unused = await grace.ticket(sessionId);
  assert.equal((await grace.delete(`/api/sessions/${sessionId}`)).status, 403);

  const answer = await ada.delete(`/api/sessions/${sessionId}`);
  assert.deepEqual([answer.status, answer.body], [200, {}]);
  assert.equal(await ada.isListed(sessionId), false, "the very next list is right");
  for (const viewer of viewers) assert.equal(await viewer.closed(), 4004);
  for (const { route, status, body } of await askEverything(edge, ada, sessionId))
    assert.deepEqual([status, body.code], [404, "not_found"], route);
  for (const [what, value] of [
    ["events", runner.batch([{ type: "heartbeat" }])],
    ["ended", { sandboxId: runner.sandboxId, generation: runner.generation, reason: "x" }],
  ]) {
    const report = await edge.report(sessionId, what, value);
    assert.deepEqual([report.status, report.body.code], [404, "not_found"], what);
  }
  await assert.rejects(connect(edge, unused, sessionId, { subscribes: false }), /did not open/);

  await edge.bridge.request(
    ({ path }) => path === `/sandboxes/${runner.sandboxId}/terminated`,
    "the sandbox's end",
  );
  await until(
    () => edge.artifactKeys(`sessions/${sessionId}/`),
    ({ length }) => length === 0,
    "an empty bucket",
  );
  await isEmpty(sessionId);
  const rows = await edge.rows("SELECT session_id FROM sessions WHERE session_id = ?", sessionId);
  assert.deepEqual(rows, [], "no late update has brought the row back");
});

test("nothing comes back, however soon after its beginning a session is deleted", async () => {
  const ids = await Promise.all(
    Array.from({ length: 20 }, async (_, number) => {
      const request = { repository: "acme/shop", prompt: prompt(`short life ${number}`) };
      const { sessionId } = (await ada.post("/api/sessions", request)).body;
      if (number % 2) await ada.post(`/api/sessions/${sessionId}/message`, prompt("one more event"));
      assert.equal((await ada.delete(`/api/sessions/${sessionId}`)).status, 200);
      return sessionId;
    }),
  );
  for (const id of ids) await isEmpty(id);
  const listed = (await ada.list("?limit=100")).filter(({ sessionId }) => ids.includes(sessionId));
  assert.deepEqual(listed, []);
  const isCreation = ({ path, body }) => /^\/sandboxes\/[^/]+$/.test(path) && ids.includes(body?.sessionId);
  const ordered = edge.bridge.requests.filter(isCreation);
  assert.ok(ordered.length > 0);
  for (const { path } of ordered) {
    const about = edge.bridge.requests.filter((request) => request.path.startsWith(path));
    assert.equal(about.at(-1).path, `${path}/terminated`, "no sandbox is left behind");
  }
});

test("a session that is deleted while the database is away is taken off the list when it is back", async () => {
  const sessionId = await ada.newSession();
  const { DB } = await edge.worker.getEnv();
  await DB.prepare("ALTER TABLE sessions RENAME TO sessions_away").run();
  try {
    assert.equal((await ada.delete(`/api/sessions/${sessionId}`)).status, 200);
    assert.equal((await ada.get(`/api/sessions/${sessionId}/status`)).status, 404);
  } finally {
    await DB.prepare("ALTER TABLE sessions_away RENAME TO sessions").run();
  }
  await until(
    () => ada.isListed(sessionId),
    (listed) => !listed,
    "a list without the session",
    20_000,
  );
  await isEmpty(sessionId);
});

test("snapshots of a deleted session are deleted too", async () => {
  const runner = await startRunner(edge, ada, "Save me");
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const turn = await runner.turn();
  await runner.receive(turn);
  await runner.report(turnEnded(turn));
  const saved = await edge.bridge.request(
    ({ path }) => path.startsWith(`/sandboxes/${runner.sandboxId}/snapshots/`),
    "the order of a snapshot",
  );
  const snapshotId = saved.path.split("/").at(-1);
  const owner = await view(edge, ada, runner.sessionId);
  if (owner.state.snapshot.sandbox.state !== "stopped")
    await until(
      () =>
        edge.sessionRows(
          runner.sessionId,
          "SELECT 1 FROM events WHERE json_extract(data, '$.type') = 'snapshot_taken'",
        ),
      ({ length }) => length > 0,
      "the snapshot",
    );
  assert.equal((await ada.delete(`/api/sessions/${runner.sessionId}`)).status, 200);
  const order = await edge.bridge.request(
    ({ path }) => path === `/snapshots/${snapshotId}/deleted`,
    "the order to delete the snapshot",
  );
  assert.equal(order.body.sessionId, runner.sessionId);
  assert.equal(await owner.closed(), 4004);
});
