/** The queue and the people around it: every change carries its actor, roles hold, and what is archived or deleted is. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, askEverything, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { startRunner, startTurn, toolItem, turnEnded } from "./support/runner.mjs";
import { connect, ticketOf, view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

/** `protocol::limit::QUEUE_PROMPTS_MAX`. */
const QUEUE_PROMPTS_MAX = 100;
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

const newSession = async () => (await ada.post("/api/sessions", { repository: "acme/shop" })).body.sessionId;
const status = async (sessionId) => (await ada.get(`/api/sessions/${sessionId}/status`)).body;
const list = async (query = "") => (await ada.get(`/api/sessions${query}`)).body.sessions;
const isListed = async (sessionId, query) => (await list(query)).some((row) => row.sessionId === sessionId);

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

/** Submits a prompt on a socket and waits for the promise that it is safe. */
async function submit(viewer, text, more) {
  const sent = prompt(text, more);
  viewer.send({ type: "prompt", prompt: sent });
  await viewer.frame(({ type, promptId }) => type === "prompt_accepted" && promptId === sent.id, text);
  return sent.id;
}

/** The refusal of a frame; nothing may be stored by it. */
async function refusal(viewer, frame, code) {
  const from = viewer.frames.length;
  viewer.send(frame);
  const { error } = await viewer.frame(
    (answer) => answer.type === "rejected" && viewer.frames.indexOf(answer) >= from,
    `the refusal of ${JSON.stringify(frame)}`,
  );
  assert.equal(error.code, code, error.message);
  return error;
}

const event = (viewer, type, fits = () => true) =>
  viewer
    .record((record) => record.event.type === type && fits(record.event), type)
    .then((record) => record.event);

test("waiting prompts are edited, moved and taken back, and everyone sees by whom", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, ada, "Running");
  const owner = await view(edge, ada, sessionId);
  const driver = await view(edge, grace, sessionId);
  const first = await submit(owner, "first");
  const second = await submit(driver, "second");
  const third = await submit(owner, "third");
  const fourth = await submit(driver, "fourth");

  driver.send({ type: "edit_prompt", promptId: second, text: "second, better" });
  assert.deepEqual(await event(owner, "prompt_edited"), {
    type: "prompt_edited",
    promptId: second,
    text: "second, better",
    by: GRACE.id,
  });
  await refusal(owner, { type: "edit_prompt", promptId: second, text: "not mine" }, "forbidden");
  owner.send({ type: "move_prompt", promptId: third, before: first });
  assert.deepEqual(await event(driver, "prompt_moved", ({ promptId }) => promptId === third), {
    type: "prompt_moved",
    promptId: third,
    before: first,
    by: ADA.id,
  });
  driver.send({ type: "move_prompt", promptId: first });
  await event(owner, "prompt_moved", ({ promptId }) => promptId === first);
  owner.send({ type: "cancel_prompt", promptId: fourth });
  assert.equal((await event(driver, "prompt_cancelled")).by, ADA.id);
  await refusal(driver, { type: "cancel_prompt", promptId: fourth }, "prompt_not_queued");
  await refusal(driver, { type: "move_prompt", promptId: first, before: fourth }, "prompt_not_queued");

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
  assert.equal((await refusal(one, { type: "prompt", prompt: other }, "id_conflict")).code, "id_conflict");
  const mine = await view(edge, grace, sessionId);
  await refusal(mine, { type: "prompt", prompt: sent }, "id_conflict");
  await one.reach(seqs[0]);
  assert.equal(one.state.snapshot.prompts.filter(({ id }) => id === sent.id).length, 1);
  await Promise.all([one, two, mine].map((viewer) => viewer.close()));
});

