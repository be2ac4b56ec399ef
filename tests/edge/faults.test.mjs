/** What happens when something of ours breaks: a panic, an eviction, a database that is away. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, prompt, read, startEdge } from "./support/edge.mjs";
import { startRunner, textItem } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

let edge;
let ada;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
});
after(() => edge?.close());

/** The state as a new viewer shows it. */
async function stateOf(sessionId) {
  const viewer = await view(edge, ada, sessionId);
  await viewer.close();
  return viewer.state;
}

async function timed(work) {
  const begin = performance.now();
  const answer = await work;
  return { ...answer, ms: performance.now() - begin };
}

test("a panic in the Worker is an error at once, and the next request works", async () => {
  for (let count = 0; count < 3; count += 1) {
    const { status, body, ms } = await timed(read(await edge.server.fetch("/api/test/panic")));
    assert.deepEqual([status, body.code], [500, "internal"]);
    assert.match(body.message, /incident [0-9a-f-]{36}/);
    assert.ok(!/panic|\.rs/.test(body.message), body.message);
    assert.ok(ms < 2000, `${ms} ms`);
    assert.equal((await read(await edge.server.fetch("/api/health"))).status, 200);
  }
});

test("a panic in one session's object costs nothing that was stored, and other sessions nothing at all", async () => {
  const runner = await startRunner(edge, ada);
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const other = (await ada.post("/api/sessions", { repository: "acme/shop" })).body.sessionId;
  const viewer = await view(edge, ada, other);
  const before = await ada.get(`/api/sessions/${runner.sessionId}/status`);

  for (let count = 0; count < 3; count += 1) {
    const { status, body, ms } = await timed(
      read(await edge.server.fetch(`/api/test/sessions/${runner.sessionId}/panic`)),
    );
    assert.deepEqual([status, body.code], [500, "internal"]);
    assert.ok(ms < 2000, `${ms} ms`);
    assert.deepEqual((await ada.get(`/api/sessions/${runner.sessionId}/status`)).body, before.body);
    const text = prompt(`after panic ${count}`);
    viewer.send({ type: "prompt", prompt: text });
    await viewer.frame(
      ({ type, promptId }) => type === "prompt_accepted" && promptId === text.id,
      "an answer on an old socket",
    );
    assert.equal((await ada.get(`/api/sessions/${other}/status`)).status, 200);
  }
  assert.equal((await runner.report({ type: "heartbeat" })).status, 200);
  await viewer.close();
});

test("requests that run while an object panics are answered, one way or the other", async () => {
  const ids = [];
  for (let count = 0; count < 2; count += 1)
    ids.push((await ada.post("/api/sessions", { repository: "acme/shop" })).body.sessionId);
  const work = [];
  for (let count = 0; count < 10; count += 1) {
    work.push(ada.post("/api/sessions", { repository: "acme/shop", prompt: prompt(`number ${count}`) }));
    work.push(read(await edge.server.fetch(`/api/test/sessions/${ids[0]}/panic`)));
    work.push(ada.get(`/api/sessions/${ids[1]}/status`));
  }
  for (const { status } of await Promise.all(work))
    assert.ok([200, 201, 500, 503].includes(status), `status ${status}`);
  assert.equal((await ada.get(`/api/sessions/${ids[0]}/status`)).status, 200);
});

test("an evicted object is the same as before, and its sockets go on", async () => {
  const runner = await startRunner(edge, ada, "Remember this");
  const { sessionId } = runner;
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const turn = await runner.turn();
  await runner.report(
    { type: "turn_received", turnId: turn.turnId, attempt: turn.attempt },
    textItem(turn.turnId, "itm_1", "Half of a "),
  );
  const viewer = await view(edge, ada, sessionId);
  const before = structuredClone(viewer.state);

  await edge.sleep(sessionId);
  assert.deepEqual(await stateOf(sessionId), before);

  await runner.report({ type: "item_appended", itemId: "itm_1", offset: 10, text: "sentence" });
  const appended = await viewer.record(
    ({ event }) => event.type === "item_appended",
    "an event on a socket from before",
  );
  assert.equal(appended.seq, before.seq + 1);
  const item = (await stateOf(sessionId)).snapshot.items.find(({ id }) => id === "itm_1");
  assert.equal(item.content.text, "Half of a sentence");
  await viewer.close();
});

test("a database that is away refuses a new session before anything is made", async () => {
  const objects = await edge.worker.listDurableObjectIds("SESSION");
  const { DB } = await edge.worker.getEnv();
  await DB.prepare("ALTER TABLE repositories RENAME TO repositories_away").run();
  try {
    const answer = await ada.post("/api/sessions", { repository: "acme/shop", prompt: prompt("x") });
    assert.deepEqual([answer.status, answer.body.code], [503, "unavailable"]);
    assert.ok(!/repositories|SQL/i.test(answer.body.message), answer.body.message);
  } finally {
    await DB.prepare("ALTER TABLE repositories_away RENAME TO repositories").run();
  }
  assert.deepEqual(await edge.worker.listDurableObjectIds("SESSION"), objects);
});

test("a session whose listing failed lives, and is listed when its object next writes its row", async () => {
  const { DB } = await edge.worker.getEnv();
  await DB.prepare("ALTER TABLE sessions RENAME TO sessions_away").run();
  let sessionId;
  try {
    const answer = await ada.post("/api/sessions", {
      repository: "acme/shop",
      prompt: prompt("Listed late"),
    });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    sessionId = answer.body.sessionId;
    assert.equal((await ada.get(`/api/sessions/${sessionId}/status`)).status, 200);
  } finally {
    await DB.prepare("ALTER TABLE sessions_away RENAME TO sessions").run();
  }
  assert.equal((await ada.post(`/api/sessions/${sessionId}/message`, prompt("and go on"))).status, 202);
  const listed = await until(
    async () => (await ada.get("/api/sessions")).body.sessions.find((row) => row.sessionId === sessionId),
    (row) => row !== undefined,
    "the session in the list",
    20_000,
  );
  assert.equal(listed.title, "Listed late");
});
