/** Many viewers: everyone gets everything once, also after sleep; who does not read harms nobody; who shouts is put out. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { startTurn, textItem } from "./support/runner.mjs";
import { connect, ticketOf, view } from "./support/viewer.mjs";

const SOCKETS = 1000;
const USERS = 40;
const AT_ONCE = 50;

let edge;
let ada;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
});
after(() => edge?.close());

const say = async (sessionId, text) => {
  const { status, body } = await ada.post(`/api/sessions/${sessionId}/message`, prompt(text));
  assert.equal(status, 202);
  return body.seq;
};
const someone = (number) => ({
  id: `usr_${number}`,
  login: `user${number}`,
  name: `User ${number}`,
  email: `user${number}@farhand.example`,
});

/** Does `work` for 0 to `count` - 1, some at once. */
async function many(count, work) {
  const done = [];
  for (let from = 0; from < count; from += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, index) => work(from + index));
    done.push(...(await Promise.all(some)));
  }
  return done;
}

test("the first event after sleep reaches a thousand sockets, once", async () => {
  const sessionId = await ada.newSession();
  const viewers = await many(SOCKETS, (number) =>
    connect(edge, ticketOf(edge, someone(number % USERS), sessionId), sessionId),
  );
  const first = await say(sessionId, "before the sleep");
  await Promise.all(viewers.map((viewer) => viewer.reach(first)));

  for (const text of ["after the first sleep", "after the second"]) {
    await edge.sleep(sessionId);
    const seq = await say(sessionId, text);
    await Promise.all(viewers.map((viewer) => viewer.reach(seq)));
  }
  const last = await say(sessionId, "behind everything");
  await Promise.all(viewers.map((viewer) => viewer.reach(last)));
  for (const viewer of viewers) {
    assert.deepEqual(viewer.faults, []);
    const texts = viewer.records
      .filter(({ event }) => event.type === "prompt_queued")
      .map(({ event }) => event.prompt.text);
    assert.deepEqual(texts, [
      "before the sleep",
      "after the first sleep",
      "after the second",
      "behind everything",
    ]);
  }
  const online = viewers.at(-1).frames.find(({ type }) => type === "presence").users;
  assert.equal(online.length, USERS, "each user is there once, however many sockets");
  await Promise.all(viewers.map((viewer) => viewer.close()));
});

test("who is there is right also right after sleep", async () => {
  const sessionId = await ada.newSession();
  const watcher = await view(edge, ada, sessionId);
  const open = (user) => connect(edge, ticketOf(edge, user, sessionId), sessionId);
  const [one, two] = [someone(1), someone(2)];
  const first = await open(one);
  const second = await open(one);
  const other = await open(two);
  const change = (kind, user, from) => () =>
    watcher.frame(
      (frame) =>
        frame.type === "presence_changed" &&
        watcher.frames.indexOf(frame) >= from &&
        frame[kind].includes(user.id),
    );
  await change("joined", one, 0)();
  await change("joined", two, 0)();

  await edge.sleep(sessionId);
  let from = watcher.frames.length;
  await first.close();
  await other.close();
  await change("left", two, from)();
  const told = watcher.frames.slice(from).filter(({ type }) => type === "presence_changed");
  assert.ok(!told.some(({ left }) => left.includes(one.id)), "one of two windows is left open");

  await edge.sleep(sessionId);
  from = watcher.frames.length;
  const back = await open(two);
  await change("joined", two, from)();
  const third = await open(someone(3));
  await third.frame(({ users, joined }) => (users ?? joined ?? []).includes(someone(3).id));
  const present = third.frames.flatMap(({ users, joined }) => users ?? joined ?? []);
  assert.deepEqual(new Set(present), new Set([ADA.id, one.id, two.id, someone(3).id]));

  await edge.sleep(sessionId);
  from = watcher.frames.length;
  await second.close();
  await change("left", one, from)();
  await back.close();
});

