/** What people set and see of themselves, operators of everybody, and managed browsers of the extension. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, read, startEdge } from "./support/edge.mjs";

const EXTENSION = "abcdefghijklmnopabcdefghijklmnop";

let edge;
let ada;
let grace;
before(async () => {
  edge = await startEdge({
    vars: {
      EXTENSION_IDS: EXTENSION,
      OPERATORS: "grace",
      EXTENSION_PACKAGE_URL: "https://files.example/farhand.crx?a=1&b=2",
      EXTENSION_VERSION: "1.4.0",
    },
  });
  [ada, grace] = [await edge.client(ADA), await edge.client(GRACE)];
});
after(() => edge?.close());

/** Signs Ada in with a browser of this name; its cookies. */
async function signIn(browser) {
  const answer = await edge.server.fetch("/api/sign-in", {
    method: "POST",
    headers: { origin: edge.origin, "content-type": "application/json", "user-agent": browser },
    body: JSON.stringify({ login: ADA.login }),
  });
  assert.equal(answer.status, 200);
  return answer.headers
    .getSetCookie()
    .map((cookie) => cookie.split(";")[0])
    .join("; ");
}

const ask = async (cookie, path, method = "GET") =>
  read(
    await edge.server.fetch(path, {
      method,
      headers: { cookie, origin: edge.origin, "content-type": "application/json" },
      body: method === "GET" ? undefined : "{}",
    }),
  );

test("a user sees where they are signed in, and ends one of them", async () => {
  const here = await signIn("Browser at work");
  const there = await signIn(`Phone ${"é".repeat(300)}`);
  const { status, body } = await ask(here, "/api/sign-ins");
  assert.equal(status, 200);
  const mine = body.signIns.find((one) => one.browser === "Browser at work");
  const phone = body.signIns.find((one) => one.browser.startsWith("Phone"));
  assert.deepEqual([mine.current, phone.current], [true, false]);
  assert.ok(new TextEncoder().encode(phone.browser).length <= 200, "a long name is cut");
  assert.match(phone.id, /^[0-9a-f]{32}$/);
  assert.ok(mine.expiresAt > Date.now() && mine.usedAt >= mine.createdAt);
  assert.deepEqual(
    (await grace.get("/api/sign-ins")).body.signIns.filter(({ id }) => id === phone.id),
    [],
  );

  assert.equal((await grace.delete(`/api/sign-ins/${phone.id}`)).status, 404, "of somebody else");
  assert.equal((await ask(here, `/api/sign-ins/${phone.id}`, "DELETE")).status, 200);
  assert.equal((await ask(here, `/api/sign-ins/${phone.id}`, "DELETE")).status, 404, "it has ended");
  const rest = (await ask(here, "/api/sign-ins")).body.signIns;
  assert.ok(!rest.some(({ id }) => id === phone.id) && rest.some(({ id }) => id === mine.id));
  const refresh = there.split("; ").find((cookie) => cookie.includes("refresh"));
  assert.equal((await ask(refresh, "/api/me")).status, 401, "nothing follows from its refresh token");
  const [line] = await edge.rows("SELECT actor, target FROM audit WHERE action = 'sign_out.elsewhere'");
  assert.deepEqual(line, { actor: ADA.id, target: phone.id });
});

test("operators see everybody, and who runs the deployment", async () => {
  assert.equal((await ada.get("/api/operator/people")).status, 403);
  const { status, body } = await grace.get("/api/operator/people");
  assert.equal(status, 200);
  const [one, other] = [ADA, GRACE].map(({ id }) => body.people.find((person) => person.id === id));
  assert.deepEqual([one.login, one.name, one.operator, one.refusedAt], [ADA.login, ADA.name, false, null]);
  assert.equal(other.operator, true);
  assert.ok(one.signIns >= 1 && one.keys === 0 && one.seenAt >= one.createdAt);
  assert.ok(!JSON.stringify(body).includes("@"), "addresses are nobody's business here");
});

/** What was found of one integration. */
const found = async (name) => {
  const { status, body } = await grace.get("/api/operator/checks");
  assert.equal(status, 200);
  const { state, detail } = body.checks.find((check) => check.name === name);
  return [state, detail];
};

