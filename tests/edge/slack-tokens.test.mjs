/** Tokens of the bot that rotate: renewed once however many need them, stored before they are used, and never shown. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, TOKEN_KEYS } from "./support/edge.mjs";
import { mention, startSlackEdge, TEAM } from "./support/slack.mjs";
import { until } from "./support/wait.mjs";

const WAIT_MS = 60_000;
const REFRESH_TOKEN = "xoxe-1-refresh-of-the-edge-tests";
const CLIENT_SECRET = "client-secret-of-the-stand-in";
let stage;
let slack;

before(async () => {
  stage = await startSlackEdge({
    refreshToken: REFRESH_TOKEN,
    vars: { SLACK_CLIENT_ID: "0001.0002" },
    secrets: { SLACK_CLIENT_SECRET: CLIENT_SECRET, SLACK_REFRESH_TOKEN: REFRESH_TOKEN, TOKEN_KEYS },
  });
  slack = stage.slack;
  await stage.link("U0ADA", ADA.id);
});
after(() => stage?.close());

const exchanges = () => slack.calls("oauth.v2.access");
const write = (text) => slack.write("U0ADA", mention(`fix acme/shop ${text}`));
const rows = () => stage.edge.rows("SELECT * FROM sealed_tokens");

test("a token that has ended is renewed once, though several threads need it at once", async () => {
  const threads = await Promise.all(["a", "b", "c"].map(write));
  await Promise.all(threads.map(({ ts }) => slack.sessionOf(ts)));
  assert.equal((await exchanges()).length, 1);
  const [row, ...others] = await rows();
  assert.deepEqual([others.length, row.provider, row.purpose], [0, "slack", "bot"]);
  assert.match(row.user_id, new RegExp(`^${TEAM}/[0-9a-f]{16}$`));
  await slack.sessionOf((await write("d")).ts);
  assert.equal((await exchanges()).length, 1, "it lives for hours");
});

test("one that ends before its time is renewed when Slack says so, again once", async () => {
  await slack.tell({ do: "expire" });
  const threads = await Promise.all(["e", "f"].map(write));
  await Promise.all(threads.map(({ ts }) => slack.sessionOf(ts)));
  assert.equal((await exchanges()).length, 2);
});

test("the new tokens are there before they are used: a Worker that ends in between goes on with them", async () => {
  const before = await rows();
  // The first call with the new token is never answered.
  await slack.script("conversations.info", { error: "token_expired" });
  await slack.script("conversations.info", { hold: true });
  const { ts } = await write("over an end");
  const held = async () => (await slack.tell({ do: "held" })).held;
  await until(held, (count) => count === 1, "a call with the new token", WAIT_MS);
  const { length } = await exchanges();
  assert.equal(length, 3);
  assert.notEqual((await rows())[0].sealed, before[0].sealed);
  await stage.edge.restart();
  await slack.tell({ do: "release" });
  await slack.sessionOf(ts);
  assert.equal((await exchanges()).length, length, "the refresh token of before would not count any more");
});

test("tokens that cannot be renewed: the log says what to do, nothing is lost, and no secret is shown", async () => {
  await slack.tell({ do: "revoke" });
  const { ts } = await write("without tokens");
  await until(
    async () => stage.logs(),
    (log) => /does not renew the bot's token \(invalid_refresh_token\).*SLACK_REFRESH_TOKEN/.test(log),
    "the remedy in the log",
    WAIT_MS,
  );
  assert.deepEqual(await slack.said(ts), []);
  const used = (await exchanges()).map(({ fields }) => fields.refresh_token);
  assert.equal(used[0], REFRESH_TOKEN);
  const shown = stage.logs() + JSON.stringify(await rows());
  for (const secret of [...used, CLIENT_SECRET, "xoxe.xoxb-1-access-1", "xoxe.xoxb-1-access-3"])
    assert.ok(!shown.includes(secret), secret);
});
