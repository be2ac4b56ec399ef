/** Webhooks: forged ones (A03), repeated and reordered ones, and what is found by looking when none came (F39). */

import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { ADA, read, startEdge, WEBHOOK_SECRET } from "./support/edge.mjs";
import { signWebhook } from "./support/pulls.mjs";
import { startTurn, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

let edge;
let ada;
let host;
before(async () => {
  edge = await startEdge({ vars: { IMAGES: "off", PULL_REQUEST_LOOK_MS: "600000" } });
  host = edge.codeHost.pulls;
  ada = await edge.client(ADA);
});
after(() => edge?.close());

const change = {
  branch: "any",
  commit: "a".repeat(40),
  subject: "C",
  filesChanged: 1,
  additions: 2,
  deletions: 1,
};
const artifactOf = async (sessionId, on = ada) =>
  (await on.get(`/api/sessions/${sessionId}/status`)).body.artifacts.find(
    ({ content }) => content.type === "pull_request",
  )?.content;
const at = (seconds) => new Date(1_900_000_000_000 + seconds * 1000).toISOString().replace(".000Z", "Z");

/** A session whose pull request is open and known to the index. */
async function openPull(on = { edge, ada, host }) {
  const { sessionId, runner, turn } = await startTurn(on.edge, on.ada);
  await runner.report(turnEnded(turn, { change }));
  const content = await until(() => artifactOf(sessionId, on.ada), Boolean, "the pull request");
  const known = () => on.edge.rows("SELECT session_id FROM pull_requests WHERE number = ?", content.number);
  await until(known, ({ length }) => length === 1, "the pull request in the index");
  return { sessionId, number: content.number, pull: on.host.pulls[content.number - 1] };
}

async function send(event, value, { headers, delivery, body = JSON.stringify(value) } = {}) {
  const signed = headers ?? signWebhook(WEBHOOK_SECRET, event, body, delivery);
  return read(await edge.server.fetch("/api/webhooks/github", { method: "POST", body, headers: signed }));
}

const payload = (pull, more) => ({
  action: "edited",
  pull_request: pull,
  repository: { full_name: "Acme/Shop" },
  ...more,
});
const review = (id, state, seconds, body = `said ${id}`) => ({
  review: {
    id,
    user: { login: "linus" },
    body,
    state,
    html_url: "https://code.example/r",
    submitted_at: at(seconds),
  },
});
const run = (name, status, conclusion, seconds, more = {}) => ({
  action: status,
  repository: { full_name: "acme/shop" },
  check_run: {
    name,
    status,
    conclusion,
    head_sha: "a".repeat(40),
    html_url: "https://code.example/c",
    started_at: at(seconds),
    completed_at: status === "completed" ? at(seconds) : null,
    pull_requests: [],
    ...more,
  },
});

test("a03 what the code host has not signed with SHA-256 is refused before it is read", async () => {
  const { sessionId, pull } = await openPull();
  const value = payload({ ...pull, state: "closed", updated_at: at(1) });
  const body = JSON.stringify(value);
  const right = signWebhook(WEBHOOK_SECRET, "pull_request", body);
  const hmac = (algorithm, key) => createHmac(algorithm, key).update(body).digest("hex");
  const signature = (text) => ({ ...right, "x-hub-signature-256": text });
  const { "x-hub-signature-256": _, ...unsigned } = right;
  const forged = {
    "no signature": unsigned,
    "an empty one": signature(""),
    "of another secret": signature(`sha256=${hmac("sha256", "another secret, as long as it is")}`),
    "of no secret": signature(`sha256=${hmac("sha256", "")}`),
    "in capitals": signature(right["x-hub-signature-256"].toUpperCase()),
    cut: signature(right["x-hub-signature-256"].slice(0, -2)),
    "of SHA-1 there": signature(`sha1=${hmac("sha1", WEBHOOK_SECRET)}`),
    "of SHA-1 alone": { ...unsigned, "x-hub-signature": `sha1=${hmac("sha1", WEBHOOK_SECRET)}` },
  };
  for (const [what, headers] of Object.entries(forged)) {
    const answer = await send("pull_request", value, { headers });
    assert.deepEqual([answer.status, answer.body.code], [401, "signature_invalid"], what);
    const broken = await send("pull_request", value, { headers, body: "{" });
    assert.equal(broken.status, 401, `${what}, and no JSON`);
  }
  const rewritten = await send("pull_request", value, { headers: right, body: `${body} ` });
  assert.equal(rewritten.status, 401);
  assert.equal((await artifactOf(sessionId)).progress.state, "open");
  assert.equal((await edge.rows("SELECT * FROM deliveries")).length, 0);
  assert.equal((await send("pull_request", value, { headers: right, body })).status, 200);
  assert.equal((await artifactOf(sessionId)).progress.state, "closed");
});

test("a03 without a secret nothing is taken, and the operator is told", async () => {
  for (const secret of ["", "short"]) {
    const other = await startEdge({ secrets: { GITHUB_WEBHOOK_SECRET: secret }, vars: { IMAGES: "off" } });
    const headers = signWebhook(secret, "ping", "{}");
    const answer = await read(
      await other.server.fetch("/api/webhooks/github", { method: "POST", body: "{}", headers }),
    );
    assert.equal(answer.status, 500);
    assert.match(answer.body.message, /GITHUB_WEBHOOK_SECRET/);
    await other.close();
  }
});

test("what happens to a pull request is seen by everyone, once, in whatever order it is told", async () => {
  const { sessionId, number, pull } = await openPull();
  const viewer = await view(edge, ada, sessionId);
  const of = (more) => payload({ ...pull, ...more });
  const reviewed = {
    ...review(1, "changes_requested", 10),
    pull_request: { number },
    repository: { full_name: "acme/shop" },
  };
  const delivery = randomUUID();
  for (let time = 0; time < 3; time += 1)
    assert.equal((await send("pull_request_review", reviewed, { delivery })).status, 200);
  // Delivered again under another id, as after a loss.
  await send("pull_request_review", reviewed);
  const comment = {
    id: 5,
    user: { login: "linus" },
    body: "here",
    path: "a.rs",
    line: 3,
    html_url: "u",
    updated_at: at(11),
  };
  await send("pull_request_review_comment", {
    action: "created",
    comment,
    pull_request: { number },
    repository: { full_name: "acme/shop" },
  });
  const byNumber = (more) => ({ pull_requests: [{ number }], ...more });
  await send("check_run", run("test", "completed", "failure", 20, byNumber()));
  await send("check_run", run("test", "in_progress", null, 15, byNumber()));
  const byBranch = { check_suite: { head_branch: pull.head.ref } };
  await send("check_run", run("lint", "completed", "success", 21, byBranch));
  // Merged, then an older word.
  await send(
    "pull_request",
    of({ state: "closed", merged_at: at(30), updated_at: at(30), title: "Renamed" }),
  );
  await send("pull_request", of({ state: "open", updated_at: at(25) }));
  await send("pull_request", of({ state: "closed", updated_at: at(29) }));

  await viewer.event("pull_request_changed", ({ state }) => state === "merged");
  const events = (type) =>
    viewer.records.filter(({ event }) => event.type === type).map(({ event }) => event);
  assert.deepEqual(
    events("review_added").map(({ review }) => [
      review.id,
      review.verdict,
      review.author,
      review.text,
      review.path ?? null,
    ]),
    [
      ["review-1", "changes_requested", "linus", "said 1", null],
      ["line-5", "comment", "linus", "here", "a.rs"],
    ],
  );
  assert.deepEqual(
    events("pull_request_changed").map(({ number, state }) => [number, state]),
    [[number, "merged"]],
  );
  await edge.sleep(sessionId);
  const content = await artifactOf(sessionId);
  assert.deepEqual([content.title, content.progress.state], ["Renamed", "merged"]);
  assert.deepEqual(
    content.progress.checks.map(({ name, state }) => [name, state]),
    [
      ["lint", "passed"],
      ["test", "failed"],
    ],
  );
  assert.deepEqual(viewer.faults, []);
  await viewer.close();
});

test("what is nobody's, or not followed, is taken and does nothing", async () => {
  const { pull } = await openPull();
  for (const [event, value] of [
    ["pull_request", payload({ ...pull, number: 9999 })],
    ["pull_request", payload(pull, { repository: { full_name: "acme/site" } })],
    ["push", { repository: { full_name: "acme/shop" } }],
    ["ping", { zen: "x" }],
  ]) {
    const answer = await send(event, value);
    assert.deepEqual([answer.status, answer.body], [200, { sessions: 0 }], event);
  }
  for (const [event, body] of [
    ["pull_request", "{"],
    ["pull_request", "[]"],
    ["pull_request", JSON.stringify({ repository: { full_name: "../.." } })],
  ])
    assert.equal((await send(event, null, { body })).status, 400, body);
  const nameless = { ...signWebhook(WEBHOOK_SECRET, "ping", "{}"), "x-github-delivery": "" };
  assert.equal((await send("ping", null, { body: "{}", headers: nameless })).status, 400);
});

test("f39 what no webhook told is found by looking", async () => {
  const quick = await startEdge({ vars: { IMAGES: "off", PULL_REQUEST_LOOK_MS: "1000" } });
  const on = { edge: quick, ada: await quick.client(ADA), host: quick.codeHost.pulls };
  const { sessionId, pull } = await openPull(on);
  on.host.checks = [run("test", "completed", "success", 0).check_run];
  on.host.touch(pull, { state: "closed", merged_at: at(1) });
  const content = await until(
    () => artifactOf(sessionId, on.ada),
    ({ progress }) => progress.state === "merged",
    "the merge",
    20_000,
  );
  assert.deepEqual(
    content.progress.checks.map(({ name, state }) => [name, state]),
    [["test", "passed"]],
  );
  await quick.close();
});
