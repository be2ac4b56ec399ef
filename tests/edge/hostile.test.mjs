/** Frames of hostile clients: each gets a typed refusal or a close code at once, changes nothing, and is felt by nobody else. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { openRaw } from "./support/raw-socket.mjs";
import { startTurn } from "./support/runner.mjs";
import { connect, ticketOf, view } from "./support/viewer.mjs";

/** How long an answer to a frame may take, also on a busy machine. */
const ANSWER_MS_MAX = 5000;
const CODES = [1007, 1009, 4008];

let edge;
let ada;
/** The session under attack, in which a turn runs and a prompt waits; and one beside it. */
let victim;
let bystander;
let waiting;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
  victim = await startTurn(edge, ada, "Work");
  waiting = prompt("I wait");
  assert.equal((await ada.post(`/api/sessions/${victim.sessionId}/message`, waiting)).status, 202);
  const other = await ada.post("/api/sessions", { repository: "acme/shop" });
  bystander = await view(edge, ada, other.body.sessionId);
});
after(() => edge?.close());

const json = JSON.stringify;
const nested = (depth) => `${"[".repeat(depth)}${"]".repeat(depth)}`;

/** For a field: values that are not what it takes. */
const NOT_TEXT = ["null", "7", "true", "[]", "{}", '{"toString":"x"}'];
const NOT_NUMBER = ['"1"', "-1", "1.5", "1e400", "[]", "{}", "true", "18446744073709551616"];
const notId = (prefix) => [
  ...NOT_TEXT,
  '""',
  '"x"',
  json(`${prefix}_`),
  json(`${prefix}_A`),
  json(`${prefix}_../../x`),
  json(`${prefix}_a\u0000b`),
  json(`${prefix}_${"a".repeat(100)}`),
  json(prefix === "usr" ? "prm_a" : "usr_ada"),
];

/** One good frame of each kind, and for each of its fields what does not belong there. */
function wrongFields() {
  const text = prompt("x");
  const kinds = [
    ["ack", { seq: 1 }, { seq: [...NOT_NUMBER, "null"] }],
    ["subscribe", { since: 1 }, { since: NOT_NUMBER }],
    ["cancel_prompt", { promptId: text.id }, { promptId: notId("prm") }],
    ["edit_prompt", { promptId: text.id, text: "x" }, { promptId: notId("prm"), text: NOT_TEXT }],
    ["move_prompt", { promptId: text.id }, { promptId: notId("prm"), before: notId("prm").slice(1) }],
    [
      "set_role",
      { userId: GRACE.id, role: "viewer" },
      { userId: notId("usr"), role: [...NOT_TEXT, '"admin"'] },
    ],
    [
      "rename",
      { title: "x" },
      { title: [...NOT_TEXT, '""', '" "', json("x".repeat(81)), '"a\\nb"', '"a\\u0000b"'] },
    ],
    ["stop", { turnId: "trn_1" }, { turnId: notId("trn") }],
    ["prompt", { prompt: text }, { prompt: ["null", "7", "[]", "{}", '"x"', nested(100)] }],
  ];
  const cases = [];
  for (const [type, good, fields] of kinds) {
    for (const [field, values] of Object.entries(fields)) {
      for (const value of values)
        cases.push([
          `${type} with ${field} ${value.slice(0, 40)}`,
          frameWith({ type, ...good }, field, value),
        ]);
      if (field !== "since" && field !== "before")
        cases.push([`${type} without ${field}`, json({ type, ...good, [field]: undefined })]);
    }
  }
  const inner = {
    id: notId("prm"),
    text: [...NOT_TEXT, '""', '" \\n\\t "'],
    origin: NOT_TEXT,
    delivery: NOT_TEXT,
  };
  inner.model = [...NOT_TEXT.slice(1), '""', '"no/such"'];
  for (const [field, values] of Object.entries(inner)) {
    for (const value of values) {
      const changed = frameWith(prompt("x"), field, value);
      cases.push([`prompt.${field} ${value.slice(0, 40)}`, `{"type":"prompt","prompt":${changed}}`]);
    }
  }
  return cases;
}

/** A frame whose `field` is the very text `value`, which no JavaScript value might stand for. */
function frameWith(frame, field, value) {
  return json({ ...frame, [field]: "\u0001" }).replace(json("\u0001"), () => value);
}

