/** The queue: every change of it carries its actor, reaches everyone, and outlives sleep. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { startRunner, startTurn, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";

/** `protocol::limit::QUEUE_PROMPTS_MAX`. */
const QUEUE_PROMPTS_MAX = 100;

let edge;
let ada;
let grace;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
  grace = await edge.client(GRACE);
});
after(() => edge?.close());

const status = async (sessionId) => (await ada.get(`/api/sessions/${sessionId}/status`)).body;

/** Sends a frame that must be refused for this reason. */
async function refuses(viewer, frame, code) {
  const error = await viewer.refusal(frame);
  assert.equal(error.code, code, error.message);
  return error;
}

test("waiting prompts are edited, moved and taken back, and everyone sees by whom", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, ada, "Running");
  const owner = await view(edge, ada, sessionId);
  const driver = await view(edge, grace, sessionId);
  const first = await owner.submit("first");
  const second = await driver.submit("second");
  const third = await owner.submit("third");
  const fourth = await driver.submit("fourth");

  driver.send({ type: "edit_prompt", promptId: second, text: "second, better" });
  assert.deepEqual(await owner.event("prompt_edited"), {
    type: "prompt_edited",
    promptId: second,
    text: "second, better",
    by: GRACE.id,
  });
  await refuses(owner, { type: "edit_prompt", promptId: second, text: "not mine" }, "forbidden");
  owner.send({ type: "move_prompt", promptId: third, before: first });
  assert.deepEqual(await driver.event("prompt_moved", ({ promptId }) => promptId === third), {
    type: "prompt_moved",
    promptId: third,
    before: first,
    by: ADA.id,
  });
  driver.send({ type: "move_prompt", promptId: first });
  await owner.event("prompt_moved", ({ promptId }) => promptId === first);
  owner.send({ type: "cancel_prompt", promptId: fourth });
  assert.equal((await driver.event("prompt_cancelled")).by, ADA.id);
  await refuses(driver, { type: "cancel_prompt", promptId: fourth }, "prompt_not_queued");
  await refuses(driver, { type: "move_prompt", promptId: first, before: fourth }, "prompt_not_queued");

  const order = [third, second, first];
  const fresh = await view(edge, ada, sessionId);
  await owner.reach(fresh.state.seq);
  for (const viewer of [owner, driver, fresh]) assert.deepEqual(viewer.state.snapshot.queue, order);
  const known = (id) => fresh.state.snapshot.prompts.find((each) => each.id === id);
  assert.deepEqual([known(second).text, known(second).editedBy], ["second, better", GRACE.id]);
  assert.deepEqual([known(fourth).state, known(fourth).cancelledBy], ["cancelled", ADA.id]);
  assert.equal((await status(sessionId)).queuedPrompts, 3);

  await edge.sleep(sessionId);
  let ended = turn;
  for (const text of ["third", "second, better", "first"]) {
    await runner.report(turnEnded(ended));
    ended = await runner.turn(({ prompt }) => prompt === text);
    await runner.receive(ended);
  }
  const authors = [...edge.bridge.requests]
    .map(({ body }) => body?.command?.turn)
    .filter((order) => order?.prompt === "second, better")
    .map(({ author }) => author.name);
  assert.ok(authors.length > 0 && authors.every((name) => name === GRACE.name));
  await Promise.all([owner, driver, fresh].map((viewer) => viewer.close()));
});

test("a prompt that is sent again is the same prompt, on any socket and after sleep", async () => {
  const { sessionId } = await startTurn(edge, ada, "Running");
  const [one, two] = [await view(edge, ada, sessionId), await view(edge, ada, sessionId)];
  const sent = prompt("once");
  const accepted = async (viewer) => {
    const from = viewer.frames.length;
    viewer.send({ type: "prompt", prompt: sent });
    const fits = (frame) => frame.type === "prompt_accepted" && viewer.frames.indexOf(frame) >= from;
    return (await viewer.frame(fits, "the promise")).seq;
  };
  const seqs = [...(await Promise.all([accepted(one), accepted(two)])), await accepted(one)];
  await edge.sleep(sessionId);
  seqs.push(await accepted(two));
  seqs.push((await ada.post(`/api/sessions/${sessionId}/message`, sent)).body.seq);
  assert.equal(new Set(seqs).size, 1, `${seqs}`);
  const other = { ...sent, text: "something else" };
  assert.equal((await refuses(one, { type: "prompt", prompt: other }, "id_conflict")).code, "id_conflict");
  const mine = await view(edge, grace, sessionId);
  await refuses(mine, { type: "prompt", prompt: sent }, "id_conflict");
  await one.reach(seqs[0]);
  assert.equal(one.state.snapshot.prompts.filter(({ id }) => id === sent.id).length, 1);
  await Promise.all([one, two, mine].map((viewer) => viewer.close()));
});

