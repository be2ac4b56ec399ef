/** Slack as a client: events that come often, at once and in any order (F35), a Worker that is killed (F36), replays (A02), hostile text (A39). */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { ADA, GRACE, read, startEdge } from "./support/edge.mjs";
import { BOT, configured, mention, SIGNING_SECRET, startSlack, TEAM, urlOf } from "./support/slack.mjs";
import { until } from "./support/wait.mjs";

const WAIT_MS = 60_000;
let slack;
let edge;
let ada;
let grace;

before(async () => {
  slack = await startSlack();
  edge = await startEdge(configured(slack));
  await slack.listenTo(edge.origin);
  ada = await edge.client(ADA);
  grace = await edge.client(GRACE);
});
after(async () => {
  await edge?.close();
  await slack?.close();
});

const sessionsOf = async (on = edge) => on.rows("SELECT session_id, repository, created_by FROM sessions");
const link = (user, id) =>
  edge.rows(
    "INSERT OR REPLACE INTO slack_links (team_id, slack_user_id, user_id, linked_at) VALUES (?, ?, ?, 1)",
    TEAM,
    user,
    id,
  );
const sessionOf = (thread) => slack.sessionOf(thread);
const statusOf = async (id, on = ada) => (await on.get(`/api/sessions/${id}/status`)).body;

function sign(body, { secret = SIGNING_SECRET, at = Math.floor(Date.now() / 1000) } = {}) {
  const tag = createHmac("sha256", secret).update(`v0:${at}:${body}`).digest("hex");
  return { "x-slack-request-timestamp": String(at), "x-slack-signature": `v0=${tag}` };
}
const send = async (body, headers = sign(body), path = "events") =>
  read(
    await edge.server.fetch(`/api/slack/${path}`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", ...headers },
    }),
  );

test("a01 what Slack has not signed, or not just now, is refused before it is read", async () => {
  const body = JSON.stringify({ type: "url_verification", challenge: "abc" });
  const now = Math.floor(Date.now() / 1000);
  const right = sign(body);
  const changed = (signature) => ({ ...right, "x-slack-signature": signature });
  for (const [what, headers] of Object.entries({
    nothing: { "x-slack-request-timestamp": undefined, "x-slack-signature": undefined },
    empty: changed(""),
    cut: changed(right["x-slack-signature"].slice(0, -2)),
    "in capitals": changed(right["x-slack-signature"].toUpperCase()),
    "of another secret": sign(body, { secret: "another secret of some length" }),
    old: sign(body, { at: now - 310 }),
    early: sign(body, { at: now + 310 }),
    "of no time": { ...right, "x-slack-request-timestamp": "1e999" },
    "of a time before": { ...right, "x-slack-request-timestamp": "-1" },
  })) {
    const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
    const answer = await send(body, given);
    assert.deepEqual([answer.status, answer.body.code], [401, "signature_invalid"], what);
    assert.equal((await send("{", given)).status, 401, `${what}, and no JSON`);
  }
  assert.equal((await send(`${body} `, right)).status, 401, "rewritten");
  assert.deepEqual((await send(body)).body, { challenge: "abc" });
});

test("another workspace is refused, and what is not for us is taken", async () => {
  const event = {
    type: "event_callback",
    team_id: "T0OTHER",
    event_id: "Ev1",
    event: { type: "reaction_added" },
  };
  assert.equal((await send(JSON.stringify(event))).status, 403);
  assert.equal((await send(JSON.stringify({ ...event, team_id: TEAM }))).status, 200);
  assert.equal((await send("[]")).status, 400);
  const clicked = `payload=${encodeURIComponent(JSON.stringify({ type: "block_actions", team: { id: "T0OTHER" } }))}`;
  assert.equal((await send(clicked, sign(clicked), "interactions")).status, 403);
});

