/** Warm sandboxes as a session gets them: claimed at its repository, bound at the bridge, replaced when they come to nothing. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, prompt, startEdge } from "./support/edge.mjs";
import { claimed, none } from "./support/repository.mjs";
import { findRunner, runnerOf, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";

let edge;
let ada;
before(async () => {
  edge = await startEdge({ repository: "stub", vars: { SANDBOX_IDLE_MS: "60000" } });
  ada = await edge.client(ADA);
});
after(() => edge?.close());

let sandboxes = 0;
const newSandbox = () => {
  sandboxes += 1;
  return `sbx_${String(sandboxes).padStart(26, "0")}`;
};

/** Answers the claims of one session, which is the next to ask; all others find nothing. */
function answerClaims(answer) {
  let sessionId;
  edge.repository.claim = (call) => {
    sessionId ??= call.sessionId;
    return call.sessionId === sessionId ? answer(call) : none();
  };
}

async function start(text, more = {}) {
  const body = { repository: "acme/shop", prompt: prompt(text), ...more };
  const { status, body: created } = await ada.post("/api/sessions", body);
  assert.equal(status, 201, JSON.stringify(created));
  return created.sessionId;
}

const bound = (sandboxId) =>
  edge.bridge.request(({ path }) => path === `/sandboxes/${sandboxId}/claimed`, "the binding");
const creations = (sessionId) =>
  edge.bridge.requests.filter(
    ({ path, body }) => /^\/sandboxes\/[^/]+$/.test(path) && body.sessionId === sessionId,
  );

/** The runner of a bound sandbox is announced and ready; the order of the first turn. */
async function takeTurn(sessionId, sandboxId, generation) {
  const runner = runnerOf(edge, sessionId, sandboxId, generation);
  assert.equal((await runner.attach()).status, 200);
  assert.equal((await runner.report({ type: "ready", agent: "scripted 1" })).status, 200);
  return { runner, turn: await runner.turn() };
}