/** What is wrong as a whole. */
function wrongFrames() {
  const text = () => prompt("x");
  const extra = (more) => json({ type: "prompt", prompt: { ...text(), ...more } });
  return [
    ["nothing", ""],
    ["a space", " "],
    ["NUL", "\u0000"],
    ["NUL in JSON", '{"type":"stop"\u0000}'],
    ["a word", "hello"],
    ["almost a ping", "ping "],
    ["half", '{"type":'],
    ["two frames", '{"type":"typing"}{"type":"typing"}'],
    ["null", "null"],
    ["a number", "7"],
    ["a huge number", "9".repeat(10_000)],
    ["a text", '"typing"'],
    ["a list", '[{"type":"typing"}]'],
    ["no type", "{}"],
    ["an unknown type", '{"type":"become_owner"}'],
    ["type null", '{"type":null}'],
    ["type number", '{"type":7}'],
    ["type list", '{"type":["typing"]}'],
    ["type in capitals", '{"type":"TYPING"}'],
    ["a frame of the server", '{"type":"prompt_accepted","promptId":"prm_1","seq":1}'],
    ["an event", '{"type":"event","seq":999,"at":1,"event":{"type":"session_archived","by":"usr_ada"}}'],
    ["type __proto__", '{"type":"__proto__"}'],
    ["type constructor", '{"type":"constructor"}'],
    ["a prototype", '{"__proto__":{"type":"typing"}}'],
    ["a constructor", '{"constructor":{"prototype":{"type":"typing"}}}'],
    [
      "a prompt with a prototype",
      `{"type":"prompt","prompt":{"__proto__":{"role":"owner"},${json(text()).slice(1)}}`,
    ],
    ["an author", extra({ author: GRACE.id })],
    ["a role", extra({ role: "owner" })],
    ["a state", extra({ state: "done" })],
    ["a number of one's own", extra({ seq: 1, submittedAt: 1 })],
    ["another session", extra({ sessionId: bystander.state.snapshot.session.id })],
    ["a lone surrogate, escaped", '{"type":"rename","title":"\\ud800"}'],
    ["a lone surrogate in a prompt", extra({ text: "\u0001" }).replace("\\u0001", "a\\udc00b")],
    ["half an escape", '{"type":"rename","title":"\\u00"}'],
    ["a bad escape", '{"type":"rename","title":"\\x41"}'],
    ["depth 200", nested(200)],
    ["depth 10,000", nested(10_000)],
    ["depth 10,000 in a frame", `{"type":"rename","title":${nested(10_000)}}`],
    ["depth 10,000 of objects", `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`],
    ["100,000 keys", `{${Array.from({ length: 20_000 }, (_, n) => `"k${n}":1`).join(",")}}`],
    ["a prompt of 64 KiB and a byte", json({ type: "prompt", prompt: prompt("x".repeat(64 * 1024 + 1)) })],
    ["a frame of 257 KiB", json({ type: "rename", title: "x".repeat(257 * 1024) })],
    ["a frame of 4 MiB", json({ type: "prompt", prompt: prompt("x".repeat(4 * 1024 * 1024)) })],
    ["4 MiB of nothing", " ".repeat(4 * 1024 * 1024)],
    ["bytes", new Uint8Array([0, 1, 2, 255])],
    ["bytes that are JSON", new TextEncoder().encode('{"type":"rename","title":"x"}')],
    ["no bytes", new Uint8Array()],
    ["4 MiB of bytes", new Uint8Array(4 * 1024 * 1024)],
    ["a foreign prompt", '{"type":"cancel_prompt","promptId":"prm_ofsomebodyelse"}'],
    ["a foreign prompt to edit", '{"type":"edit_prompt","promptId":"prm_ofsomebodyelse","text":"x"}'],
    ["a foreign prompt to move", '{"type":"move_prompt","promptId":"prm_ofsomebodyelse"}'],
    ["a foreign place", json({ type: "move_prompt", promptId: waiting.id, before: "prm_ofsomebodyelse" })],
    ["another's prompt to edit", json({ type: "edit_prompt", promptId: waiting.id, text: "mine" })],
    ["a taken id", json({ type: "prompt", prompt: { ...waiting, text: "other" } })],
    ["a foreign turn", '{"type":"stop","turnId":"trn_ofanothersession"}'],
    ["a foreign user", '{"type":"set_role","userId":"usr_nobody","role":"viewer"}'],
    ["a role for oneself", json({ type: "set_role", userId: GRACE.id, role: "owner" })],
    ["the owner's role", json({ type: "set_role", userId: ADA.id, role: "viewer" })],
  ];
}

const status = async () => (await ada.get(`/api/sessions/${victim.sessionId}/status`)).body;

/** Sends one frame on a socket of its own; answers the refusal or the close code, whichever comes. */
async function attack(payload) {
  const viewer = await connect(edge, ticketOf(edge, GRACE, victim.sessionId), victim.sessionId);
  const begin = performance.now();
  viewer.socket.send(payload);
  const end = await viewer.verdict();
  const ms = performance.now() - begin;
  await viewer.close();
  return { end, ms };
}