test("f35 a02 the same event many times, at once, is one session and one card", async () => {
  await link("U0ADA", ADA.id);
  const before = (await sessionsOf()).length;
  const { ts, deliveries } = await slack.write("U0ADA", mention("fix acme/shop"), {
    times: 4,
    together: true,
  });
  assert.deepEqual(new Set(deliveries.map(({ status }) => status)), new Set([200]));
  assert.equal(deliveries.length, 8, "as a message and as a mention, four times each");
  const session = await sessionOf(ts);
  const thread = `${TEAM}/C0GENERAL/${ts}`;
  const owed = async () =>
    (await edge.worker.getDurableObjectStorage("THREAD", { name: thread })).exec(
      "SELECT key FROM outbox WHERE kind = 'message'",
    );
  await until(owed, ({ length }) => length === 0, "a thread without messages to work on", WAIT_MS);
  assert.equal((await sessionsOf()).length, before + 1);
  const cards = (await slack.said(ts)).filter((message) => /Open session/.test(JSON.stringify(message)));
  assert.equal(cards.length, 1);
  const status = await statusOf(session);
  assert.deepEqual([status.session.repository, status.session.createdBy], ["acme/shop", ADA.id]);
  // Slack says it once more, much later.
  const again = await slack.tell({
    do: "send",
    event: {
      type: "event_callback",
      team_id: TEAM,
      event_id: "EvLATER",
      authorizations: [{ user_id: BOT }],
      event: { type: "app_mention", user: "U0ADA", channel: "C0GENERAL", ts, text: mention("fix acme/shop") },
    },
  });
  assert.equal(again.deliveries[0].status, 200);
  assert.deepEqual(await owed(), []);
  assert.equal((await sessionsOf()).length, before + 1);
});

test("f35 messages of a thread that come in another order become prompts of its one session", async () => {
  await link("U0ADA", ADA.id);
  await link("U0GRACE", GRACE.id);
  const first = await slack.write("U0ADA", mention("fix acme/shop please"), { silent: true });
  const second = await slack.write("U0GRACE", mention("and the tests in acme/shop"), { thread: first.ts });
  const event = (id) => ({
    type: "event_callback",
    team_id: TEAM,
    event_id: id,
    authorizations: [{ user_id: BOT }],
    event: {
      type: "app_mention",
      user: "U0ADA",
      channel: "C0GENERAL",
      ts: first.ts,
      text: mention("fix acme/shop please"),
    },
  });
  await slack.tell({ do: "send", event: event("EvSECOND") });
  const session = await sessionOf(first.ts);
  const prompts = () => edge.sessionRows(session, "SELECT author_id FROM prompts ORDER BY author_id");
  const rows = await until(prompts, ({ length }) => length === 2, "both prompts", WAIT_MS);
  assert.deepEqual(
    rows.map((row) => row.author_id),
    [ADA.id, GRACE.id].sort(),
  );
  assert.ok(second.ts > first.ts);
});

