/** Metrics end to end: what sessions tell of themselves, what people and scrapers are told, and what of it is refused. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, LINUS, METRICS_KEY, prompt, read, startEdge, WEBHOOK_SECRET } from "./support/edge.mjs";
import { signWebhook } from "./support/pulls.mjs";
import { startTurn, textItem, turnEnded } from "./support/runner.mjs";
import { until } from "./support/wait.mjs";

const users = [ADA, GRACE, LINUS].map((user) => ({ ...user, token: `token-of-${user.login}` }));
const DAY = 24 * 3_600_000;

let edge;
const people = {};
before(async () => {
  edge = await startEdge({
    vars: { IMAGES: "off", OPERATORS: "grace" },
    secrets: { LOCAL_USERS: JSON.stringify(users) },
  });
  edge.codeHost.counts.set("acme/shop", 4);
  for (const user of users) people[user.login] = await edge.client(user);
});
after(() => edge?.close());

const metrics = async (client, query = "") => (await client.get(`/api/metrics${query}`)).body;
const searches = () => edge.codeHost.requests.filter(({ url }) => url.startsWith("/search/issues"));
const scrape = (headers) => edge.server.fetch("/metrics", { headers }).then(read);
const withKey = { authorization: `Bearer ${METRICS_KEY}` };

/** A session of two people whose pull request is merged. */
async function wholeSession() {
  const { runner, turn, sessionId } = await startTurn(edge, people.ada, "Fix the sum");
  await runner.report(textItem(turn.turnId, "itm_1", "I look."));
  await people.grace.post(`/api/sessions/${sessionId}/message`, prompt("And the tests"));
  const usage = { inputTokens: 1_000, outputTokens: 200, cachedTokens: 0, costUsd: 0.25 };
  const change = {
    branch: "any",
    commit: "a".repeat(40),
    subject: "Change",
    filesChanged: 1,
    additions: 2,
    deletions: 1,
  };
  await runner.report(turnEnded(turn, { change, usage }));
  return sessionId;
}

test("a session is counted as it goes on, from its start to its merge", async () => {
  const empty = await metrics(people.ada);
  assert.equal(empty.adoption.sessions, 0);
  assert.equal(empty.adoption.mergeRate, 0);
  assert.deepEqual(empty.repositories, []);

  const sessionId = await wholeSession();
  const [row] = await until(
    () => edge.rows("SELECT * FROM session_facts WHERE pull_created_at IS NOT NULL"),
    (rows) => rows.length === 1,
    "the facts of an opened pull request",
    30_000,
  );
  assert.equal(row.session_id, sessionId);
  const opened = await metrics(people.ada);
  const { adoption } = opened;
  assert.deepEqual(
    [adoption.sessions, adoption.pullRequestsCreated, adoption.pullRequestsMerged, adoption.mergeRate],
    [1, 1, 0, 0],
  );
  assert.deepEqual([adoption.uniqueUsers, adoption.multiplayerSessions, adoption.prompts], [2, 1, 2]);
  assert.deepEqual([adoption.inputTokens, adoption.outputTokens, adoption.costUsd], [1_000, 200, 0.25]);
  assert.equal(adoption.firstTokenP50Ms, row.first_token_at - row.prompted_at);
  assert.equal(opened.live.peoplePrompting, 2);
  assert.deepEqual(
    opened.starts.filter(({ starts }) => starts > 0).map(({ kind, starts, share }) => [kind, starts, share]),
    [["base", 1, 1]],
  );
  assert.match(opened.definitions.adoption.mergeRate, /^Pull requests merged ÷/);

  // Days are those of the zone that is asked for; the present is in exactly one of them.
  for (const zone of ["UTC", "Asia/Kathmandu", "America/St_Johns"]) {
    const { series, period } = await metrics(people.ada, `?zone=${zone}`);
    assert.equal(period.zone, zone);
    const of = series.filter(({ sessions }) => sessions > 0);
    assert.equal(of.length, 1, zone);
    assert.ok(of[0].startsAt <= row.started_at && row.started_at < of[0].startsAt + DAY, zone);
    const local = new Date(of[0].startsAt).toLocaleTimeString("en-GB", { timeZone: zone });
    assert.equal(local, "00:00:00", zone);
  }

  const { pulls } = edge.codeHost;
  pulls.touch(pulls.pulls[0], { state: "closed", merged_at: new Date().toISOString() });
  const body = JSON.stringify(pulls.payload(pulls.pulls[0], { action: "closed" }));
  const headers = {
    "content-type": "application/json",
    ...signWebhook(WEBHOOK_SECRET, "pull_request", body),
  };
  const told = await edge.server.fetch("/api/webhooks/github", { method: "POST", headers, body });
  assert.equal(told.status, 200);
  const merged = await until(
    () => metrics(people.ada),
    ({ adoption }) => adoption.pullRequestsMerged === 1,
    "the merge",
  );
  assert.deepEqual([merged.adoption.mergeRate, merged.adoption.costPerMergedUsd], [1, 0.25]);

  // What is removed has been all the same.
  assert.equal((await people.ada.delete(`/api/sessions/${sessionId}`)).status, 200);
  assert.equal((await metrics(people.ada)).adoption.sessions, 1);
});