test("a prompt goes to a warm sandbox, claimed with the reservation that it was composed under", async () => {
  const sandboxId = newSandbox();
  answerClaims(() => claimed(sandboxId, edge.bridge.url));
  const sessionId = await start("Be quick", { reservation: "rsv_1" });
  const claim = await edge.repository.call("/claim", (call) => call.sessionId === sessionId);
  assert.deepEqual(claim, { sessionId, generation: 1, reservation: "rsv_1" });
  const { body } = await bound(sandboxId);
  const { branch, ...binding } = body;
  assert.match(branch, /^farhand\//);
  assert.deepEqual(binding, {
    sessionId,
    generation: 1,
    repository: "acme/shop",
    model: "demo/demo",
    models: ["demo/demo", "demo/other"],
  });
  const { turn } = await takeTurn(sessionId, sandboxId, 1);
  assert.equal(turn.prompt, "Be quick");
  const { sandbox } = (await ada.get(`/api/sessions/${sessionId}/status`)).body;
  assert.deepEqual([sandbox.state, sandbox.sandboxId], ["ready", sandboxId]);
  assert.deepEqual(creations(sessionId), []);
  assert.ok(
    !edge.repository.calls.some(
      ({ path, body: call }) => path === "/release" && call.sessionId === sessionId,
    ),
  );
});

test("what the bridge does not give is given back, and the prompt gets another one", async () => {
  const [gone, away, good] = [newSandbox(), newSandbox(), newSandbox()];
  edge.bridge.refuse(gone, 404, { code: "not_found", message: "it is not a sandbox of this bridge" });
  edge.bridge.refuse(away, 503, { code: "unavailable", message: "its runner is not connected here" });
  answerClaims(({ generation }) => claimed([gone, away, good][generation - 1], edge.bridge.url));
  const sessionId = await start("Try again");
  const { turn } = await bound(good).then(() => takeTurn(sessionId, good, 3));
  assert.equal(turn.attempt, 1, "it costs no try");
  for (const generation of [1, 2]) {
    await edge.repository.call(
      "/release",
      (call) => call.sessionId === sessionId && call.generation === generation,
    );
  }
  await edge.bridge.request(
    ({ path }) => path === `/sandboxes/${away}/terminated`,
    "the end of the one in between",
  );
  assert.ok(
    !edge.bridge.requests.some(({ path }) => path === `/sandboxes/${gone}/terminated`),
    "it is not ours",
  );
});

test("without a warm sandbox it starts from the image, and from the base image when that is gone", async () => {
  answerClaims(() => none("img_2"));
  edge.bridge.refuseCreation(({ source }) => source.imageId === "img_2", 404, {
    code: "not_found",
    message: "there is no such image",
  });
  const sessionId = await start("From scratch");
  const first = await findRunner(edge, sessionId, 1);
  assert.deepEqual(first.order.source, { type: "image", imageId: "img_2" });
  const second = await findRunner(edge, sessionId, 2);
  assert.deepEqual(second.order.source, { type: "base" });
  const viewer = await view(edge, ada, sessionId);
  const { notices } = viewer.state.snapshot;
  assert.match(
    JSON.stringify(notices),
    /starting from the repository's image; the next sandbox starts from the base image/,
  );
  assert.equal((await takeTurn(sessionId, second.sandboxId, 2)).turn.attempt, 1, "it costs no try");
  await viewer.close();
});

test("a repository that says nothing is not waited for, and what it gives too late is given back", async () => {
  answerClaims(() => undefined);
  const sessionId = await start("Do not wait");
  const runner = await findRunner(edge, sessionId, 1);
  assert.deepEqual(runner.order.source, { type: "base" });
  await edge.repository.call("/release", (call) => call.sessionId === sessionId && call.generation === 1);
  assert.equal((await takeTurn(sessionId, runner.sandboxId, 1)).turn.prompt, "Do not wait");
});

test("an object that dies over its claim asks again and gets the same", async () => {
  const sandboxId = newSandbox();
  let asked = 0;
  answerClaims(() => {
    asked += 1;
    return asked > 1 ? claimed(sandboxId, edge.bridge.url) : undefined;
  });
  const sessionId = await start("Survive");
  await edge.repository.call("/claim", (call) => call.sessionId === sessionId);
  await edge.server.fetch(`/api/test/sessions/${sessionId}/panic`);
  // Somebody looks, and the object is there again.
  const viewer = await view(edge, ada, sessionId);
  const { body } = await bound(sandboxId);
  assert.deepEqual([body.sessionId, body.generation], [sessionId, 1]);
  await takeTurn(sessionId, sandboxId, 1);
  assert.deepEqual(
    edge.repository.calls
      .filter(({ path, body: call }) => path === "/claim" && call.sessionId === sessionId)
      .map(({ body: call }) => call.generation),
    [1, 1],
  );
  await viewer.close();
});

test("who begins to write finds a sandbox ready when the prompt is sent", async () => {
  const sandboxId = newSandbox();
  answerClaims(() => claimed(sandboxId, edge.bridge.url));
  const sessionId = await ada.newSession();
  const viewer = await view(edge, ada, sessionId);
  assert.equal(viewer.state.snapshot.sandbox.state, "none");
  viewer.send({ type: "typing" });
  viewer.send({ type: "typing" });
  await bound(sandboxId);
  const runner = runnerOf(edge, sessionId, sandboxId, 1);
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  await viewer.event("sandbox_changed", ({ status }) => status.state === "ready");
  await viewer.submit("Written at last");
  const turn = await runner.turn();
  assert.equal(turn.prompt, "Written at last");
  await runner.receive(turn);
  await runner.report(turnEnded(turn));
  const claims = edge.repository.calls.filter(
    ({ path, body }) => path === "/claim" && body.sessionId === sessionId,
  );
  assert.equal(claims.length, 1, "one sandbox, however much is written");
  assert.deepEqual(viewer.faults, []);
  await viewer.close();
});
