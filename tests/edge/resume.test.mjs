/** Coming back: exactly what was missed, in one round trip, whatever happened to the connection, the object or workerd meanwhile. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { randomNumbers } from "./support/random.mjs";
import { startRunner, startTurn, textItem, toolItem, turnEnded } from "./support/runner.mjs";
import { connect, ticketOf, view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

let edge;
let ada;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
});
after(() => edge?.close());

const status = async (sessionId) => (await ada.get(`/api/sessions/${sessionId}/status`)).body;

/** Set-up steps: one event each. */
async function steps(runner, count, atOnce = 1000) {
  for (let sent = 0; sent < count; sent += atOnce) {
    const length = Math.min(atOnce, count - sent);
    const events = Array.from({ length }, (_, index) => ({
      type: "setup_step",
      step: `step ${sent + index}`,
    }));
    const { status, body } = await runner.report(...events);
    assert.equal(status, 200, JSON.stringify(body));
  }
}

/** What a client that comes back with `since` is sent up to `caught_up`; it sends one frame for it. */
async function missed(sessionId, since) {
  const begin = performance.now();
  const back = await view(edge, ada, sessionId, { since });
  const { seq } = await back.frame(({ type }) => type === "caught_up", "the end of what was missed");
  const ms = performance.now() - begin;
  assert.ok(!back.frames.some(({ type }) => type === "snapshot"));
  await back.close();
  return { seq, ms, records: back.records.filter((record) => record.seq <= seq), frames: back.frames.length };
}

test("whatever was missed comes once, in order and whole, from any point", async () => {
  const runner = await startRunner(edge, ada, "Ten thousand events");
  const { sessionId } = runner;
  const witness = await view(edge, ada, sessionId);
  await runner.attach();
  await steps(runner, 10_000);
  const { seq } = await status(sessionId);
  await witness.reach(seq);
  assert.deepEqual(witness.faults, []);
  const begin = witness.records[0].seq;
  const random = randomNumbers(7);
  const cuts = [seq, seq - 1, begin - 1, ...Array.from({ length: 8 }, () => begin + random(seq - begin))];
  for (const since of cuts) {
    const { records, frames } = await missed(sessionId, since);
    assert.deepEqual(records, witness.records.slice(since - begin + 1), `since ${since}`);
    assert.ok(frames < 20, `${frames} frames for ${records.length} events`);
  }
  await witness.close();
});

test("who asks for what is not there is given the state", async () => {
  const runner = await startRunner(edge, ada, "More than is kept");
  const { sessionId } = runner;
  const future = await view(edge, ada, sessionId, { since: Number.MAX_SAFE_INTEGER });
  const ahead = await future.frame(({ type }) => type === "snapshot", "the state, from the future");
  assert.equal(ahead.seq, (await status(sessionId)).seq);
  await future.close();

  await runner.attach();
  await steps(runner, 26_000, 2000);
  const { seq } = await status(sessionId);
  const old = await view(edge, ada, sessionId, { since: 1 });
  const frame = await old.frame(({ type }) => type === "snapshot", "the state, from before what is kept");
  await old.reach(seq);
  assert.ok(frame.seq <= seq);
  assert.deepEqual(old.faults, []);
  await old.close();
  assert.equal((await missed(sessionId, seq - 100)).records.length, 100);
});

test("a ping shows what was missed without waking anybody", async () => {
  const { body } = await ada.post("/api/sessions", { repository: "acme/shop" });
  const viewer = await view(edge, ada, body.sessionId);
  await edge.sleep(body.sessionId);
  viewer.send("ping");
  const pong = await viewer.frame((frame) => /^pong/.test(frame), "the answer to a ping");
  assert.equal(pong, `pong ${viewer.state.seq}`);
  const grace = await connect(edge, ticketOf(edge, GRACE, body.sessionId), body.sessionId);
  await viewer.record(({ event }) => event.type === "participant_joined");
  viewer.send("ping");
  await viewer.frame((frame) => frame === `pong ${viewer.state.seq}`, "the newer number");
  assert.ok(`pong ${viewer.state.seq}` !== pong);
  await grace.close();
  await viewer.close();
});

