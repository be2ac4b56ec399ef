/** What bridges report: only theirs, only once, in order, and seen by everyone who watches. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { startRunner, textItem, turnEnded } from "./support/runner.mjs";
import { signRequest } from "./support/sign.mjs";
import { view } from "./support/viewer.mjs";

let edge;
let ada;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
});
after(() => edge?.close());

const refused = (answer, what) =>
  assert.deepEqual([answer.status, answer.body.code], [401, "signature_invalid"], what);

test("only the very request that a bridge signed counts, and only once", async () => {
  const runner = await startRunner(edge, ada);
  const { sessionId } = runner;
  assert.equal((await runner.attach()).status, 200);
  const batch = runner.batch([{ type: "setup_step", step: "cloning acme/shop" }]);
  const report = (changed) => edge.report(sessionId, "events", batch, changed);
  const path = `/api/bridge/sessions/${sessionId}/events`;
  const now = Date.now();

  refused(await report({ key: "another-key-another-key-another-key-1" }), "another key");
  refused(await report({ sign: { audience: "bridge" } }), "for the other direction");
  refused(await report({ sign: { method: "PUT" } }), "another method");
  refused(await report({ sign: { path: path.replace("events", "ended") } }), "another path");
  refused(await report({ path: `${path}?x=1` }), "another query");
  refused(await report({ body: JSON.stringify({ ...batch, generation: 9 }) }), "another body");
  refused(await report({ body: `${JSON.stringify(batch)} ` }), "one more space");
  refused(await report({ body: "" }), "no body");
  refused(await report({ sign: { issuedAt: now - 120_000, expiresAt: now - 60_000 } }), "too old");
  refused(await report({ sign: { issuedAt: now + 120_000 } }), "from the future");
  for (const authorization of ["", "Bearer", "Bearer x", "Bearer a.b.c", "Basic eA=="])
    refused(await report({ authorization }), authorization);
  const status = async () => (await ada.get(`/api/sessions/${sessionId}/status`)).body;
  assert.equal((await status()).sandbox.step === "cloning acme/shop", false, "nothing of it was stored");

  const body = JSON.stringify(batch);
  const authorization = signRequest("bridge-key-of-the-edge-tests-0123456789", { path, body });
  const first = await report({ authorization });
  assert.deepEqual([first.status, first.body], [200, { acked: 1 }]);
  refused(await report({ authorization }), "the same again");
  assert.equal((await status()).sandbox.step, "cloning acme/shop");
});

test("events are stored once each, without a gap, whatever is repeated or lost", async () => {
  const runner = await startRunner(edge, ada);
  const { sessionId } = runner;
  const attached = await runner.attach();
  assert.deepEqual([attached.status, attached.body], [200, { acked: 0 }]);
  const steps = (from, to) =>
    Array.from({ length: to - from + 1 }, (_, index) => ({
      type: "setup_step",
      step: `step ${from + index}`,
    }));
  const send = (from, to) => edge.report(sessionId, "events", runner.batch(steps(from, to), from));
  const seq = async () => (await ada.get(`/api/sessions/${sessionId}/status`)).body.seq;

  assert.deepEqual((await send(1, 3)).body, { acked: 3 });
  const before = await seq();
  assert.deepEqual((await send(1, 3)).body, { acked: 3 }, "a repeat");
  assert.equal(await seq(), before);
  assert.deepEqual((await send(2, 5)).body, { acked: 5 }, "an overlap");
  assert.equal(await seq(), before + 2);
  const gap = await send(7, 8);
  assert.deepEqual([gap.status, gap.body.code, gap.body.expected], [409, "event_gap", 6]);
  assert.equal(await seq(), before + 2);
  assert.deepEqual((await runner.attach()).body, { acked: 5 }, "where the runner resumes");

  const old = await edge.report(sessionId, "events", {
    ...runner.batch(steps(6, 6), 6),
    generation: runner.generation + 1,
  });
  assert.equal(old.status, 409, JSON.stringify(old.body));
  assert.equal(old.body.code, "generation_stale");
});

test("a report that is none is 400, and one about nothing 404", async () => {
  const runner = await startRunner(edge, ada);
  for (const body of ["", "{", "[]", '{"sandboxId":"sbx_1"}', '{"sandboxId":7}', "\u0000"]) {
    const answer = await edge.report(runner.sessionId, "events", body);
    assert.deepEqual([answer.status, answer.body.code], [400, "bad_request"], body);
  }
  const nobody = await edge.report(
    "ses_00000000000000000000000000",
    "events",
    runner.batch([{ type: "heartbeat" }]),
  );
  assert.deepEqual([nobody.status, nobody.body.code], [404, "not_found"]);
});

test("where a sandbox was not let go is told once, by its own bridge and to everyone", async () => {
  const runner = await startRunner(edge, ada);
  const viewer = await view(edge, ada, runner.sessionId);
  const denial = { host: "example.net", port: 443, reason: "host_not_allowed", count: 3 };
  const report = (changed) =>
    edge.report(runner.sessionId, "egress", {
      sandboxId: runner.sandboxId,
      generation: runner.generation,
      denials: [denial],
      ...changed,
    });
  assert.equal(
    (await report({ generation: runner.generation + 1, denials: [{ ...denial, port: 1 }] })).status,
    200,
  );
  for (let repeat = 0; repeat < 2; repeat += 1) assert.equal((await report()).status, 200);
  assert.equal((await report({ denials: [{ ...denial, count: 40 }] })).status, 200);
  const grown = await viewer.event("egress_denied", (event) => event.denial.count === 40);
  assert.deepEqual(grown.denial, { ...denial, count: 40 });
  await edge.sleep(runner.sessionId);
  assert.equal((await report({ denials: [{ ...denial, count: 41 }] })).status, 200);
  const late = await view(edge, ada, runner.sessionId);
  assert.deepEqual(
    late.state.snapshot.notices.map(({ event }) => event.denial),
    [denial, { ...denial, count: 40 }],
  );
  assert.deepEqual([viewer.faults, late.faults], [[], []]);
  await viewer.close();
  await late.close();
});

test("a turn is seen live by everyone, and the next prompt runs after it", async () => {
  const runner = await startRunner(edge, ada, "First");
  const { sessionId } = runner;
  const grace = await edge.client(GRACE);
  const viewers = [await view(edge, ada, sessionId), await view(edge, grace, sessionId)];
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const turn = await runner.turn();
  assert.equal(turn.prompt, "First");
  assert.deepEqual(turn.author, { name: ADA.name, email: ADA.email });
  assert.equal((await grace.post(`/api/sessions/${sessionId}/message`, prompt("Second"))).status, 202);

  await runner.report(
    { type: "turn_received", turnId: turn.turnId, attempt: turn.attempt },
    textItem(turn.turnId, "itm_1", "Hello "),
    { type: "item_appended", itemId: "itm_1", offset: 6, text: "wörld 😀" },
  );
  for (const viewer of viewers) {
    const appended = await viewer.record(
      ({ event }) => event.type === "item_appended" && event.itemId === "itm_1",
      "the text",
    );
    assert.deepEqual([appended.event.offset, appended.event.text], [6, "wörld 😀"]);
  }
  await runner.report(textItem(turn.turnId, "itm_1", "Hello wörld 😀", true), turnEnded(turn));
  for (const viewer of viewers) {
    const ended = await viewer.record(({ event }) => event.type === "turn_ended", "the end of the turn");
    assert.equal(ended.event.end.outcome.type, "completed");
    assert.equal(ended.event.promptState, "done");
  }
  const second = await runner.turn(({ prompt }) => prompt === "Second");
  assert.deepEqual(second.author, { name: GRACE.name, email: GRACE.email });
  for (const viewer of viewers) {
    assert.deepEqual(viewer.faults, [], "no gap and no repeat");
    await viewer.close();
  }
});
