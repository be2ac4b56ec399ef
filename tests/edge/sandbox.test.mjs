/** A sandbox's times: it is saved and stopped when nothing is to be done, and left in time when its life ends. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { ADA, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { findRunner, startTurn, textItem, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";

const open = [];
after(async () => {
  for (const edge of open) await edge.close();
});

async function start(vars) {
  const edge = await startEdge({ vars });
  open.push(edge);
  return { edge, ada: await edge.client(ADA) };
}

const savedAs = (edge, { sandboxId }) =>
  edge.bridge
    .request(({ path }) => path.startsWith(`/sandboxes/${sandboxId}/snapshots/`), "the order of a snapshot")
    .then(({ path }) => path.split("/").at(-1));
const endOf = (edge, { sandboxId }) =>
  edge.bridge.request(({ path }) => path === `/sandboxes/${sandboxId}/terminated`, "the sandbox's end");

/** A replacement boots and is ready. */
async function boot(runner) {
  assert.equal((await runner.attach()).status, 200);
  assert.equal((await runner.report({ type: "ready", agent: "scripted 1" })).status, 200);
}

test("a sandbox that has nothing to do is saved and stopped while everyone sleeps, and the work goes on from there", async () => {
  const { edge, ada } = await start({ SANDBOX_IDLE_MS: "1500" });
  const { runner, turn, sessionId } = await startTurn(edge, ada, "Work, then rest");
  const viewer = await view(edge, ada, sessionId);
  await runner.report(textItem(turn.turnId, "itm_1", "Done.", true), turnEnded(turn));
  const snapshotId = await savedAs(edge, runner);
  await viewer.event("snapshot_taken", (event) => event.snapshotId === snapshotId);
  await edge.sleep(sessionId);
  await endOf(edge, runner);
  const stopped = await viewer.event("sandbox_changed", ({ status }) => status.state === "stopped");
  assert.equal(stopped.status.snapshotId, snapshotId);

  await viewer.submit("And on");
  const next = await findRunner(edge, sessionId, runner.generation + 1);
  assert.deepEqual(next.order.source, { type: "snapshot", snapshotId });
  await boot(next);
  const restored = await viewer.event("conversation_restored");
  assert.deepEqual(restored, {
    type: "conversation_restored",
    sandboxId: next.sandboxId,
    from: { type: "snapshot", snapshotId },
  });
  const order = await next.turn();
  assert.deepEqual([order.prompt, order.digest], ["And on", undefined]);
  assert.deepEqual(viewer.faults, []);
  await viewer.close();
});

test("a turn that runs when its sandbox's life ends goes on in another one", async () => {
  const { edge, ada } = await start({ SANDBOX_LIFE_MS: "6000" });
  const { runner, turn, sessionId } = await startTurn(edge, ada, "A long turn");
  assert.equal(runner.order.limits.lifeMs, 6000);
  const grace = await edge.client(GRACE);
  const viewer = await view(edge, grace, sessionId);
  await runner.report(textItem(turn.turnId, "itm_1", "Half of it"));
  assert.equal((await ada.post(`/api/sessions/${sessionId}/message`, prompt("Afterwards"))).status, 202);
  await runner.command("stop_turn", ({ turnId }) => turnId === turn.turnId);
  await runner.report(turnEnded(turn, { outcome: { type: "stopped" } }));
  const snapshotId = await savedAs(edge, runner);
  await endOf(edge, runner);

  const next = await findRunner(edge, sessionId, runner.generation + 1);
  assert.deepEqual(next.order.source, { type: "snapshot", snapshotId });
  await boot(next);
  const again = await next.turn();
  assert.equal(again.prompt, "A long turn", "it goes before what was waiting");
  assert.notEqual(again.turnId, turn.turnId);
  await next.receive(again);
  await next.report(turnEnded(again));
  assert.equal((await next.turn(({ turnId }) => turnId !== again.turnId)).prompt, "Afterwards");
  await viewer.event("turn_ended", ({ promptState }) => promptState === "done");
  const ends = viewer.records
    .filter(({ event }) => event.type === "turn_ended")
    .map(({ event }) => event.promptState);
  assert.deepEqual(ends, ["queued", "done"], "the prompt was not done with the sandbox");
  assert.ok(!viewer.records.some(({ event }) => event.type === "stop_requested"), "nobody asked for a stop");
  assert.deepEqual(viewer.faults, []);
  await viewer.close();
});
