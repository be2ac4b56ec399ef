/** Tickets and WebSockets: who gets in, and what a viewer is told. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, SESSION_KEY, startEdge } from "./support/edge.mjs";
import { claims, jwt } from "./support/sign.mjs";
import { handshake, view } from "./support/viewer.mjs";

let edge;
let ada;
let sessionId;
let otherId;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
  for (const set of [(id) => (sessionId = id), (id) => (otherId = id)]) {
    const { body } = await ada.post("/api/sessions", { repository: "acme/shop" });
    set(body.sessionId);
  }
});
after(() => edge?.close());

const socketPath = (id = sessionId) => `/api/sessions/${id}/socket`;
const offer = (ticket) => ({ "sec-websocket-protocol": `farhand.v1, ticket.${ticket}` });

/** How a socket that was let in ends: its close code, or `open` after a `subscribe` was answered. */
function fate(ticket, { origin = edge.origin, id = sessionId } = {}) {
  return new Promise((resolve, reject) => {
    const headers = origin ? { origin } : {};
    const url = edge.origin.replace("http", "ws") + socketPath(id);
    const socket = new WebSocket(url, { protocols: ["farhand.v1", `ticket.${ticket}`], headers });
    const timer = setTimeout(() => reject(new Error("the socket neither closed nor answered")), 10_000);
    const end = (value) => {
      clearTimeout(timer);
      socket.close();
      resolve(value);
    };
    socket.addEventListener("open", () => socket.send('{"type":"subscribe"}'));
    socket.addEventListener("message", () => end("open"));
    socket.addEventListener("close", ({ code }) => end(code));
    socket.addEventListener("error", () => end("refused"));
  });
}

test("A08: a ticket opens one socket", async () => {
  const { body } = await ada.post(`/api/sessions/${sessionId}/ticket`);
  assert.ok(body.expiresAt - Date.now() <= 60_000 && body.expiresAt > Date.now());
  const first = await handshake(edge.origin, socketPath(), { origin: edge.origin, ...offer(body.ticket) });
  assert.equal(first.status, 101);
  assert.equal(first.headers["sec-websocket-protocol"], "farhand.v1");
  assert.equal(await fate(body.ticket), 4001, "a second socket for the same ticket");
});

test("A08: twenty tries with one ticket at once open one socket", async () => {
  const ticket = await ada.ticket(sessionId);
  const fates = await Promise.all(Array.from({ length: 20 }, () => fate(ticket)));
  assert.equal(fates.filter((end) => end === "open").length, 1, JSON.stringify(fates));
  assert.equal(fates.filter((end) => end === 4001).length, 19, JSON.stringify(fates));
});

test("A08: a ticket that is not for this is worth nothing", async () => {
  const good = { jti: "0".repeat(32), user: ADA, session_id: sessionId, origin: edge.origin };
  const sign = (changed, times) => jwt(SESSION_KEY, claims("socket", { ...good, ...changed }, times));
  assert.equal(await fate(sign({ jti: "1".repeat(32) })), "open", "the forger of this test knows how");
  const now = Date.now();
  const bad = {
    "another session": [await ada.ticket(otherId)],
    "the other way round": [await ada.ticket(sessionId), { id: otherId }],
    expired: [sign({}, { issuedAt: now - 61_000, expiresAt: now - 1000 })],
    "from the future": [sign({}, { issuedAt: now + 120_000 })],
    "another page": [sign({ origin: "https://other.example" })],
    "a page's ticket without a page": [await ada.ticket(sessionId), { origin: null }],
    "a cookie": [ada.cookie.split("=")[1]],
    "another key": [jwt("another-key-another-key-another-key-1", claims("socket", good))],
    "no algorithm": [jwt(SESSION_KEY, claims("socket", good), { header: { alg: "none" } })],
    nothing: ["x"],
  };
  for (const [what, [ticket, options]] of Object.entries(bad))
    assert.equal(await fate(ticket, options), 4001, what);
});

test("A09: no page of another origin gets a socket, whatever it carries", async () => {
  for (const origin of ["https://evil.example", "null", `${edge.origin}.evil.example`, "file://"]) {
    const ticket = await ada.ticket(sessionId);
    const answer = await handshake(edge.origin, socketPath(), {
      origin,
      cookie: ada.cookie,
      ...offer(ticket),
    });
    assert.deepEqual([answer.status, answer.body.code], [403, "origin_refused"], origin);
    assert.equal(await fate(ticket), "open", "the ticket is not spent by it");
  }
  const missing = await handshake(edge.origin, socketPath(), {
    cookie: ada.cookie,
    ...offer(await ada.ticket(sessionId)),
  });
  assert.deepEqual([missing.status, missing.body.code], [403, "origin_refused"]);
});

