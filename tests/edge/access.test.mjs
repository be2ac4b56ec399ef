/**
 * A11, when somebody's access ends: each socket that it opened is closed before whoever ended it is answered, and nothing opens another.
 * What others have open goes on.
 */

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { read, startEdge, TOKEN_KEYS, WEBHOOK_SECRET } from "./support/edge.mjs";
import { Browser, CLIENT_ID, CLIENT_SECRET, startGithub } from "./support/github.mjs";
import { signWebhook } from "./support/pulls.mjs";
import { connect } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

/** `close_code::TICKET_INVALID`: get a new ticket and come back. */
const COME_BACK = 4001;

const people = {
  owner: { id: 1, email: "owner@farhand.example", repositories: ["acme/shop"] },
  member: {
    id: 2,
    email: "member@farhand.example",
    organisations: { acme: "active" },
    repositories: ["acme/shop"],
  },
  operator: { id: 6, email: "operator@farhand.example" },
};

let edge;
let github;
let sessionId;
let owner;
before(async () => {
  github = await startGithub(people);
  edge = await startEdge({
    vars: {
      SIGN_IN: "github",
      GITHUB_URL: github.url,
      GITHUB_API_URL: github.url,
      GITHUB_CLIENT_ID: CLIENT_ID,
      ALLOWED_LOGINS: "owner",
      ALLOWED_ORGANISATIONS: "acme",
      OPERATORS: "operator",
      IMAGES: "off",
    },
    secrets: { GITHUB_CLIENT_SECRET: CLIENT_SECRET, TOKEN_KEYS },
  });
  owner = await signedIn("owner");
  sessionId = (await post(owner, "/api/sessions", { repository: "acme/shop" })).body.sessionId;
});
after(async () => {
  await edge?.close();
  await github?.close();
});
beforeEach(() => edge.rows("DELETE FROM rate_counts"));

async function signedIn(login) {
  const browser = new Browser(edge);
  const { headers } = await browser.signIn(github, login);
  assert.equal(headers.get("location"), "/", login);
  return browser;
}

const post = (browser, path, value) => browser.fetch(path, { method: "POST", value });
const ticketPath = () => `/api/sessions/${sessionId}/ticket`;
const ticketOf = async (browser) => (await post(browser, ticketPath())).body.ticket;
const watch = async (browser) => connect(edge, await ticketOf(browser), sessionId);

/** The socket is closed, and no other one takes its place. */
async function isOut(viewer, browser, status = 401) {
  assert.equal(await viewer.closed(), COME_BACK);
  assert.equal((await post(browser, ticketPath())).status, status);
}

/** The socket is open, and answered. */
async function isIn(viewer) {
  await viewer.settle();
  assert.equal(viewer.socket.readyState, WebSocket.OPEN);
}

async function deliver(event, payload) {
  const body = JSON.stringify(payload);
  const headers = signWebhook(WEBHOOK_SECRET, event, body);
  return read(await edge.server.fetch("/api/webhooks/github", { method: "POST", headers, body }));
}

test("A11: signing out closes the sockets of this browser at once, and everywhere those of all", async () => {
  const [here, there, elsewhere] = [
    await signedIn("member"),
    await signedIn("member"),
    await signedIn("member"),
  ];
  const [first, second, third, others] = [
    await watch(here),
    await watch(there),
    await watch(elsewhere),
    await watch(owner),
  ];
  const kept = new Map(here.cookies);
  assert.equal((await post(here, "/api/sign-out")).status, 200);
  here.cookies = kept;
  await isOut(first, here);
  for (const viewer of [second, third, others]) await isIn(viewer);
  const late = await ticketOf(elsewhere);
  assert.equal((await post(there, "/api/sign-out-everywhere")).status, 200);
  await isOut(second, there);
  await isOut(third, elsewhere);
  // A ticket that was fetched before is worth nothing either.
  const unopened = await connect(edge, late, sessionId, { subscribes: false });
  assert.equal(await unopened.closed(), COME_BACK);
  await isIn(others);
  await others.close();
});

test("A11: a cookie of an ended sign-in counts for nothing, though it is signed and young", async () => {
  const [here, there] = [await signedIn("member"), await signedIn("member")];
  assert.equal((await there.fetch("/api/me")).status, 200);
  const access = there.cookies.get("farhand_session");
  await post(here, "/api/sign-out-everywhere");
  there.cookies = new Map([["farhand_session", access]]);
  assert.equal((await there.fetch("/api/me")).status, 401);
});

test("A11: a key that is revoked takes its sockets along", async () => {
  const browser = await signedIn("member");
  const keys = [];
  for (const name of ["one", "two"])
    keys.push((await post(browser, "/api/keys", { name, scope: "write", days: 1 })).body);
  const viewers = [];
  for (const { key } of keys) {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const answer = await read(await edge.server.fetch(ticketPath(), { method: "POST", headers, body: "{}" }));
    viewers.push(await connect(edge, answer.body.ticket, sessionId));
  }
  const own = await watch(browser);
  assert.equal((await browser.fetch(`/api/keys/${keys[0].id}`, { method: "DELETE" })).status, 200);
  assert.equal(await viewers[0].closed(), COME_BACK);
  await isIn(viewers[1]);
  await isIn(own);
  for (const viewer of [viewers[1], own]) await viewer.close();
});