test("a hundred prompts may wait, and the next is told so", async () => {
  const { sessionId } = await startTurn(edge, ada, "Running");
  const viewer = await view(edge, ada, sessionId);
  for (let count = 0; count < QUEUE_PROMPTS_MAX; count += 1) await submit(viewer, `number ${count}`);
  const full = await refusal(viewer, { type: "prompt", prompt: prompt("one more") }, "queue_full");
  assert.match(full.message, /100/);
  const answer = await ada.post(`/api/sessions/${sessionId}/message`, prompt("one more"));
  assert.deepEqual([answer.status, answer.body.code], [429, "queue_full"]);
  await viewer.reach((await status(sessionId)).seq);
  viewer.send({ type: "cancel_prompt", promptId: viewer.state.snapshot.queue.at(-1) });
  await event(viewer, "prompt_cancelled");
  await submit(viewer, "there is room again");
  await viewer.reach((await status(sessionId)).seq);
  assert.equal(viewer.state.snapshot.queue.length, QUEUE_PROMPTS_MAX);
  await viewer.close();
});

test("a turn is stopped by somebody who is named", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, ada, "Stop me");
  const driver = await view(edge, grace, sessionId);
  driver.send({ type: "stop", turnId: turn.turnId });
  assert.equal((await event(driver, "stop_requested")).by, GRACE.id);
  await runner.command("stop_turn", ({ turnId }) => turnId === turn.turnId);
  await runner.report(turnEnded(turn, { outcome: { type: "stopped" } }));
  assert.equal((await event(driver, "turn_ended")).end.outcome.type, "stopped");
  await refusal(driver, { type: "stop", turnId: turn.turnId }, "turn_not_running");
  await driver.close();
});

test("a prompt is steered into the running turn", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, ada, "Steer me");
  const owner = await view(edge, ada, sessionId);
  const driver = await view(edge, grace, sessionId);
  const later = await submit(owner, "in its own turn");
  const steered = await submit(driver, "to the left", { delivery: "steer" });
  const command = await runner.command("steer_turn", ({ promptId }) => promptId === steered);
  assert.deepEqual(
    [command.turnId, command.prompt, command.author],
    [turn.turnId, "to the left", { name: GRACE.name, email: GRACE.email }],
  );
  await runner.report({ type: "steer_taken", turnId: turn.turnId, promptId: steered });
  assert.equal((await event(owner, "prompt_steered")).turnId, turn.turnId);
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

test("each role may do what the table says, on the socket and over HTTP", async () => {
  const sessionId = await newSession();
  const owner = await view(edge, ada, sessionId);
  const other = await view(edge, grace, sessionId);
  await refusal(other, { type: "set_role", userId: ADA.id, role: "viewer" }, "forbidden");
  await refusal(owner, { type: "set_role", userId: ADA.id, role: "driver" }, "forbidden");
  await refusal(owner, { type: "set_role", userId: "usr_nobody", role: "viewer" }, "not_found");
  other.send({ type: "rename", title: "A driver's title" });
  assert.deepEqual(await event(owner, "title_changed"), {
    type: "title_changed",
    title: "A driver's title",
    by: GRACE.id,
  });

  owner.send({ type: "set_role", userId: GRACE.id, role: "viewer" });
  assert.deepEqual(await event(other, "role_changed"), {
    type: "role_changed",
    userId: GRACE.id,
    role: "viewer",
    by: ADA.id,
  });
  const before = (await status(sessionId)).seq;
  const denied = await refusal(other, { type: "prompt", prompt: prompt("may I?") }, "forbidden");
  assert.match(denied.message, /viewer.*owner/);
  for (const frame of [
    { type: "cancel_prompt", promptId: "prm_1" },
    { type: "edit_prompt", promptId: "prm_1", text: "x" },
    { type: "move_prompt", promptId: "prm_1" },
    { type: "stop", turnId: "trn_1" },
    { type: "rename", title: "x" },
    { type: "set_role", userId: GRACE.id, role: "owner" },
  ])
    await refusal(other, frame, "forbidden");
  other.send({ type: "typing" });
  await other.settle();
  await owner.settle();
  assert.ok(!owner.frames.some(({ type }) => type === "typing"), "a viewer does not write");
  for (const answer of [
    await grace.post(`/api/sessions/${sessionId}/message`, prompt("and here?")),
    await grace.put(`/api/sessions/${sessionId}/archived`, { archived: true }),
    await grace.delete(`/api/sessions/${sessionId}`),
  ])
    assert.deepEqual([answer.status, answer.body.code], [403, "forbidden"]);
  assert.equal((await status(sessionId)).seq, before, "nothing of it was stored");

  await edge.sleep(sessionId);
  await refusal(other, { type: "prompt", prompt: prompt("after sleep?") }, "forbidden");
  owner.send({ type: "set_role", userId: GRACE.id, role: "owner" });
  await event(other, "role_changed", ({ role }) => role === "owner");
  other.send({ type: "set_role", userId: ADA.id, role: "driver" });
  await event(owner, "role_changed", ({ userId }) => userId === ADA.id);
  await refusal(owner, { type: "set_role", userId: ADA.id, role: "owner" }, "forbidden");
  await Promise.all([owner, other].map((viewer) => viewer.close()));
});