test("who writes is shown to the others", async () => {
  const sessionId = await ada.newSession();
  const watcher = await view(edge, ada, sessionId);
  const writer = await connect(edge, ticketOf(edge, GRACE, sessionId), sessionId);
  await edge.sleep(sessionId);
  writer.send({ type: "typing" });
  const typing = await watcher.frame(({ type }) => type === "typing");
  assert.equal(typing.userId, GRACE.id);
  await writer.close();
});

/** Text of one turn, in items and pieces that fit their limits. */
async function flood(runner, turn, bytes, name) {
  const piece = "x".repeat(48 * 1024);
  for (let sent = 0, item = 0; sent < bytes; item += 1) {
    const id = `itm_${name}${item}`;
    const events = [textItem(turn.turnId, id, "")];
    for (let offset = 0; offset < 4 * piece.length && sent < bytes; offset += piece.length) {
      events.push({ type: "item_appended", itemId: id, offset, text: piece });
      sent += piece.length;
    }
    assert.equal((await runner.report(...events)).status, 200);
  }
  await runner.report(textItem(turn.turnId, `itm_${name}end`, "the end", true));
}

const isEnd =
  (name) =>
  ({ event }) =>
    event.type === "item_changed" && event.item.id === `itm_${name}end`;

test("who does not read is told once and gets no more until it comes back; others get everything", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, ada, "Write a lot");
  const fast = await view(edge, ada, sessionId);
  const slow = await view(edge, ada, sessionId, { acks: false });
  await flood(runner, turn, 3 * 1024 * 1024, "a");
  await fast.record(isEnd("a"), "the end of the flood");
  await slow.settle();
  const lags = slow.frames.filter(({ type }) => type === "lagging");
  assert.equal(lags.length, 1);
  const sent = slow.frames.reduce((sum, frame) => sum + JSON.stringify(frame).length, 0);
  assert.ok(sent <= 1.25 * 1024 * 1024, `${sent} bytes without an acknowledgement`);
  assert.ok(slow.state.seq < fast.state.seq);
  assert.deepEqual(slow.faults, []);

  // Neither sleep nor what follows changes that.
  await edge.sleep(sessionId);
  await flood(runner, turn, 64 * 1024, "b");
  await fast.record(isEnd("b"), "the end of the second flood");
  await slow.settle();
  const after = slow.frames.slice(slow.frames.indexOf(lags[0]) + 1);
  assert.deepEqual(
    after.filter(({ type }) => type !== "rejected"),
    [],
  );

  slow.send({ type: "subscribe", since: slow.state.seq });
  await slow.frame(({ type }) => type === "caught_up", "the rest");
  assert.deepEqual(slow.state, fast.state);
  await flood(runner, turn, 64 * 1024, "c");
  await slow.record(isEnd("c"), "what comes after");
  await fast.record(isEnd("c"), "what comes after");
  assert.deepEqual(slow.state, fast.state);
  assert.deepEqual([...slow.faults, ...fast.faults], []);
  assert.ok(!fast.frames.some(({ type }) => type === "lagging"));
  await fast.close();
  await slow.close();
});

test("who sends too many frames is refused, then put out; others are heard", async () => {
  const sessionId = await ada.newSession();
  const other = await view(edge, ada, sessionId);
  const shouting = await connect(edge, ticketOf(edge, GRACE, sessionId), sessionId);
  for (let count = 0; count < 1000; count += 1) shouting.send({ type: "typing" });
  assert.equal(await shouting.closed(), 4029);
  const refused = shouting.frames.filter(({ type }) => type === "rejected");
  assert.ok(refused.length > 0, "it is told before");
  assert.ok(refused.every(({ error }) => error.code === "rate_limited"));
  const text = prompt("I am calm");
  other.send({ type: "prompt", prompt: text });
  await other.frame(({ type, promptId }) => type === "prompt_accepted" && promptId === text.id);
  assert.deepEqual(other.faults, []);
  await other.close();
});