async function endure(cases) {
  // Grace has joined before the numbers are taken.
  await (await connect(edge, ticketOf(edge, GRACE, victim.sessionId), victim.sessionId)).close();
  const untouched = await status();
  for (const [index, [what, payload]] of cases.entries()) {
    if (index % 25 === 0) await victim.runner.report({ type: "heartbeat" });
    const { end, ms } = await attack(payload);
    assert.ok(CODES.includes(end) || /^[a-z_]+$/.test(end), `${what}: ${end}`);
    assert.ok(ms < ANSWER_MS_MAX, `${what}: ${ms} ms`);
    assert.deepEqual(await status(), untouched, what);
  }
  await bystander.settle();
  assert.equal(bystander.records.length, 0, "the session beside it has felt nothing");
  const logs = edge.server.getLogs().filter(({ level }) => level === "error");
  assert.deepEqual(logs, []);
}

test("a field with a wrong value is refused, whichever it is", async () => {
  await endure(wrongFields());
});

test("a frame that is wrong as a whole is refused or ends its socket", async () => {
  await endure(wrongFrames());
});

test("text that is no text is refused or ends its socket", async () => {
  const untouched = await status();
  const surrogate = [0xed, 0xa0, 0x80];
  for (const bytes of [[0xff], surrogate, [0xc0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]) {
    const frame = Buffer.concat([
      Buffer.from('{"type":"stop","turnId":"trn_'),
      Buffer.from(bytes),
      Buffer.from('"}'),
    ]);
    const raw = await openRaw(edge, ticketOf(edge, GRACE, victim.sessionId), victim.sessionId);
    raw.sendText(frame);
    const end = await raw.verdict();
    assert.ok(CODES.includes(end) || ["broken", "bad_request"].includes(end), `${bytes}: ${end}`);
    raw.close();
    assert.deepEqual(await status(), untouched, `${bytes}`);
  }
});

test("what a frame says beside its own fields counts for nothing", async () => {
  const viewer = await connect(edge, ticketOf(edge, GRACE, victim.sessionId), victim.sessionId);
  const untouched = await status();
  const mass = { role: "owner", userId: ADA.id, by: ADA.id, author: ADA.id, seq: 1 };
  viewer.send({ type: "subscribe", ...mass });
  viewer.send({ type: "typing", ...mass });
  viewer.send({ type: "ack", ...mass, seq: Number.MAX_SAFE_INTEGER });
  viewer.send({ type: "subscribe", since: Number.MAX_SAFE_INTEGER });
  await viewer.settle();
  assert.deepEqual(await status(), untouched);
  const typing = viewer.frames.filter(({ type }) => type === "typing");
  assert.ok(typing.every(({ userId }) => userId === GRACE.id));
  const grace = viewer.state.snapshot.participants.find(({ userId }) => userId === GRACE.id);
  assert.equal(grace.role, undefined, "a driver as before");
  await viewer.close();
});

test("text of any kind is kept as it is", async () => {
  const viewer = await view(edge, ada, bystander.state.snapshot.session.id);
  const texts = [
    "a\u0000b",
    "\u0007\u001b[31m",
    "\ufeff\u202e",
    "\ud83d\ude00".repeat(1000),
    '{"type":"stop"}',
    "\uffff",
  ];
  for (const text of texts) {
    const sent = prompt(text);
    viewer.send({ type: "prompt", prompt: sent });
    await viewer.frame(
      ({ type, promptId }) => type === "prompt_accepted" && promptId === sent.id,
      json(text),
    );
  }
  // A lone surrogate cannot travel: the client's WebSocket replaces it.
  await edge.sleep(bystander.state.snapshot.session.id);
  const back = await view(edge, ada, bystander.state.snapshot.session.id);
  assert.deepEqual(
    back.state.snapshot.prompts.map(({ text }) => text),
    texts,
  );
  await back.close();
  await viewer.close();
});

test("the session lives on: its prompt waits, its turn runs, its people work", async () => {
  const { runner, turn } = victim;
  assert.equal((await status()).queuedPrompts, 1);
  const answer = await runner.report({ type: "heartbeat" });
  assert.equal(answer.status, 200);
  const viewer = await view(edge, ada, victim.sessionId);
  viewer.send({ type: "stop", turnId: turn.turnId });
  const stop = await viewer.record(({ event }) => event.type === "stop_requested");
  assert.equal(stop.event.by, ADA.id);
  await viewer.close();
});
