/** What is stored about a person: all of it told to that person, and all of it removed, however often the Worker is killed meanwhile. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, read, startEdge } from "./support/edge.mjs";
import { startRunner, startTurn, textItem, toolItem, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

/** Longer than nothing may come late, so that it is done. */
const LONG_MS = 3_600_000;

let edge;
let ada;
let grace;
before(async () => {
  edge = await startEdge({ vars: { OPERATORS: GRACE.login } });
  ada = await edge.client(ADA);
  grace = await edge.client(GRACE);
});
after(() => edge?.close());

const cron = () => edge.worker.scheduled({ cron: "* * * * *" });
const erasures = async () => (await grace.get("/api/operator/erasures")).body.erasures;

/** Every row of the index that fits, as text. */
async function findInIndex(fits) {
  const tables = await edge.rows(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' AND name <> 'd1_migrations'",
  );
  const found = [];
  for (const { name } of tables)
    for (const row of await edge.rows(`SELECT * FROM ${name}`)) {
      const text = JSON.stringify(row);
      if (fits(text)) found.push(`${name}: ${text}`);
    }
  return found;
}

/** The same of a session's own tables. */
async function findInSession(sessionId, fits) {
  const tables = await edge.sessionRows(
    sessionId,
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'",
  );
  const found = [];
  for (const { name } of tables)
    for (const row of await edge.sessionRows(sessionId, `SELECT * FROM ${name}`)) {
      const text = JSON.stringify(row);
      if (fits(text)) found.push(`${name}: ${text}`);
    }
  return found;
}

const namesAda = (text) => [ADA.id, ADA.name, ADA.email, '"ada"'].some((word) => text.includes(word));

/** The session as somebody sees it who opens it. */
async function load(client, sessionId) {
  const viewer = await view(edge, client, sessionId);
  const { snapshot } = await viewer.frame(({ type }) => type === "snapshot");
  await viewer.close();
  return snapshot;
}

/** Lets so much time go by that what comes late has come, and goes on until the newest removal is over. */
async function finish() {
  const done = await until(
    async () => {
      await edge.rows("UPDATE erasures SET next_at = 0, quiet_since = quiet_since - ?", LONG_MS);
      await cron();
      return erasures();
    },
    (list) => list.every(({ state }) => state === "done"),
    "the end of the removal",
    30_000,
  );
  return done.toSorted((a, b) => b.requestedAt - a.requestedAt)[0];
}

/** A session that is Ada's alone, with a sandbox and an artifact; one that Grace is in, too; and a key. */
async function populate() {
  const own = await startTurn(edge, ada, "Ada's own");
  await own.runner.report(toolItem(own.turn.turnId, "itm_big", "x".repeat(100 * 1024)));
  await until(
    () => edge.artifactKeys(`sessions/${own.sessionId}/`),
    ({ length }) => length > 0,
    "the stored output",
  );
  const shared = await startTurn(edge, ada, "Between Ada and Grace");
  await shared.runner.report(textItem(shared.turn.turnId, "itm_1", "Done.", true), turnEnded(shared.turn));
  const viewer = await view(edge, grace, shared.sessionId);
  const answer = await grace.post(
    `/api/sessions/${shared.sessionId}/message`,
    prompt("And this, from Grace"),
  );
  assert.equal(answer.status, 202);
  viewer.socket.close();
  await until(
    () => edge.rows("SELECT user_id FROM session_people WHERE session_id = ?", shared.sessionId),
    ({ length }) => length === 2,
    "both in the metrics",
  );
  const { key } = (await ada.post("/api/keys", { name: "laptop of ada", scope: "write", days: 1 })).body;
  return { own, shared, key };
}

/** Nothing is left of Ada, but whom she was with has it all. */
async function checkGone({ own, shared }) {
  assert.deepEqual(await findInIndex(namesAda), []);
  assert.deepEqual(await findInSession(shared.sessionId, namesAda), []);
  assert.deepEqual(await findInSession(own.sessionId, () => true), [], "the storage was given back");
  assert.deepEqual(await edge.artifactKeys(`sessions/${own.sessionId}/`), []);
  const snapshot = await load(grace, shared.sessionId);
  assert.deepEqual(snapshot.prompts.map(({ text }) => text).sort(), [
    "And this, from Grace",
    "Between Ada and Grace",
  ]);
  const removed = snapshot.participants.find(({ name }) => name === "Removed person");
  assert.equal(snapshot.prompts.find(({ text }) => text.startsWith("Between")).author, removed.userId);
  assert.equal(snapshot.participants.find(({ login }) => login === "grace").role, "owner");
}