test("the share of all pull requests is counted by the code host, once in an hour", async () => {
  const before = searches().length;
  const period = "?from=2026-01-01&to=2099-01-01".replace(
    "2099-01-01",
    new Date(Date.now() + DAY).toISOString().slice(0, 10),
  );
  const [shop] = (await metrics(people.ada, period)).repositories;
  assert.deepEqual(
    [shop.repository, shop.agentPullRequests, shop.allPullRequests, shop.agentShare],
    ["acme/shop", 1, 4, 0.25],
  );
  const { url } = searches().at(-1);
  assert.match(
    decodeURIComponent(url),
    /repo:acme\/shop is:pr created:2026-01-01T00:00:00Z\.\.\S+T23:59:59Z/,
  );
  await metrics(people.ada, period);
  assert.equal(searches().length, before + 1);
  await edge.rows("UPDATE pull_totals SET checked_at = checked_at - 3600001");
  edge.codeHost.counts.delete("acme/shop");
  try {
    const [kept] = (await metrics(people.ada, period)).repositories;
    assert.equal(kept.allPullRequests, 4, "while the code host is away, its last word counts");
    await edge.rows("DELETE FROM pull_totals");
    const [unknown] = (await metrics(people.ada, period)).repositories;
    assert.deepEqual([unknown.allPullRequests, unknown.agentShare], [null, null]);
  } finally {
    edge.codeHost.counts.set("acme/shop", 4);
  }
});

test("people see what they see elsewhere: their repositories, and of people themselves; operators all", async () => {
  const mine = await metrics(people.ada);
  assert.deepEqual([mine.isEverything, mine.people.map(({ userId }) => userId)], [false, [ADA.id]]);
  const all = await metrics(people.grace);
  assert.equal(all.isEverything, true);
  assert.deepEqual(all.people.map(({ userId }) => userId).sort(), [ADA.id, GRACE.id]);
  await edge.rows("UPDATE repository_access SET access = 'none' WHERE user_id = ?", ADA.id);
  try {
    const hidden = await metrics(people.ada);
    assert.deepEqual([hidden.adoption.sessions, hidden.repositories, hidden.people], [0, [], []]);
    const { status, body } = await people.ada.get("/api/metrics?repository=acme/shop");
    assert.deepEqual([status, body.code], [422, "repository_unknown"]);
  } finally {
    await edge.rows("DELETE FROM repository_access");
  }
  assert.equal((await metrics(people.ada, "?repository=acme/shop")).adoption.sessions, 1);
});

test("tables are files, too", async () => {
  const { status, headers, text } = await people.grace.get(
    "/api/metrics?format=csv&table=people&from=2026-01-01&step=month",
  );
  assert.equal(status, 200);
  assert.equal(headers.get("content-type"), "text/csv; charset=utf-8");
  assert.match(
    headers.get("content-disposition"),
    /^attachment; filename="farhand-people-2026-01-01-[\d-]+\.csv"$/,
  );
  const [names, ...lines] = text.split("\r\n");
  assert.equal(names, "userId,name,sessions,prompts,inputTokens,outputTokens,costUsd");
  assert.deepEqual(lines, [
    `${ADA.id},${ADA.name},1,1,1000,200,0.25`,
    `${GRACE.id},${GRACE.name},1,1,0,0,0`,
    "",
  ]);
  const series = await people.grace.get("/api/metrics?format=csv");
  assert.equal(series.text.trim().split("\r\n").length, 31);
});

test("what cannot be answered is refused with its reason", async () => {
  for (const [query, reason] of [
    ["?from=yesterday", /`from` must be a date such as/],
    ["?to=2026-02-30", /`to` must be a date such as/],
    ["?from=2026-02-02&to=2026-02-01", /`from` must be before `to`/],
    ["?from=2010-01-01", /at most 3660 days/],
    ["?from=2024-01-01&to=2026-01-01&step=day", /more than 400 parts/],
    ["?step=hour", /`step` must be day, week or month/],
    ["?zone=Mars/Olympus", /`zone` must be the name of a time zone/],
    [`?zone=${"a".repeat(100)}`, /`zone` must be the name of a time zone/],
    ["?format=xml", /`format` must be json or csv/],
    ["?table=users", /`table` must be one of adoption, series/],
    ["?format=csv&table=users", /`table` must be one of adoption, series/],
  ]) {
    const { status, body } = await people.ada.get(`/api/metrics${query}`);
    assert.deepEqual([status, body.code], [400, "bad_request"], query);
    assert.match(body.message, reason, query);
  }
});

test("scrapers come with a key of their own, and browsers get the page", async () => {
  const { status, headers, text } = await scrape(withKey);
  assert.equal(status, 200);
  assert.equal(headers.get("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
  assert.ok(text.endsWith("# EOF\n"));
  for (const line of [
    'farhand_sessions_total{repository="acme/shop"} 1',
    'farhand_model_tokens_total{repository="acme/shop",direction="output"} 200',
    'farhand_prompt_to_agent_seconds_count{repository="acme/shop",kind="base"} 1',
    "farhand_people_prompting 2",
  ])
    assert.ok(text.includes(`${line}\n`), `${line} in\n${text}`);
  for (const refused of [
    {},
    { authorization: "Bearer x" },
    { authorization: `Bearer ${METRICS_KEY}x` },
    { cookie: people.grace.cookie },
  ]) {
    const { status, body } = await scrape(refused);
    assert.deepEqual([status, body.code], [401, "token_invalid"], JSON.stringify(refused));
    assert.ok(!JSON.stringify(body).includes(METRICS_KEY));
  }
  const page = await scrape({ accept: "text/html,application/xhtml+xml;q=0.9" });
  assert.deepEqual([page.status, /<title>Farhand/.test(page.text)], [200, true]);
});

test("without a key nothing is exposed, and the answer says what to set", async () => {
  const other = await startEdge({ secrets: { METRICS_KEY: "" } });
  try {
    const { status, body } = await read(await other.server.fetch("/metrics", { headers: withKey }));
    assert.deepEqual([status, body.code], [503, "unavailable"]);
    assert.match(body.message, /METRICS_KEY is not set/);
  } finally {
    await other.close();
  }
});