test("operators see whether what the deployment works with works, and what to do", async () => {
  assert.equal((await ada.get("/api/operator/checks")).status, 403);
  assert.deepEqual(await found("Sandbox bridge"), [
    "works",
    "local sandboxes; limits: cpu, memory, pids, disk, life",
  ]);
  assert.deepEqual(await found("GitHub App"), ["works", "farhand, installed 1 times"]);
  assert.deepEqual(await found("Database"), ["works", "it answers, with its tables"]);
  assert.deepEqual(await found("Store of artifacts"), ["works", "it answers"]);
  assert.deepEqual(await found("Slack"), ["works", "set up for the workspace T0FARHAND"]);
  const [address, links] = await found("Address");
  assert.equal(address, "limited");
  assert.match(links, /PUBLIC_URL is not set/);
  assert.match((await found("Webhooks of GitHub"))[1], /none has come yet/);

  const { bridge, codeHost } = edge;
  bridge.capabilities.missing.push("no cgroups: limits of memory do not hold");
  const { permissions, events } = codeHost.pulls.facts;
  codeHost.pulls.facts = { permissions: { ...permissions, checks: undefined }, events: events.slice(1) };
  assert.deepEqual(await found("GitHub App"), [
    "limited",
    "farhand, installed 1 times; it lacks checks: read, event pull_request: add that on its page",
  ]);
  assert.match((await found("Sandbox bridge")).join(), /^limited,.*limits of memory do not hold$/);
  codeHost.pulls.installed.clear();
  assert.match((await found("GitHub App")).join(), /^wrong,.*installed nowhere/);
  bridge.forgery.of = () => undefined;
  assert.match((await found("Sandbox bridge")).join(), /^wrong,.*BRIDGE_KEY must be the same/);
  bridge.forgery.of = (right) => right;
});

test("what tells a repository apart is written by whoever may push to it", async () => {
  const path = "/api/repositories/acme/shop/hints";
  assert.deepEqual((await ada.get(path)).body, { description: "", hints: "", channels: [] });
  const value = {
    description: " The storefront ",
    hints: "cart\ncheckout",
    channels: ["C024BE91L", "C0AAAAAAA"],
  };
  assert.equal((await ada.put(path, value)).status, 200);
  const expected = { ...value, description: "The storefront", channels: ["C024BE91L", "C0AAAAAAA"] };
  assert.deepEqual((await ada.get(path)).body, expected);
  await ada.newSession();
  assert.deepEqual((await ada.get(path)).body, expected, "a session does not take it away");

  const other = "/api/repositories/acme/site/hints";
  assert.equal((await ada.put(other, { description: "", hints: "", channels: ["C024BE91L"] })).status, 200);
  assert.deepEqual((await ada.get(path)).body.channels, ["C0AAAAAAA"], "a channel is one repository's");
  for (const wrong of [
    { ...value, channels: ["general"] },
    { ...value, channels: "C024BE91L" },
    { ...value, hints: "x".repeat(2001) },
    { ...value, description: "a\u0000b" },
    { ...value, more: 1 },
    { description: "", hints: "" },
  ]) {
    const answer = await ada.put(path, wrong);
    assert.deepEqual(
      [answer.status, answer.body.code],
      [400, "bad_request"],
      JSON.stringify(wrong).slice(0, 80),
    );
  }
  for (const refused of ["acme/read-only", "acme/nowhere"])
    assert.ok((await ada.put(`/api/repositories/${refused}/hints`, value)).status >= 400, refused);
});

test("a repository's status tells what was set for it", async () => {
  await ada.newSession();
  const settings = { setup: ["npm ci"], poolTarget: 2 };
  assert.equal((await ada.put("/api/repositories/acme/shop/settings", settings)).status, 200);
  assert.deepEqual((await ada.get("/api/repositories/acme/shop/status")).body.settings, settings);
});

test("managed browsers find the extension", async () => {
  const answer = await edge.server.fetch(`/extension/updates.xml?x=id%3D${EXTENSION}%26v%3D1.0.0%26uc`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get("content-type"), "application/xml");
  const text = await answer.text();
  assert.ok(text.includes(`<app appid="${EXTENSION}">`), text);
  assert.ok(
    text.includes('<updatecheck codebase="https://files.example/farhand.crx?a=1&amp;b=2" version="1.4.0"/>'),
    text,
  );
});

test("a deployment that hands out no extension says what is not set", async () => {
  const bare = await startEdge({
    vars: { EXTENSION_IDS: EXTENSION, EXTENSION_PACKAGE_URL: "http://files.example/x.crx" },
  });
  try {
    const { status, body } = await read(await bare.server.fetch("/extension/updates.xml"));
    assert.deepEqual([status, body.code], [404, "not_found"]);
    assert.match(body.message, /EXTENSION_VERSION/);
  } finally {
    await bare.close();
  }
});