test("an export has what is stored about a person, and no secret", async () => {
  const { own, shared } = await populate();
  const answer = await ada.get("/api/me/export");
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get("content-type"), /^application\/x-ndjson/);
  assert.match(answer.headers.get("content-disposition"), /farhand-usr_ada\.ndjson/);
  const lines = answer.text.trimEnd().split("\n").map(JSON.parse);
  assert.equal(lines[0].export.user, ADA.id);
  assert.deepEqual(lines.at(-1), { end: { complete: true, after: null } });
  const tables = new Set(lines.map(({ table }) => table).filter(Boolean));
  for (const table of ["users", "sessions", "sign_ins", "api_keys", "session_people", "audit"])
    assert.ok(tables.has(table), table);
  const of = (id, kind) => lines.filter((line) => line.sessionId === id && line.kind === kind);
  assert.deepEqual(
    of(own.sessionId, "prompt").map(({ row }) => row.text),
    ["Ada's own"],
  );
  assert.deepEqual(
    of(shared.sessionId, "prompt").map(({ row }) => row.text),
    ["Between Ada and Grace"],
    "nothing that Grace wrote",
  );
  const secrets = await edge.rows(
    "SELECT secret_hash AS secret FROM api_keys UNION SELECT token_hash FROM refresh_tokens",
  );
  for (const { secret } of secrets) assert.ok(!answer.text.includes(secret));

  const other = await grace.get(`/api/operator/people/${ADA.id}/export`);
  assert.equal(other.status, 200);
  assert.ok(other.text.includes("Ada's own"));
  assert.equal((await grace.get("/api/operator/people/usr_nobody/export")).status, 404);
  assert.equal((await ada.get(`/api/operator/people/${GRACE.id}/export`)).status, 403);
  for (const id of [own.sessionId, shared.sessionId]) await ada.delete(`/api/sessions/${id}`);
});

test("who is removed is nowhere any more, and what others need is nobody's", async () => {
  const stage = await populate();
  const socket = await view(edge, ada, stage.shared.sessionId);
  const users = async () => (await grace.get("/api/metrics")).body.adoption;
  const before = await users();
  const path = `/api/operator/people/${ADA.id}/erasure`;
  assert.equal((await grace.post(path, { login: "grace" })).status, 400, "it is not that login");
  assert.equal((await grace.post("/api/operator/people/usr_nobody/erasure", { login: "x" })).status, 404);

  const answer = await grace.post(path, { login: "ada" });
  assert.equal(answer.status, 202);
  assert.equal(answer.body.erasures[0].login, "ada");
  assert.equal(answer.body.erasures[0].requestedBy, GRACE.name);
  assert.equal(await socket.closed(), 4001);
  assert.equal((await ada.get("/api/me")).status, 401);
  const bearer = { headers: { authorization: `Bearer ${stage.key}` } };
  assert.equal((await edge.server.fetch("/api/me", bearer)).status, 401);
  await assert.rejects(edge.client(ADA), /403/, "not before it is done");
  assert.equal((await grace.post("/api/operator/removals", { login: "ada", removed: false })).status, 200);
  await assert.rejects(edge.client(ADA), /403/, "no operator lets half of somebody back in");
  assert.equal((await grace.post(path, { login: "ada" })).status, 202, "twice is once");

  const done = await finish();
  assert.deepEqual([done.login, done.sessionsLeft, done.sessionsRewritten, done.problem], [null, 0, 1, null]);
  assert.ok(done.rows.users === 1 && done.rows.session_people >= 2, JSON.stringify(done.rows));
  await checkGone(stage);
  await edge.bridge.request(
    ({ path }) => path === `/sandboxes/${stage.own.runner.sandboxId}/terminated`,
    "the end of her sandbox",
  );
  assert.deepEqual(await users(), before, "as many people as before");

  ada = await edge.client(ADA);
  assert.deepEqual(
    (await ada.list()).filter(({ createdBy }) => createdBy === ADA.id),
    [],
    "somebody new",
  );
  await load(ada, stage.shared.sessionId);
  const roles = "SELECT role FROM participants WHERE user_id = 'usr_ada'";
  assert.deepEqual(await edge.sessionRows(stage.shared.sessionId, roles), [{ role: "driver" }]);
});

test("a removal that is cut anywhere is done by whoever comes next", async () => {
  const stage = await populate();
  // The sandbox cannot be ended yet, so that the session is half gone when the Worker is killed.
  edge.bridge.gate.close();
  assert.equal((await ada.post("/api/me/erasure", { login: "ada" })).status, 202);
  const [half] = await erasures();
  assert.equal(half.state, "working");
  assert.ok(half.sessionsLeft >= 1, JSON.stringify(half));
  assert.equal(half.requestedBy, null, "herself");
  await edge.restart();
  edge.bridge.gate.open();
  grace = await edge.client(GRACE);
  assert.equal((await ada.get("/api/me")).status, 401);
  await cron();
  await edge.rows("UPDATE erasures SET next_at = 0");
  // In the middle of whatever it does.
  const cut = cron().catch(() => {});
  await edge.restart();
  await cut;
  grace = await edge.client(GRACE);
  await finish();
  await checkGone(stage);
});

test("a removal of which nothing but its row was written is done, too", async () => {
  ada = await edge.client(ADA);
  const { sessionId } = await startRunner(edge, ada, "Alone");
  await edge.rows(
    "INSERT INTO erasures (pseudonym, user_id, requested_by, requested_at, next_at, quiet_since) VALUES ('usr_removed_cut', ?, 'usr_removed_cut', 9e12, 0, 0)",
    ADA.id,
  );
  await cron();
  assert.equal((await ada.get("/api/me")).status, 401);
  await finish();
  assert.deepEqual(await findInIndex(namesAda), []);
  assert.deepEqual(await findInSession(sessionId, () => true), []);
});

test("the last who runs the deployment stays", async () => {
  const answer = await grace.post("/api/me/erasure", { login: "grace" });
  assert.deepEqual([answer.status, answer.body.code], [403, "forbidden"]);
  assert.match(answer.body.message, /name another operator/);
  assert.equal((await grace.get("/api/me")).status, 200);
  assert.equal((await read(await edge.server.fetch("/api/me/export"))).status, 401);
});
