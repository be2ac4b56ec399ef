/** What an operator has to go by: one trace through all hops, lines with ids and without secrets, what is ready, and the status. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  ADA,
  BRIDGE_KEY,
  GRACE,
  METRICS_KEY,
  prompt,
  read,
  SESSION_KEY,
  startEdge,
} from "./support/edge.mjs";
import { findRunner } from "./support/runner.mjs";
import { until } from "./support/wait.mjs";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT = `00-${TRACE}-00f067aa0ba902b7-01`;
const PATTERN = /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/;

let edge;
let ada;
let grace;
before(async () => {
  edge = await startEdge({ vars: { IMAGES: "off", OPERATORS: "grace" } });
  [ada, grace] = [await edge.client(ADA), await edge.client(GRACE)];
});
after(() => edge?.close());

/** The lines of the Worker and its objects so far. */
const lines = () =>
  edge.server
    .getLogs()
    .map(({ message }) => message)
    .filter((message) => message.startsWith("{"))
    .map((message) => JSON.parse(message));

const about = (trace) => lines().filter((line) => line.trace_id === trace);

test("a prompt is one trace from the request to the runner's order, and every line says so", async () => {
  const body = { repository: "acme/shop", prompt: prompt("Fix it") };
  const created = await ada.post("/api/sessions", body, { traceparent: PARENT });
  assert.equal(created.status, 201);
  const { sessionId } = created.body;
  const runner = await findRunner(edge, sessionId, 1);
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted" });
  const order = await runner.command("start_turn");
  const sent = edge.bridge.requests.filter(({ path }) => path.startsWith(`/sandboxes/${runner.sandboxId}`));
  const parents = sent.map(({ headers }) => PATTERN.exec(headers.traceparent));
  assert.deepEqual(new Set(parents.map((parent) => parent?.[1])), new Set([TRACE]));
  const spans = parents.map((parent) => parent[2]);
  assert.equal(new Set(spans).size, spans.length, "each asks in a span of its own");
  assert.ok(!spans.includes("00f067aa0ba902b7"), "none of them is the request's");
  assert.equal(PATTERN.exec(order.turn.traceparent)[1], TRACE);

  const wanted = ["request", "prompt accepted", "turn started", "done"];
  const said = await until(
    async () => about(TRACE),
    (found) =>
      wanted.every((message) => found.some((line) => line.message === message)) &&
      found.some(({ work }) => work === "start_turn"),
    "lines of the trace",
  );
  const started = said.find(({ message }) => message === "turn started");
  assert.deepEqual(
    [started.level, started.session, started.turn, started.generation, started.attempt],
    ["info", sessionId, order.turn.turnId, 1, 1],
  );
  const ordered = said.find(({ work }) => work === "start_turn");
  assert.ok(spans.includes(ordered.span_id), "the line names the span that the bridge was told of");
});

test("a trace that is malformed is passed over, and one begins with the request", async () => {
  for (const traceparent of [
    "",
    "00-short",
    `ff-${TRACE}-00f067aa0ba902b7-01`,
    `00-${"0".repeat(32)}-x-01`,
  ]) {
    const body = { repository: "acme/shop", prompt: prompt("Go on") };
    const created = await ada.post("/api/sessions", body, { traceparent });
    assert.equal(created.status, 201, traceparent);
    const { sandboxId } = await findRunner(edge, created.body.sessionId, 1);
    const asked = await edge.bridge.request(({ path }) => path === `/sandboxes/${sandboxId}`);
    assert.match(asked.headers.traceparent, PATTERN);
    assert.notEqual(PATTERN.exec(asked.headers.traceparent)[1], TRACE);
  }
});

test("what fails here names an incident, which the log has together with the trace", async () => {
  const trace = "11112222333344445555666677778888";
  const { status, body } = await read(
    await edge.server.fetch("/api/test/panic", {
      headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01` },
    }),
  );
  assert.equal(status, 500);
  const incident = /incident (\S+)$/.exec(body.message)[1];
  const [line] = lines().filter((line) => line.incident === incident);
  assert.deepEqual([line.level, line.trace_id], ["error", trace]);
});

test("no secret is in any line, whatever goes wrong", async () => {
  edge.bridge.forgery.of = () => undefined;
  const created = await ada.post("/api/sessions", { repository: "acme/shop", prompt: prompt("Break") });
  await until(
    async () => lines(),
    (found) =>
      found.some((line) => line.session === created.body.sessionId && line.message === "comes later"),
    "a line of what failed",
  );
  edge.bridge.forgery.of = (signature) => signature;
  const text = JSON.stringify(edge.server.getLogs());
  const secrets = {
    SESSION_KEY,
    BRIDGE_KEY,
    METRICS_KEY,
    token: "token-of-ada",
    cookie: ada.cookie.split("=")[1],
  };
  for (const [name, secret] of Object.entries(secrets)) assert.ok(!text.includes(secret), name);
  assert.ok(!text.includes("Fix it"), "prompts are nobody's business there");
  for (const line of lines()) assert.match(`${line.level}`, /^(info|warn|error)$/);
});

const ready = async () => read(await edge.server.fetch("/api/ready"));

test("whether it can work is said to anybody, without more than what is missing", async () => {
  const well = await ready();
  assert.deepEqual([well.status, well.body], [200, { ready: true, reasons: [] }]);
  edge.bridge.status.reasons = [{ code: "room", message: "only 12 MiB of /var/lib/secret are left" }];
  const full = await until(ready, ({ status }) => status === 503, "the word of the bridge");
  assert.deepEqual(full.body, {
    ready: false,
    reasons: [{ code: "room", message: "there is no room for another sandbox" }],
  });
  edge.bridge.status.reasons = [];
  await until(ready, ({ status }) => status === 200, "room");
});

test("a database without its migrations, and a bridge that is away, are named", async () => {
  const other = await startEdge({ vars: { BRIDGE_URL: "http://127.0.0.1:9" } });
  try {
    const { DB } = await other.worker.getEnv();
    await DB.prepare("DELETE FROM d1_migrations WHERE id = (SELECT MAX(id) FROM d1_migrations)").run();
    const { status, body } = await read(await other.server.fetch("/api/ready"));
    assert.equal(status, 503);
    assert.deepEqual(
      body.reasons.map(({ code }) => code),
      ["bridge", "migrations"],
    );
  } finally {
    await other.close();
  }
});

test("operators see bridge, queue, outbox and repositories; others do not", async () => {
  assert.equal((await ada.get("/api/operator/status")).status, 403);
  edge.bridge.status.reasons = [{ code: "room", message: "only 12 MiB are left" }];
  const { status, body } = await grace.get("/api/operator/status");
  edge.bridge.status.reasons = [];
  assert.equal(status, 200);
  assert.deepEqual(body.reasons, []);
  const [common] = body.replicas;
  assert.equal(common.url, edge.bridge.url);
  assert.deepEqual(common.status.reasons, [{ code: "room", message: "only 12 MiB are left" }]);
  const running = await edge.rows("SELECT session_id FROM sessions WHERE activity = 'running'");
  assert.equal(body.sessions.running, running.length);
  assert.equal(body.sessions.silent, 0);
  const [first] = running;
  const load = body.sessions.asked.find(({ sessionId }) => sessionId === first.session_id);
  assert.equal(typeof load.queued, "number");
  assert.deepEqual(Object.keys(load.backlog).sort(), ["failing", "tries", "waiting"]);
  assert.deepEqual(
    body.repositories.map(({ repository }) => repository),
    ["acme/shop"],
  );
});
