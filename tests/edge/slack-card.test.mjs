/** The card's buttons, and a Slack that refuses: revoked token, archived channel, missing scope. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE } from "./support/edge.mjs";
import { textItem, turnEnded } from "./support/runner.mjs";
import { mention, startSlackEdge, TOKEN } from "./support/slack.mjs";
import { until } from "./support/wait.mjs";

const WAIT_MS = 60_000;
let stage;
let slack;
let edge;

before(async () => {
  stage = await startSlackEdge();
  ({ slack, edge } = stage);
  await stage.link("U0ADA", ADA.id);
  await stage.link("U0GRACE", GRACE.id);
});
after(() => stage?.close());

const sessions = async () => (await edge.rows("SELECT session_id FROM sessions")).length;
const logged = (pattern) =>
  until(
    async () => stage.logs(),
    (log) => pattern.test(log),
    `${pattern} in the log`,
    WAIT_MS,
  );
const label = (name) => new RegExp(`"text":"${name}"`);
const promptsOf = (session) => edge.sessionRows(session, "SELECT author_id FROM prompts ORDER BY author_id");

test("Stop ends the turn once, Retry begins it again once, for those who are known", async () => {
  const { ts } = await slack.write("U0ADA", mention("fix acme/shop with buttons"));
  const { runner, turn } = await stage.runTurn(ts);
  const running = await slack.hears(ts, label("Stop"));
  await slack.click("U0LINUS", running, "stop");
  const invitation = await slack.hears(ts, /Link my account/);
  assert.equal(invitation.ephemeral_for, "U0LINUS");
  await slack.click("U0ADA", running, "stop", { times: 2 });
  const stop = await runner.command("stop_turn");
  assert.equal(stop.turnId, turn.turnId);
  const stops = edge.bridge.requests.filter(({ body }) => body?.command?.type === "stop_turn");
  assert.equal(new Set(stops.map(({ path }) => path)).size, 1);
  await runner.report(turnEnded(turn, { outcome: { type: "stopped" } }));

  const stopped = await slack.hears(ts, label("Retry"));
  assert.equal(stopped.ts, running.ts, "it is the same card");
  const clicks = await slack.click("U0GRACE", stopped, "retry", { times: 2 });
  assert.deepEqual(
    clicks.deliveries.map(({ status }) => status),
    [200, 200],
  );
  await slack.click("U0ADA", stopped, "retry");
  const again = await runner.turn(({ turnId }) => turnId !== turn.turnId);
  assert.equal(again.prompt, turn.prompt);
  const owed = async () =>
    (await edge.worker.getDurableObjectStorage("THREAD", { name: slack.threadOf(ts) })).exec(
      "SELECT key FROM outbox WHERE kind = 'interaction'",
    );
  await until(owed, ({ length }) => length === 0, "all clicks worked on", WAIT_MS);
  assert.deepEqual(
    (await promptsOf(runner.sessionId)).map((row) => row.author_id),
    [ADA.id, GRACE.id],
  );
});

test("a revoked token: the work goes on, the log says what to do, and all is said once there is a token", async () => {
  const before = await sessions();
  await slack.tell({ do: "revoke" });
  const { ts } = await slack.write("U0ADA", mention("fix acme/shop without a token"));
  await until(sessions, (count) => count === before + 1, "the session", WAIT_MS);
  const log = await logged(
    /comes later.*Slack does not accept the bot's token.*token_revoked.*SLACK_BOT_TOKEN/,
  );
  assert.ok(!log.includes(TOKEN));
  assert.deepEqual(await slack.said(ts), []);
  await slack.tell({ do: "restore" });
  await slack.sessionOf(ts);

  await slack.script("chat.postMessage", { error: "invalid_auth" });
  const other = await slack.write("U0ADA", mention("fix acme/shop with another token"));
  await slack.sessionOf(other.ts);
  await logged(/\(invalid_auth\).*SLACK_BOT_TOKEN/);
});

test("an archived channel: whoever began is told alone and once, and gets the result", async () => {
  const { ts } = await slack.write("U0ADA", mention("fix acme/shop here"), { channel: "C0SHOPDEV" });
  const { runner, turn } = await stage.runTurn(ts);
  await slack.tell({ do: "archive", channel: "C0SHOPDEV" });
  await runner.report(textItem(turn.turnId, "itm_1", "All of it is fixed.", true), turnEnded(turn));
  const alone = async () =>
    (await slack.messages()).filter(({ channel, bot_id }) => channel === "U0ADA" && bot_id);
  const isTold = (said) =>
    ["archived", "All of it is fixed."].every((words) => JSON.stringify(said).includes(words));
  const said = await until(alone, isTold, "the notice and the result", WAIT_MS);
  const notices = said.filter(({ text }) => text.includes("archived"));
  assert.equal(notices.length, 1, JSON.stringify(said));
  assert.match(notices[0].text, new RegExp(`go on in another one.*/sessions/${runner.sessionId}`));
  await logged(/Slack refuses what a thread is told.*is_(archived|inactive)/);
  const owed = async () =>
    (await edge.worker.getDurableObjectStorage("THREAD", { name: slack.threadOf(ts, "C0SHOPDEV") })).exec(
      "SELECT key FROM outbox",
    );
  await until(owed, ({ length }) => length === 0, "a thread that owes nothing", WAIT_MS);
  assert.equal((await alone()).length, 2);
});

test("a missing scope: to read, and the author is told; to write, and the operator is", async () => {
  const root = await slack.write("U0LINUS", "it is broken", { silent: true });
  await slack.script("conversations.replies", { error: "missing_scope", needed: "channels:history" });
  await slack.write("U0ADA", mention("fix that in acme/shop"), { thread: root.ts });
  await slack.sessionOf(root.ts);
  const told = await slack.hears(root.ts, /lacks the scope channels:history; the operator adds it/);
  assert.equal(told.ephemeral_for, "U0ADA");

  await slack.script("chat.postMessage", { error: "missing_scope", needed: "chat:write", times: 2 });
  const { ts } = await slack.write("U0ADA", mention("fix acme/shop and say so"));
  await logged(/comes later.*the app lacks the scope chat:write; the operator adds it to the app/);
  await slack.sessionOf(ts);
});
