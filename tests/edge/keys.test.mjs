/** Keys of the API: what they open, how they end, and how an extension gets one. */

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, beforeEach, test } from "node:test";
import { ADA, GRACE, prompt, read, startEdge } from "./support/edge.mjs";

const EXTENSION = "abcdefghijklmnopabcdefghijklmnop";
const FROM = { origin: `chrome-extension://${EXTENSION}` };

let edge;
let ada;
let grace;
before(async () => {
  edge = await startEdge({ vars: { EXTENSION_IDS: EXTENSION, OPERATORS: "grace" } });
  [ada, grace] = [await edge.client(ADA), await edge.client(GRACE)];
});
after(() => edge?.close());
beforeEach(() => edge.rows("DELETE FROM rate_counts"));

const ask = async (key, path, { method = "GET", value, headers = {} } = {}) =>
  read(
    await edge.server.fetch(path, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
      body: method === "GET" ? undefined : JSON.stringify(value ?? {}),
    }),
  );
async function make(client, value = {}) {
  const { status, body } = await client.post("/api/keys", {
    name: "tests",
    scope: "write",
    days: 1,
    ...value,
  });
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

test("a key is shown once, kept as a digest, and opens what its scope says", async () => {
  const { id, key, expiresAt } = await make(ada);
  assert.match(key, new RegExp(`^fhk_${id}_[0-9a-f]{64}$`));
  assert.ok(Math.abs(expiresAt - Date.now() - 86_400_000) < 60_000);
  assert.deepEqual((await ask(key, "/api/me")).body, ADA);
  const { status, body } = await ask(key, "/api/sessions", {
    method: "POST",
    value: { repository: "acme/shop" },
  });
  assert.equal(status, 201, "without origin and cookie");
  const path = `/api/sessions/${body.sessionId}`;
  assert.equal((await ask(key, `${path}/message`, { method: "POST", value: prompt("By key") })).status, 202);
  const { keys } = (await ada.get("/api/keys")).body;
  const listed = keys.find((row) => row.id === id);
  assert.deepEqual(
    { ...listed, createdAt: 0, usedAt: typeof listed.usedAt },
    {
      id,
      name: "tests",
      scope: "write",
      createdAt: 0,
      expiresAt,
      usedAt: "number",
    },
  );
  const rows = JSON.stringify(await edge.rows("SELECT * FROM api_keys"));
  assert.ok(!rows.includes(key.split("_")[2]), "only the digest is kept");
});

test("a key that may read changes nothing, not even over a socket", async () => {
  const { key } = await make(ada, { scope: "read" });
  const sessionId = await ada.newSession();
  assert.equal((await ask(key, `/api/sessions/${sessionId}/status`)).status, 200);
  assert.equal((await ask(key, "/api/sessions")).status, 200);
  for (const [method, path, value] of [
    ["POST", "/api/sessions", { repository: "acme/shop" }],
    ["POST", `/api/sessions/${sessionId}/message`, prompt("x")],
    ["PUT", `/api/sessions/${sessionId}/archived`, { archived: true }],
    ["DELETE", `/api/sessions/${sessionId}`],
    ["PUT", "/api/repositories/acme/shop/settings", {}],
  ]) {
    const { status, body } = await ask(key, path, { method, value });
    assert.deepEqual([status, body.code], [403, "forbidden"], `${method} ${path}`);
  }
  const ticket = (await ask(key, `/api/sessions/${sessionId}/ticket`, { method: "POST" })).body.ticket;
  const payload = JSON.parse(Buffer.from(ticket.split(".")[1], "base64url"));
  assert.equal(payload.read_only, true);
  const socket = new WebSocket(`${edge.origin.replace("http", "ws")}/api/sessions/${sessionId}/socket`, [
    "farhand.v1",
    `ticket.${ticket}`,
  ]);
  const refused = await new Promise((resolve, reject) => {
    socket.onerror = reject;
    socket.onopen = () => socket.send(JSON.stringify({ type: "prompt", prompt: prompt("not by this key") }));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "rejected") resolve(message.error);
    };
  });
  socket.close();
  assert.equal(refused.code, "forbidden");
});

test("no key makes, lists or revokes keys, or signs out everywhere", async () => {
  const { key } = await make(ada);
  for (const [method, path, value] of [
    ["GET", "/api/keys"],
    ["POST", "/api/keys", { name: "more", scope: "write", days: 1 }],
    ["DELETE", "/api/keys/0123456789abcdef"],
    ["POST", "/api/keys/grants", {}],
    ["POST", "/api/sign-out-everywhere", {}],
  ]) {
    const { status, body } = await ask(key, path, { method, value });
    assert.deepEqual([status, body.code], [403, "forbidden"], `${method} ${path}`);
  }
});

test("A45: a key that is revoked, over, changed or another's is one and the same nothing", async () => {
  const [revoked, over, good] = [await make(ada), await make(ada), await make(ada)];
  assert.equal((await ada.delete(`/api/keys/${revoked.id}`)).status, 200);
  assert.equal((await ada.delete(`/api/keys/${revoked.id}`)).status, 404, "a second time");
  assert.equal((await grace.delete(`/api/keys/${good.id}`)).status, 404, "another's");
  await edge.rows("UPDATE api_keys SET expires_at = ? WHERE key_id = ?", Date.now() - 1, over.id);
  const last = good.key.endsWith("0") ? "1" : "0";
  const answers = [];
  for (const key of [
    revoked.key,
    over.key,
    good.key.slice(0, -1) + last,
    good.key.slice(0, -1),
    `fhk_${good.id}_`,
    good.key.replace(good.id, revoked.id),
    `fhk_0123456789abcdef_${"0".repeat(64)}`,
    "fhk_' OR 1=1 --",
  ])
    answers.push(await ask(key, "/api/me", { headers: { cookie: ada.cookie } }));
  for (const { status, body } of answers) {
    assert.equal(status, 401);
    assert.deepEqual(body, answers[0].body);
  }
  assert.equal((await ask(good.key, "/api/me")).status, 200);
});