test("a hundred prompts may wait, and the next is told so", async () => {
  const { sessionId } = await startTurn(edge, ada, "Running");
  const viewer = await view(edge, ada, sessionId);
  for (let count = 0; count < QUEUE_PROMPTS_MAX; count += 1) await viewer.submit(`number ${count}`);
  const full = await refuses(viewer, { type: "prompt", prompt: prompt("one more") }, "queue_full");
  assert.match(full.message, /100/);
  const answer = await ada.post(`/api/sessions/${sessionId}/message`, prompt("one more"));
  assert.deepEqual([answer.status, answer.body.code], [429, "queue_full"]);
  await viewer.reach((await status(sessionId)).seq);
  viewer.send({ type: "cancel_prompt", promptId: viewer.state.snapshot.queue.at(-1) });
  await viewer.event("prompt_cancelled");
  await viewer.submit("there is room again");
  await viewer.reach((await status(sessionId)).seq);
  assert.equal(viewer.state.snapshot.queue.length, QUEUE_PROMPTS_MAX);
  await viewer.close();
});

test("a turn is stopped by somebody who is named", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, ada, "Stop me");
  const driver = await view(edge, grace, sessionId);
  driver.send({ type: "stop", turnId: turn.turnId });
  assert.equal((await driver.event("stop_requested")).by, GRACE.id);
  await runner.command("stop_turn", ({ turnId }) => turnId === turn.turnId);
  await runner.report(turnEnded(turn, { outcome: { type: "stopped" } }));
  assert.equal((await driver.event("turn_ended")).end.outcome.type, "stopped");
  await refuses(driver, { type: "stop", turnId: turn.turnId }, "turn_not_running");
  await driver.close();
});

test("a prompt that was to steer and is given a place runs there, for everyone and after a reload", async () => {
  const runner = await startRunner(edge, ada, "Not received yet");
  const { sessionId } = runner;
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const turn = await runner.turn();
  const owner = await view(edge, ada, sessionId);
  const later = await owner.submit("in its own turn");
  const steered = await owner.submit("to the left", { delivery: "steer" });
  owner.send({ type: "move_prompt", promptId: steered });
  const byHand = ({ promptId, before }) => promptId === steered && before === undefined;
  assert.deepEqual(await owner.event("prompt_moved", byHand), {
    type: "prompt_moved",
    promptId: steered,
    by: ADA.id,
    delivery: "queue",
  });
  const reloaded = await view(edge, grace, sessionId);
  const { prompts, queue } = reloaded.state.snapshot;
  assert.deepEqual(queue, [later, steered]);
  assert.notEqual(prompts.find(({ id }) => id === steered).delivery, "steer");
  await runner.receive(turn);
  await runner.report(turnEnded(turn));
  await runner.turn(({ prompt }) => prompt === "in its own turn");
  const orders = edge.bridge.requests.filter(({ body }) => body?.command?.promptId === steered);
  assert.deepEqual(orders, [], "it is not steered");
  await Promise.all([owner, reloaded].map((viewer) => viewer.close()));
});

test("a prompt is steered into the running turn", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, ada, "Steer me");
  const owner = await view(edge, ada, sessionId);
  const driver = await view(edge, grace, sessionId);
  const later = await owner.submit("in its own turn");
  const steered = await driver.submit("to the left", { delivery: "steer" });
  const command = await runner.command("steer_turn", ({ promptId }) => promptId === steered);
  assert.deepEqual(
    [command.turnId, command.prompt, command.author],
    [turn.turnId, "to the left", { name: GRACE.name, email: GRACE.email }],
  );
  await runner.report({ type: "steer_taken", turnId: turn.turnId, promptId: steered });
  assert.equal((await owner.event("prompt_steered")).turnId, turn.turnId);
  await runner.report(turnEnded(turn));
  await runner.turn(({ prompt }) => prompt === "in its own turn");
  await owner.reach((await status(sessionId)).seq);
  const prompts = owner.state.snapshot.prompts;
  assert.equal(prompts.find(({ id }) => id === steered).state, "done");
  assert.equal(prompts.find(({ id }) => id === steered).steeredInto, turn.turnId);
  assert.equal(prompts.find(({ id }) => id === later).state, "running");
  const orders = edge.bridge.requests.filter(({ body }) => body?.command?.turn?.prompt === "to the left");
  assert.equal(orders.length, 0, "it is not worked on twice");
  await Promise.all([owner, driver].map((viewer) => viewer.close()));
});