/** A turn with a little of everything; calls `between` after each step. */
async function liveTurn({ runner, turn, sessionId }, between) {
  const id = (name) => `itm_${name}${turn.turnId.slice(-6)}`;
  const { turnId } = turn;
  const tool = (state, output) => toolItem(turnId, id("tool"), output, { state });
  const acts = [
    () => runner.report(textItem(turnId, id("text"), "Hello ")),
    () => runner.report({ type: "item_appended", itemId: id("text"), offset: 6, text: "wörld 😀" }),
    () => runner.report(tool({ type: "running" }, "")),
    () => runner.report({ type: "item_appended", itemId: id("tool"), offset: 0, text: "line 1\n" }),
    () => ada.post(`/api/sessions/${sessionId}/message`, prompt("And then")),
    () => runner.report({ type: "item_appended", itemId: id("text"), offset: 14, text: ", and on" }),
    () => runner.report(tool({ type: "completed", durationMs: 5, exitCode: 0 }, "line 1\n")),
    () => runner.report(textItem(turnId, id("text"), "Hello wörld 😀, and on", true)),
    () =>
      runner.report({
        type: "item_changed",
        item: {
          id: id("plan"),
          turnId,
          startedAt: 1,
          content: { type: "plan", steps: [{ text: "a", state: "done" }] },
        },
      }),
    () => runner.report(turnEnded(turn)),
  ];
  for (const [index, act] of acts.entries()) {
    const { status, body } = await act();
    assert.ok([200, 202].includes(status), JSON.stringify(body));
    await between(index);
  }
}

/** A client that leaves and comes back as chance has it, and keeps its state. */
function fickle(sessionId, random) {
  let viewer;
  const client = {
    isHere: () => viewer?.socket.readyState === WebSocket.OPEN,
    state: () => viewer.state,
    faults: () => viewer.faults,
    async comes() {
      const options = viewer ? { since: viewer.state.seq, state: viewer.state } : {};
      viewer = await view(edge, ada, sessionId, options);
      if (options.state)
        assert.ok(!viewer.frames.some(({ type }) => type === "snapshot"), "only what it missed");
    },
    async leaves() {
      assert.deepEqual(viewer.faults, []);
      await viewer.close();
    },
    async happens() {
      if (random(3) > 0) return;
      await (client.isHere() ? client.leaves() : client.comes());
    },
    reach: (seq) => viewer.reach(seq),
  };
  return client;
}

test("clients that come and go show what one shows that never left", async () => {
  const live = await startTurn(edge, ada, "Everything");
  const { sessionId, runner } = live;
  const random = randomNumbers(11);
  const constant = await view(edge, ada, sessionId);
  const done = new Set();
  const clients = Array.from({ length: 3 }, () => fickle(sessionId, random));
  for (const client of clients) await client.comes();
  for (let turns = 0; turns < 4; turns += 1) {
    await liveTurn(live, async () => {
      if (random(4) === 0) await edge.sleep(sessionId);
      for (const client of clients) await client.happens();
    });
    done.add(live.turn.turnId);
    live.turn = await runner.turn(({ turnId }) => !done.has(turnId));
    await runner.receive(live.turn);
  }
  for (const client of clients) if (!client.isHere()) await client.comes();
  const fresh = await view(edge, ada, sessionId);
  const { seq } = await status(sessionId);
  for (const client of [constant, fresh, ...clients]) await client.reach(seq);
  for (const client of clients) {
    assert.deepEqual(client.state(), constant.state);
    assert.deepEqual(client.faults(), []);
    await client.leaves();
  }
  assert.deepEqual(fresh.state, constant.state, "and so does the session's own state");
  assert.deepEqual([...constant.faults, ...fresh.faults], []);
  await Promise.all([constant, fresh].map((viewer) => viewer.close()));
});

test("workerd starts again on what is stored, and everybody comes back to the same", async () => {
  const live = await startTurn(edge, ada, "Survive");
  const { sessionId } = live;
  const viewer = await view(edge, ada, sessionId);
  await liveTurn(live, async () => {});
  await viewer.record(({ event }) => event.type === "turn_ended");
  const before = await status(sessionId);
  await viewer.reach(before.seq);
  const { state } = viewer;
  await edge.restart();
  await viewer.closed("the end of the old socket");
  const after = await until(
    () => status(sessionId),
    ({ seq }) => seq >= before.seq,
    "the session",
  );
  assert.deepEqual(after.session, before.session);
  const back = await view(edge, ada, sessionId, { since: state.seq, state });
  const fresh = await view(edge, ada, sessionId);
  await back.reach(fresh.state.seq);
  await fresh.reach(back.state.seq);
  assert.deepEqual(back.state, fresh.state);
  assert.deepEqual(back.faults, []);
  assert.equal((await live.runner.report({ type: "heartbeat" })).status, 200, "the runner goes on too");
});