test("A11: whom the organisation removes is out as soon as the code host tells", async () => {
  const browser = await signedIn("member");
  const [viewer, others] = [await watch(browser), await watch(owner)];
  people.member.organisations.acme = undefined;
  try {
    const told = {
      action: "member_removed",
      membership: { user: { id: 2 } },
      organization: { login: "acme" },
    };
    assert.equal((await deliver("organization", told)).status, 200);
    await isOut(viewer, browser);
    await isIn(others);
    // A payload that says so of somebody who is still a member changes nothing.
    const lie = { action: "member_removed", membership: { user: { id: 1 } } };
    assert.equal((await deliver("organization", lie)).status, 200);
    await isIn(others);
  } finally {
    people.member.organisations.acme = "active";
  }
  await others.close();
});

test("A11: whose permission for the repository ends is out, and who may still read watches", async () => {
  const browser = await signedIn("member");
  const [viewer, others] = [await watch(browser), await watch(owner)];
  const told = { action: "removed", member: { id: 2 }, repository: { full_name: "acme/shop" } };
  people.member.repositories = [];
  people.member.readable = ["acme/shop"];
  try {
    assert.equal((await deliver("member", told)).status, 200);
    assert.equal(await viewer.closed(), COME_BACK);
    const watching = await watch(browser);
    const refused = await watching.refusal({ type: "rename", title: "Mine" });
    assert.match(refused.message, /may only watch/);
    people.member.readable = [];
    assert.equal((await deliver("member", told)).status, 200);
    await isOut(watching, browser, 404);
    await isIn(others);
  } finally {
    people.member.repositories = ["acme/shop"];
    people.member.readable = undefined;
    await edge.rows("DELETE FROM repository_access WHERE user_id = 'usr_github_2'");
  }
  await others.close();
});

test("A11: what no webhook told is found by asking, once a minute for those who watch", async () => {
  const browser = await signedIn("member");
  const [viewer, others] = [await watch(browser), await watch(owner)];
  people.member.repositories = [];
  try {
    await edge.rows("UPDATE repository_access SET checked_at = checked_at - 300000");
    await edge.worker.scheduled({ cron: "* * * * *" });
    await isOut(viewer, browser, 404);
    await isIn(others);
    people.member.repositories = ["acme/shop"];
    await edge.rows("DELETE FROM repository_access WHERE user_id = 'usr_github_2'");
    const again = await watch(browser);
    people.member.organisations.acme = undefined;
    await edge.rows("UPDATE users SET checked_at = checked_at - 540000");
    await edge.worker.scheduled({ cron: "* * * * *" });
    await isOut(again, browser);
    await isIn(others);
  } finally {
    people.member.repositories = ["acme/shop"];
    people.member.organisations.acme = "active";
  }
  await others.close();
});

test("A11: who takes the authorisation back at the code host is signed out with every socket", async () => {
  const browser = await signedIn("member");
  const viewer = await watch(browser);
  const told = { action: "revoked", sender: { id: 2 } };
  assert.equal((await deliver("github_app_authorization", told)).status, 200);
  await isOut(viewer, browser);
  assert.deepEqual(await edge.rows("SELECT 1 FROM sealed_tokens WHERE user_id = 'usr_github_2'"), []);
});

test("A11: whom an operator removes is out with every browser, key and socket, until let back", async () => {
  const [browser, operator] = [await signedIn("member"), await signedIn("operator")];
  const { key } = (await post(browser, "/api/keys", { name: "k", scope: "write", days: 1 })).body;
  const [viewer, others] = [await watch(browser), await watch(owner)];
  const remove = (who, login, removed) => post(who, "/api/operator/removals", { login, removed });
  assert.equal((await remove(owner, "member", true)).status, 403);
  assert.equal((await remove(operator, "operator", true)).status, 403);
  assert.equal((await remove(operator, "nobody", true)).status, 404);
  assert.equal((await remove(operator, "Member", true)).status, 200);
  await isOut(viewer, browser);
  await isIn(others);
  const byKey = await edge.server.fetch("/api/me", { headers: { authorization: `Bearer ${key}` } });
  assert.equal(byKey.status, 401);
  const back = await new Browser(edge).signIn(github, "member");
  assert.equal(back.headers.get("location"), "/?sign-in=not_allowed");
  assert.equal((await remove(operator, "member", false)).status, 200);
  await (await watch(await signedIn("member"))).close();
  const deeds = await edge.rows("SELECT action, target, detail FROM audit WHERE action LIKE 'user.%'");
  assert.deepEqual(
    deeds.map((deed) => Object.values(deed)),
    [
      ["user.remove", "usr_github_2", "Member"],
      ["user.restore", "usr_github_2", "member"],
    ],
  );
  await others.close();
});

test("A11: sockets of a session that sleeps are closed all the same", async () => {
  const browser = await signedIn("member");
  const [viewer, others] = [await watch(browser), await watch(owner)];
  await edge.sleep(sessionId);
  await post(browser, "/api/sign-out-everywhere");
  await isOut(viewer, browser);
  await isIn(others);
  await others.close();
});

test("tickets are forgotten with their sockets, and a socket comes back once a day", async () => {
  const browser = await signedIn("member");
  const viewer = await watch(browser);
  const rows = () => edge.rows("SELECT ticket_id FROM sockets WHERE user_id = 'usr_github_2'");
  await until(rows, ({ length }) => length === 1, "one row");
  await edge.rows("UPDATE sockets SET opened_at = opened_at - 86400001 WHERE user_id = 'usr_github_2'");
  await edge.worker.scheduled({ cron: "* * * * *" });
  assert.equal(await viewer.closed(), COME_BACK);
  assert.deepEqual(await rows(), []);
  const again = await watch(browser);
  await until(rows, ({ length }) => length === 1, "one row");
  await again.close();
  await until(rows, ({ length }) => length === 0, "no row");
});