test("what is no key is refused with the remedy", async () => {
  for (const value of [
    {},
    { name: "", scope: "read", days: 1 },
    { name: "x".repeat(101), scope: "read", days: 1 },
    { name: "x", scope: "operate", days: 1 },
    { name: "x", scope: "read", days: 0 },
    { name: "x", scope: "read", days: 367 },
    { name: "x", scope: "read", days: 1.5 },
    { name: "x", scope: "read", days: 1, userId: GRACE.id },
    { name: "x", scope: "read", days: 1, id: "0123456789abcdef" },
  ]) {
    const { status, body } = await ada.post("/api/keys", value);
    assert.deepEqual([status, body.code], [400, "bad_request"], JSON.stringify(value));
  }
});

test("keys are made so often and no more", async () => {
  const statuses = [];
  for (let count = 0; count < 31; count += 1)
    statuses.push((await grace.post("/api/keys", { name: "x", scope: "read", days: 1 })).status);
  assert.deepEqual(statuses, [...Array(30).fill(201), 429]);
});

/** What an extension draws, and how it opens our page. */
function begin() {
  const verifier = randomBytes(32).toString("base64url");
  const challenge = createHash("sha256").update(verifier).digest("base64url");
  return { verifier, grant: { client: EXTENSION, challenge, state: "state-1" } };
}
const exchange = async (value, headers = FROM) =>
  read(
    await edge.server.fetch("/api/keys/exchange", {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(value),
    }),
  );
async function allow(grant) {
  const { status, body } = await ada.post("/api/keys/grants", grant);
  assert.equal(status, 200, JSON.stringify(body));
  const url = new URL(body.redirect);
  assert.equal(url.origin, `https://${EXTENSION}.chromiumapp.org`);
  assert.equal(url.searchParams.get("state"), "state-1");
  return url.searchParams.get("code");
}

test("an extension gets a key for whoever allows it, by a code that counts once", async () => {
  const { verifier, grant } = begin();
  const code = await allow(grant);
  const { status, body } = await exchange({ code, verifier });
  assert.equal(status, 201, JSON.stringify(body));
  assert.deepEqual((await ask(body.key, "/api/me", { headers: FROM })).body, ADA);
  assert.ok(Math.abs(body.expiresAt - Date.now() - 90 * 86_400_000) < 60_000);
  const again = await exchange({ code, verifier });
  assert.deepEqual([again.status, again.body.code], [401, "token_invalid"]);
  const rows = JSON.stringify(await edge.rows("SELECT * FROM key_grants"));
  assert.ok(!rows.includes(code));
});

test("a code is worth nothing without its verifier, after a minute, or for another extension", async () => {
  const first = begin();
  const code = await allow(first.grant);
  assert.equal((await exchange({ code, verifier: begin().verifier })).status, 401);
  assert.equal(
    (await exchange({ code, verifier: first.verifier })).status,
    401,
    "it is spent by the wrong one",
  );
  const second = begin();
  const late = await allow(second.grant);
  await edge.rows("UPDATE key_grants SET expires_at = ?", Date.now() - 1);
  assert.equal((await exchange({ code: late, verifier: second.verifier })).status, 401);
  const stranger = await ada.post("/api/keys/grants", {
    ...first.grant,
    client: EXTENSION.replace("a", "b"),
  });
  assert.deepEqual([stranger.status, stranger.body.code], [403, "forbidden"]);
  for (const wrong of [{ challenge: "x" }, { state: "a&b" }, { challenge: `${"x".repeat(42)}/` }]) {
    const { status } = await ada.post("/api/keys/grants", { ...first.grant, ...wrong });
    assert.equal(status, 400, JSON.stringify(wrong));
  }
});

test("no page of another origin exchanges codes, and no extension rides on a cookie", async () => {
  const { verifier, grant } = begin();
  const code = await allow(grant);
  for (const headers of [
    { origin: "https://evil.example" },
    { origin: `chrome-extension://${EXTENSION.replace("a", "b")}` },
    { ...FROM, cookie: ada.cookie },
  ]) {
    const { status, body } = await exchange({ code, verifier }, headers);
    assert.deepEqual([status, body.code], [403, "origin_refused"], JSON.stringify(headers));
  }
  assert.equal((await exchange({ code, verifier })).status, 201);
});

test("what was done with keys is in the audit log, which only operators read and nobody changes", async () => {
  const { id } = await make(ada);
  await ada.delete(`/api/keys/${id}`);
  const { status, body } = await grace.get("/api/operator/audit");
  assert.equal(status, 200);
  const deeds = body.entries.filter(({ target }) => target === id);
  assert.deepEqual(
    deeds.map(({ actor, action, detail }) => [actor, action, detail]),
    [
      [ADA.id, "key.revoke", ""],
      [ADA.id, "key.create", "write"],
    ],
  );
  assert.equal(
    (await grace.get(`/api/operator/audit?before=${deeds[1].id}`)).body.entries.some(
      (deed) => deed.target === id,
    ),
    false,
  );
  assert.equal((await ada.get("/api/operator/audit")).status, 403);
  for (const sql of ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
    await assert.rejects(edge.rows(sql), /append-only/);
});
