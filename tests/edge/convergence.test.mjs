/** People and a runner do whatever chance has them do; whoever watched, came and went, or only looks in at the end sees the same. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { randomNumbers } from "./support/random.mjs";
import { startRunner, textItem, toolItem, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";

/** How many runs; more of them by the environment. */
const SEEDS = Number(process.env.FARHAND_SEEDS ?? 4);
const STEPS = 120;

let edge;
let clients;
before(async () => {
  edge = await startEdge();
  clients = [await edge.client(ADA), await edge.client(GRACE)];
});
after(() => edge?.close());

/** What a runner of the session may do next. */
function runnerActs(runner, random) {
  let turn;
  let count = 0;
  const taken = new Set();
  const open = new Map();
  const commands = (type) =>
    edge.bridge.requests
      .filter(
        ({ path, body }) =>
          path.startsWith(`/sandboxes/${runner.sandboxId}/commands/`) && body.command.type === type,
      )
      .map(({ body }) => body.command);
  const inTurn = (act) => async () => {
    if (!turn) return;
    const { status, body } = await act();
    assert.equal(status, 200, JSON.stringify(body));
  };
  const nextId = () => {
    count += 1;
    return `itm_${count}`;
  };
  return {
    begin: async () => {
      const next = commands("start_turn").find((command) => !taken.has(command.turn.turnId))?.turn;
      if (turn || !next) return;
      turn = next;
      taken.add(next.turnId);
      await runner.receive(next);
    },
    end: inTurn(async () => {
      const stops = commands("stop_turn").some(({ turnId }) => turnId === turn.turnId);
      const ended = turn;
      turn = undefined;
      open.clear();
      return runner.report(turnEnded(ended, stops ? { outcome: { type: "stopped" } } : {}));
    }),
    write: inTurn(() => {
      const id = nextId();
      open.set(id, 3);
      return runner.report(textItem(turn.turnId, id, "One "));
    }),
    append: inTurn(() => {
      const events = [...open].map(([itemId, offset]) => ({
        type: "item_appended",
        itemId,
        offset: offset + 1,
        text: "und 😀ö ",
      }));
      for (const [id, offset] of open) open.set(id, offset + "und 😀ö ".length);
      return events.length ? runner.report(...events) : runner.report({ type: "heartbeat" });
    }),
    call: inTurn(() => {
      const id = nextId();
      const running = toolItem(turn.turnId, id, "", { state: { type: "running" } });
      const grown = { type: "item_appended", itemId: id, offset: 0, text: "x\n".repeat(1 + random(20)) };
      const large = toolItem(turn.turnId, id, "y\n".repeat(random(40_000)));
      return random(2) ? runner.report(running, grown) : runner.report(running, grown, large);
    }),
    plan: inTurn(() => {
      const content = { type: "plan", steps: [{ text: `step ${random(9)}`, state: "running" }] };
      const item = { id: `itm_plan${turn.turnId}`, turnId: turn.turnId, startedAt: 1, content };
      return runner.report({ type: "item_changed", item });
    }),
    steer: inTurn(() => {
      const orders = commands("steer_turn").filter(({ turnId }) => turnId === turn.turnId);
      const events = orders.map(({ turnId, promptId }) => ({ type: "steer_taken", turnId, promptId }));
      return runner.report(...events, { type: "heartbeat" });
    }),
  };
}

/** What a person may do next; much of it will be refused. */
function personActs(viewer, random) {
  const queue = () => viewer().state.snapshot.queue;
  const one = (list) => list[random(list.length)];
  const send = (frame) => viewer().send(frame);
  return {
    submit: () =>
      send({
        type: "prompt",
        prompt: prompt(`prompt ${random(1000)}`, random(3) ? {} : { delivery: "steer" }),
      }),
    edit: () =>
      queue().length && send({ type: "edit_prompt", promptId: one(queue()), text: `edited ${random(1000)}` }),
    move: () =>
      queue().length &&
      send({ type: "move_prompt", promptId: one(queue()), before: random(3) ? one(queue()) : undefined }),
    cancel: () => queue().length > 1 && send({ type: "cancel_prompt", promptId: one(queue()) }),
    stop: () => {
      const turn = viewer().state.snapshot.turns.find(({ end }) => end === undefined);
      if (turn && random(4) === 0) send({ type: "stop", turnId: turn.id });
    },
    role: () => {
      const role = one(["owner", "driver", "driver", "viewer"]);
      if (random(4) === 0) send({ type: "set_role", userId: one([ADA.id, GRACE.id]), role });
    },
    rename: () => send({ type: "rename", title: `Title ${random(100)}` }),
    type: () => send({ type: "typing" }),
  };
}

/** What a viewer shows: a role that is not said is the usual one. */
function shown({ state }) {
  const participants = state.snapshot.participants.map((each) => ({ role: "driver", ...each }));
  return { ...state, snapshot: { ...state.snapshot, participants } };
}

for (let seed = 1; seed <= SEEDS; seed += 1) {
  test(`everyone sees the same in the end, seed ${seed}`, async () => {
    const random = randomNumbers(seed);
    const runner = await startRunner(edge, clients[0], `seed ${seed}`);
    const { sessionId } = runner;
    await runner.attach();
    await runner.report({ type: "ready", agent: "scripted 1" });
    const witness = await view(edge, clients[0], sessionId);
    const viewers = [await view(edge, clients[0], sessionId), await view(edge, clients[1], sessionId)];
    const reconnect = async (index) => {
      const { state } = viewers[index];
      assert.deepEqual(viewers[index].faults, []);
      await viewers[index].close();
      viewers[index] = await view(edge, clients[index], sessionId, { since: state.seq, state });
    };
    const people = viewers.map((_, index) => Object.values(personActs(() => viewers[index], random)));
    const work = Object.values(runnerActs(runner, random));
    for (let step = 0; step < STEPS; step += 1) {
      const chance = random(20);
      if (chance === 0) {
        for (const viewer of viewers) await viewer.settle();
        await edge.sleep(sessionId);
      } else if (chance === 1) await reconnect(random(2));
      else if (chance < 11) await work[random(work.length)]();
      else {
        const acts = people[random(2)];
        await acts[random(acts.length)]();
      }
    }
    for (const viewer of viewers) await viewer.settle();
    const fresh = await view(edge, clients[0], sessionId);
    const { seq } = (await clients[0].get(`/api/sessions/${sessionId}/status`)).body;
    for (const viewer of [fresh, witness, ...viewers]) await viewer.reach(seq);
    assert.ok(witness.records.length > STEPS / 6, `${witness.records.length} events`);
    assert.deepEqual(shown(witness), shown(fresh), "who watched, and the session itself");
    for (const viewer of viewers) assert.deepEqual(shown(viewer), shown(fresh), "who came and went");
    for (const viewer of [fresh, witness, ...viewers]) {
      assert.deepEqual(viewer.faults, []);
      await viewer.close();
    }
  });
}