test("an archived session takes no prompts, is on its own list, and is taken up again", async () => {
  const sessionId = await newSession();
  const owner = await view(edge, ada, sessionId);
  await (await view(edge, grace, sessionId)).close();
  const archive = (client, archived) => client.put(`/api/sessions/${sessionId}/archived`, { archived });
  assert.deepEqual((await archive(grace, true)).body.code, "forbidden");
  const done = await archive(ada, true);
  assert.deepEqual([done.status, done.body], [200, {}]);
  assert.deepEqual((await archive(ada, true)).status, 200, "a repeat changes nothing");
  assert.equal((await event(owner, "session_archived")).by, ADA.id);
  await refusal(owner, { type: "prompt", prompt: prompt("more?") }, "session_archived");
  const answer = await ada.post(`/api/sessions/${sessionId}/message`, prompt("more?"));
  assert.deepEqual([answer.status, answer.body.code], [409, "session_archived"]);
  assert.ok((await status(sessionId)).session.archivedAt > 0);

  await until(() => isListed(sessionId, "?archived=true"), Boolean, "the session among the archived ones");
  assert.equal(await isListed(sessionId), false);
  assert.equal(await isListed(sessionId, "?archived=false"), false);
  assert.ok((await list("?archived=true")).every(({ archived }) => archived));
  assert.ok((await list()).every(({ archived }) => !archived));

  assert.equal((await archive(ada, false)).status, 200);
  assert.equal((await event(owner, "session_unarchived")).by, ADA.id);
  await submit(owner, "again");
  await until(() => isListed(sessionId), Boolean, "the session in the list");
  assert.equal(await isListed(sessionId, "?archived=true"), false);
  assert.equal(owner.records.filter(({ event }) => event.type === "session_archived").length, 1);
  const busy = await archive(ada, true);
  assert.equal(busy.status, 400, "a session with work left");
  await owner.close();
});

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
  assert.equal(await isListed(sessionId), false, "the very next list is right");
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

test("no row comes back, however soon after its beginning a session is deleted", async () => {
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
  const listed = (await list("?limit=100")).filter(({ sessionId }) => ids.includes(sessionId));
  assert.deepEqual(listed, []);
});

test("a session that is deleted while the database is away is taken off the list when it is back", async () => {
  const sessionId = await newSession();
  const { DB } = await edge.worker.getEnv();
  await DB.prepare("ALTER TABLE sessions RENAME TO sessions_away").run();
  try {
    assert.equal((await ada.delete(`/api/sessions/${sessionId}`)).status, 200);
    assert.equal((await ada.get(`/api/sessions/${sessionId}/status`)).status, 404);
  } finally {
    await DB.prepare("ALTER TABLE sessions_away RENAME TO sessions").run();
  }
  await until(
    () => isListed(sessionId),
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