test("A08: a cookie alone opens no socket, nor does a ticket in the URL", async () => {
  const ticket = await ada.ticket(sessionId);
  const headers = { origin: edge.origin, cookie: ada.cookie, "sec-websocket-protocol": "farhand.v1" };
  for (const path of [socketPath(), `${socketPath()}?ticket=${ticket}`]) {
    const frames = await new Promise((resolve, reject) => {
      const socket = new WebSocket(edge.origin.replace("http", "ws") + path, {
        protocols: ["farhand.v1"],
        headers,
      });
      socket.addEventListener("close", ({ code }) => resolve(code));
      socket.addEventListener("message", reject);
    });
    assert.equal(frames, 4001);
  }
});

test("a viewer gets the state, then everything live, and others are seen", async () => {
  const first = await view(edge, ada, sessionId);
  const snapshot = await first.frame(({ type }) => type === "snapshot", "the snapshot");
  assert.equal(snapshot.snapshot.session.id, sessionId);
  const grace = await edge.client(GRACE);
  const second = await view(edge, grace, sessionId);
  await first.frame(
    ({ type, joined }) => type === "presence_changed" && joined.includes(GRACE.id),
    "the other one's presence",
  );
  const joined = await first.record(
    ({ event }) => event.participant?.userId === GRACE.id,
    "the other one's joining",
  );
  assert.equal(joined.event.participant.name, GRACE.name, "a name in any script arrives whole");
  assert.equal(joined.event.participant.email, undefined, "addresses are not shown to other participants");

  const text = prompt("Fix it");
  second.send({ type: "prompt", prompt: text });
  const accepted = await second.frame(
    ({ type, promptId }) => type === "prompt_accepted" && promptId === text.id,
  );
  for (const viewer of [first, second]) {
    const queued = await viewer.record(
      ({ event }) => event.type === "prompt_queued" && event.prompt.id === text.id,
    );
    assert.equal(queued.event.prompt.author, GRACE.id);
    assert.equal(queued.seq, accepted.seq);
  }
  assert.deepEqual([...first.faults, ...second.faults], [], "no gap and no repeat");
  first.send("ping");
  await first.frame((frame) => /^pong/.test(frame), "the answer to a ping");
  await first.close();
  await second.close();
});

test("who comes back gets exactly what was missed", async () => {
  const viewer = await view(edge, ada, otherId);
  const { seq } = await viewer.frame(({ type }) => type === "snapshot", "the snapshot");
  await viewer.close();
  for (let count = 0; count < 3; count += 1) {
    assert.equal((await ada.post(`/api/sessions/${otherId}/message`, prompt(`number ${count}`))).status, 202);
  }
  const { body: status } = await ada.get(`/api/sessions/${otherId}/status`);
  const back = await view(edge, ada, otherId, { since: seq });
  const caughtUp = await back.frame(({ type }) => type === "caught_up", "the end of the replay");
  assert.ok(caughtUp.seq >= status.seq);
  const seqs = back.records.map((record) => record.seq);
  assert.deepEqual(
    seqs.slice(0, caughtUp.seq - seq),
    Array.from({ length: caughtUp.seq - seq }, (_, index) => seq + 1 + index),
  );
  assert.ok(!back.frames.some(({ type }) => type === "snapshot"));
  await back.close();
});

test("frames that are none are refused", async () => {
  const viewer = await view(edge, ada, sessionId);
  viewer.send({ type: "from_the_future" });
  viewer.send({ type: "prompt", prompt: prompt(" ") });
  viewer.send({ type: "prompt", prompt: { ...prompt("x"), author: GRACE.id } });
  await viewer.frame(({ error }) => error?.code === "prompt_empty");
  await viewer.frame(({ error }) => error?.code === "bad_request");
  viewer.send("not JSON");
  assert.equal(await viewer.closed(), 4008);
});

test("A08: no ticket and no cookie is in the log", async () => {
  const log = JSON.stringify(edge.server.getLogs());
  assert.ok(!/eyJ[\w-]+\.[\w-]+/.test(log), log.slice(0, 2000));
});