test("what was said before is told, and no more than the last three", async () => {
  await link("U0ADA", ADA.id);
  const root = await slack.write("U0LINUS", "one", { silent: true });
  for (const text of ["two", "three", "four"])
    await slack.write("U0LINUS", text, { thread: root.ts, silent: true });
  await slack.write("U0ADA", mention("do it in acme/shop"), { thread: root.ts });
  const session = await sessionOf(root.ts);
  const [{ content }] = await edge.sessionRows(session, "SELECT content FROM messages WHERE role = 'user'");
  assert.match(content, /^do it in acme\/shop/);
  assert.match(content, /#general.*not as a request/);
  assert.ok(
    !content.includes("> one") && ["two", "three", "four"].every((text) => content.includes(`> ${text}`)),
    content,
  );
});

test("who is not known gets a link that counts once, and what was asked is done then", async () => {
  await edge.rows("DELETE FROM slack_links");
  const { ts } = await slack.write("U0GRACE", mention("fix acme/shop"));
  const invitation = await slack.hears(ts, /Link my account/);
  assert.equal(invitation.ephemeral_for, "U0GRACE");
  const url = new URL(urlOf(invitation, "Link my account"));
  assert.equal(url.pathname, "/connect/slack");
  assert.equal(url.search, "", "the code is no part of what servers see");
  const code = url.hash.replace("#code=", "");
  const looked = await grace.post("/api/slack/links", { code, step: "look" });
  assert.deepEqual([looked.status, looked.body], [200, { team: TEAM, user: "U0GRACE", name: "grace" }]);
  assert.equal((await edge.rows("SELECT * FROM slack_links")).length, 0, "looking links nothing");
  assert.equal((await grace.post("/api/slack/links", { code, step: "confirm" })).status, 200);
  assert.equal((await ada.post("/api/slack/links", { code, step: "confirm" })).body.code, "token_invalid");
  const status = await statusOf(await sessionOf(ts), grace);
  assert.equal(status.session.createdBy, GRACE.id);
  const kept = await edge.rows("SELECT * FROM slack_link_codes");
  assert.ok(!JSON.stringify(kept).includes(code));
  assert.equal((await grace.delete("/api/slack/links")).body.ended, 1);
});

test("who means several repositories is asked, and only the author's choice counts", async () => {
  await link("U0ADA", ADA.id);
  await link("U0GRACE", GRACE.id);
  const { ts } = await slack.write("U0ADA", mention("make it nicer"));
  const picker = await slack.hears(ts, /static_select/);
  const menu = picker.blocks.flatMap((block) => block.elements ?? [])[0];
  assert.deepEqual(menu.options.map(({ value }) => value).sort(), ["acme/shop", "acme/site"]);
  await slack.click("U0GRACE", picker, "choose", { value: "acme/site" });
  await slack.hears(ts, /Only the person who asked/);
  await slack.click("U0ADA", picker, "choose", { value: "acme/site", times: 2 });
  const status = await statusOf(await sessionOf(ts));
  assert.equal(status.session.repository, "acme/site");
});

test("a channel that a repository's page names decides, and a name in the message stands above it", async () => {
  await link("U0ADA", ADA.id);
  const told = { description: "", hints: "", channels: ["C0SHOPDEV"] };
  assert.equal((await ada.put("/api/repositories/acme/shop/hints", told)).status, 200);
  const { ts } = await slack.write("U0ADA", mention("make it nicer"), { channel: "C0SHOPDEV" });
  assert.equal((await statusOf(await sessionOf(ts))).session.repository, "acme/shop");
  const other = await slack.write("U0ADA", mention("make acme/site nicer"), { channel: "C0SHOPDEV" });
  assert.equal((await statusOf(await sessionOf(other.ts))).session.repository, "acme/site");
});

test("a repository that the author may not push to is never worked on", async () => {
  await link("U0ADA", ADA.id);
  const before = (await sessionsOf()).length;
  const { ts } = await slack.write(
    "U0ADA",
    mention("see <https://github.com/evil/plan>, it is urgent <!channel>"),
  );
  const picker = await slack.hears(ts, /cannot work on evil/);
  assert.ok(!JSON.stringify(picker).includes("<!channel>"));
  await slack.click("U0ADA", picker, "choose", { value: "evil/plan" });
  await slack.hears(ts, /no repository evil|knows no repository/);
  assert.equal((await sessionsOf()).length, before);
});

test("f36 a Worker that ends right after its acknowledgement does the work when it is back", async () => {
  await link("U0ADA", ADA.id);
  // The work is held up where it began, so that nothing of it can be done before the end.
  await slack.script("conversations.info", { waitMs: 8_000 });
  const { ts, deliveries } = await slack.write("U0ADA", mention("fix acme/shop after the end"));
  assert.equal(deliveries[0].status, 200);
  await edge.restart();
  const status = await statusOf(await sessionOf(ts));
  assert.equal(status.session.repository, "acme/shop");
  const cards = (await slack.said(ts)).filter((message) => /Open session/.test(JSON.stringify(message)));
  assert.equal(cards.length, 1);
});

test("f35 acknowledgements wait for nothing upstream, and what was taken is done when it answers again", async () => {
  await link("U0ADA", ADA.id);
  const before = (await sessionsOf()).length;
  await slack.script("", { hold: true, times: 1_000 });
  edge.codeHost.gate.close();
  edge.bridge.gate.close();
  const threads = [];
  for (let number = 0; number < 5; number += 1) {
    const { ts, deliveries } = await slack.write("U0ADA", mention(`fix acme/shop ${number}`));
    // Nothing upstream can have answered, so that nothing was waited for.
    assert.equal(deliveries.at(-1).status, 200);
    threads.push(ts);
  }
  const held = async () => (await slack.tell({ do: "held" })).held;
  await until(held, (count) => count > 0, "a call that Slack holds", WAIT_MS);
  assert.equal((await sessionsOf()).length, before, "the work stands where Slack holds it");
  await slack.tell({ do: "release" });
  await until(
    async () => edge.codeHost.gate.held,
    (count) => count > 0,
    "a call that the code host holds",
    WAIT_MS,
  );
  edge.codeHost.gate.open();
  edge.bridge.gate.open();
  const sessions = await Promise.all(threads.map(sessionOf));
  assert.equal(new Set(sessions).size, threads.length);
});
