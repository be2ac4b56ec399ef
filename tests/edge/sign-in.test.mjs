/** Signing in through GitHub, staying signed in, and signing out: A07, A13, A43, A44 and A45 of the attacks that must fail. */

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { BRIDGE_KEY, SESSION_KEY, startEdge, TOKEN_KEYS } from "./support/edge.mjs";
import { Browser, CLIENT_ID, CLIENT_SECRET, startGithub } from "./support/github.mjs";
import { claims, jwt } from "./support/sign.mjs";

let edge;
let github;
const people = {
  ada: { id: 7, name: "Ada Lovelace", email: "ada@farhand.example", repositories: ["acme/shop"] },
  grace: {
    id: 8,
    name: "Grace Hopper",
    email: "grace@farhand.example",
    organisations: { acme: "active" },
    repositories: [],
  },
  alan: { id: 9, email: "alan@farhand.example", teams: ["acme/core"] },
  invited: { id: 10, email: "invited@farhand.example", organisations: { acme: "pending" } },
  eve: { id: 11, email: "eve@evil.example" },
  unverified: { id: 12, email: "u@farhand.example", verified: false, organisations: { acme: "active" } },
  root: { id: 13, email: "root@farhand.example" },
};

before(async () => {
  github = await startGithub(people);
  edge = await startEdge({
    vars: {
      SIGN_IN: "github",
      GITHUB_URL: github.url,
      GITHUB_API_URL: github.url,
      GITHUB_CLIENT_ID: CLIENT_ID,
      ALLOWED_LOGINS: "Ada",
      ALLOWED_ORGANISATIONS: "acme",
      ALLOWED_TEAMS: "acme/core",
      OPERATORS: "root",
    },
    secrets: { GITHUB_CLIENT_SECRET: CLIENT_SECRET, TOKEN_KEYS },
  });
});
after(async () => {
  await edge?.close();
  await github?.close();
});

beforeEach(() => execute("DELETE FROM rate_counts"));

const now = () => Date.now();
const me = (browser) => browser.fetch("/api/me");
const execute = (sql, ...values) => edge.rows(sql, ...values);

async function signedIn(login) {
  const browser = new Browser(edge);
  const { status, headers } = await browser.signIn(github, login);
  assert.deepEqual([status, headers.get("location")], [302, "/"]);
  return browser;
}

test("somebody on the list signs in with state, PKCE and a verified address", async () => {
  const browser = new Browser(edge);
  const away = await browser.fetch("/api/sign-in/github?to=/sessions/ses_1");
  assert.equal(away.status, 302);
  const url = new URL(away.headers.get("location"));
  assert.equal(url.origin + url.pathname, `${github.url}/login/oauth/authorize`);
  assert.equal(url.searchParams.get("client_id"), CLIENT_ID);
  assert.equal(url.searchParams.get("redirect_uri"), `${edge.origin}/api/sign-in/github/callback`);
  assert.equal(url.searchParams.get("code_challenge_method"), "S256");
  assert.match(url.searchParams.get("code_challenge"), /^[\w-]{43}$/);
  assert.match(url.searchParams.get("state"), /^[\w-]{43}$/);
  assert.match(
    away.headers.getSetCookie()[0],
    /^farhand_sign_in=[\w-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax$/,
  );
  const back = await browser.fetch(github.allow(away.headers.get("location"), "ada"));
  assert.deepEqual([back.status, back.headers.get("location")], [302, "/sessions/ses_1"]);
  assert.deepEqual((await me(browser)).body, {
    id: "usr_github_7",
    login: "ada",
    name: "Ada Lovelace",
    email: "ada@farhand.example",
  });
  assert.ok(!browser.cookies.has("farhand_sign_in"), "the attempt's cookie is gone");
});

test("organisations, teams and operators come in, invitations and strangers do not", async () => {
  for (const login of ["grace", "alan", "root"])
    assert.equal((await me(await signedIn(login))).status, 200, login);
  for (const [login, problem] of [
    ["invited", "not_allowed"],
    ["eve", "not_allowed"],
    ["unverified", "no_email"],
  ]) {
    const browser = new Browser(edge);
    const { status, headers } = await browser.signIn(github, login);
    assert.deepEqual([status, headers.get("location")], [302, `/?sign-in=${problem}`], login);
    assert.equal((await me(browser)).status, 401, login);
  }
  const refused = await execute("SELECT target FROM audit WHERE action = 'sign_in.refused' ORDER BY target");
  assert.deepEqual(refused, [{ target: "eve" }, { target: "invited" }]);
});

test("a state counts once, in the browser that left with it, and with its own code", async () => {
  const problem = async (browser, location) => {
    const { status, headers } = await browser.fetch(location);
    assert.equal(status, 302);
    assert.equal((await me(browser)).status, 401);
    return headers.get("location");
  };
  const left = async (browser) => (await browser.fetch("/api/sign-in/github")).headers.get("location");
  const [ada, mallory] = [new Browser(edge), new Browser(edge)];
  const back = github.allow(await left(ada), "ada");
  assert.equal(await problem(mallory, back), "/?sign-in=expired", "a browser without the cookie");
  await left(mallory);
  assert.equal(await problem(mallory, back), "/?sign-in=expired", "a browser that left itself");
  const cookie = ada.cookies.get("farhand_sign_in");
  assert.equal((await ada.fetch(back)).headers.get("location"), "/");
  const again = new Browser(edge);
  again.cookies.set("farhand_sign_in", cookie);
  assert.equal(await problem(again, back), "/?sign-in=expired", "a second time");
  const swapped = new Browser(edge);
  const state = new URL(await left(swapped)).searchParams.get("state");
  const foreignCode = new URL(github.allow(await left(new Browser(edge)), "ada")).searchParams.get("code");
  assert.equal(
    await problem(swapped, `/api/sign-in/github/callback?code=${foreignCode}&state=${state}`),
    "/?sign-in=expired",
    "a code with another challenge",
  );
  const denied = new Browser(edge);
  const deniedState = new URL(await left(denied)).searchParams.get("state");
  assert.equal(
    await problem(denied, `/api/sign-in/github/callback?error=access_denied&state=${deniedState}`),
    "/?sign-in=denied",
  );
  assert.equal(await problem(new Browser(edge), "/api/sign-in/github/callback"), "/?sign-in=expired");
});

test("nobody is sent to another site afterwards", async () => {
  for (const to of [
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "/api/sign-out",
    "javascript:1",
  ]) {
    const { headers } = await new Browser(edge).signIn(github, "ada", to);
    assert.equal(headers.get("location"), "/", to);
  }
});

test("A13: sign-ins are limited for each address, and no header of a proxy makes another address", async () => {
  const statuses = [];
  for (let time = 0; time < 32; time += 1) {
    const headers = {
      "x-forwarded-for": `10.0.0.${time}`,
      "x-real-ip": `10.0.0.${time}`,
      forwarded: `for=10.0.0.${time}`,
    };
    statuses.push((await new Browser(edge).fetch("/api/sign-in/github", { headers })).status);
  }
  assert.deepEqual(statuses, [...Array(30).fill(302), 429, 429]);
});

test("A13: no header of a proxy says who somebody is, or where this deployment is", async () => {
  const headers = {
    "x-forwarded-user": "ada",
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "https",
    "x-auth-request-user": "usr_github_7",
    "x-farhand-user": "usr_github_7",
  };
  assert.equal((await new Browser(edge).fetch("/api/me", { headers })).status, 401);
  const away = await new Browser(edge).fetch("/api/sign-in/github", { headers });
  const back = new URL(away.headers.get("location")).searchParams.get("redirect_uri");
  assert.equal(back, `${edge.origin}/api/sign-in/github/callback`);
});

test("a refresh token brings the next pair, and an old one ends the whole family", async () => {
  const browser = await signedIn("ada");
  const first = browser.cookies.get("farhand_refresh");
  browser.cookies.delete("farhand_session");
  const { status, headers } = await me(browser);
  assert.equal(status, 200);
  assert.equal(headers.getSetCookie().length, 2, "the answer brings both cookies");
  const second = browser.cookies.get("farhand_refresh");
  assert.notEqual(second, first);
  const only = (refresh) => {
    const other = new Browser(edge);
    other.cookies.set("farhand_refresh", refresh);
    return other;
  };
  assert.equal((await me(only(first))).status, 200, "two tabs may race");
  await execute("UPDATE refresh_tokens SET used_at = used_at - 60000 WHERE used_at IS NOT NULL");
  const thief = only(first);
  assert.equal((await me(thief)).status, 401, "later it is in two hands");
  assert.equal((await me(only(second))).status, 401, "whoever has the newer one");
  const [deed] = await execute("SELECT actor, action FROM audit ORDER BY audit_id DESC LIMIT 1");
  assert.deepEqual(deed, { actor: "usr_github_7", action: "sign_in.reused" });
});

test("a refresh token is kept as a digest and ends by itself", async () => {
  const browser = await signedIn("ada");
  const token = browser.cookies.get("farhand_refresh");
  const rows = await execute("SELECT token_hash FROM refresh_tokens");
  assert.ok(rows.length > 0 && !JSON.stringify(rows).includes(token));
  await execute("UPDATE refresh_tokens SET expires_at = ?", now() - 1);
  browser.cookies.delete("farhand_session");
  assert.equal((await me(browser)).status, 401);
});

test("signing out ends the sign-in at once for its refresh token, and everywhere for all", async () => {
  const [here, there] = [await signedIn("ada"), await signedIn("ada")];
  const kept = here.cookies.get("farhand_refresh");
  await here.fetch("/api/sign-out", { method: "POST" });
  assert.equal(here.cookies.size, 0);
  here.cookies.set("farhand_refresh", kept);
  assert.equal((await me(here)).status, 401);
  assert.equal((await me(there)).status, 200);
  const again = await signedIn("ada");
  assert.equal((await again.fetch("/api/sign-out-everywhere", { method: "POST" })).status, 200);
  there.cookies.delete("farhand_session");
  assert.equal((await me(there)).status, 401);
});

test("who is taken off the list is out at the next refresh, with everything", async () => {
  const browser = await signedIn("grace");
  people.grace.organisations.acme = undefined;
  try {
    assert.equal((await me(browser)).status, 200, "the short cookie still counts");
    browser.cookies.delete("farhand_session");
    assert.equal((await me(browser)).status, 200, "the code host was asked a moment ago");
    await execute("UPDATE users SET checked_at = 0 WHERE login = 'grace'");
    browser.cookies.delete("farhand_session");
    assert.equal((await me(browser)).status, 401);
    assert.equal(browser.cookies.size, 0);
    const left = await execute(
      "SELECT count(*) AS n FROM sign_ins WHERE user_id = 'usr_github_8' AND revoked_at IS NULL",
    );
    assert.deepEqual(left, [{ n: 0 }]);
  } finally {
    people.grace.organisations.acme = "active";
  }
});

test("a code host that is away signs nobody out for an hour", async () => {
  const browser = await signedIn("ada");
  github.failures.set("/user", 502);
  try {
    await execute("UPDATE users SET checked_at = ? WHERE login = 'ada'", now() - 1_800_000);
    browser.cookies.delete("farhand_session");
    assert.equal((await me(browser)).status, 200);
    await execute("UPDATE users SET checked_at = ? WHERE login = 'ada'", now() - 3_600_001);
    browser.cookies.delete("farhand_session");
    assert.deepEqual([(await me(browser)).status], [503]);
  } finally {
    github.failures.clear();
  }
  assert.equal((await me(browser)).status, 200, "and the cookie is still good");
});

test("a renamed account keeps its id, and its new login is what counts", async () => {
  const browser = await signedIn("ada");
  people.ada.login = "ada-renamed";
  try {
    await execute("UPDATE users SET checked_at = 0 WHERE user_id = 'usr_github_7'");
    browser.cookies.delete("farhand_session");
    assert.equal((await me(browser)).status, 401, "the list names the old login");
  } finally {
    people.ada.login = undefined;
  }
});

test("A43: a token is sealed, and opens for nobody else and by no other key", async () => {
  const [ada] = [await signedIn("ada"), await signedIn("grace")];
  const read = () => execute("SELECT user_id, key_id, sealed FROM sealed_tokens ORDER BY user_id");
  const rows = await read();
  assert.ok(rows.length >= 2);
  for (const { key_id, sealed } of rows) {
    assert.equal(key_id, "first");
    assert.match(sealed, /^v1\.first\.[\w-]{16}\.[\w-]+$/);
    for (const secret of github.secrets) assert.ok(!sealed.includes(secret));
  }
  const sealedOf = (id) => rows.find(({ user_id }) => user_id === id).sealed;
  const own = sealedOf("usr_github_7");
  const list = async () => {
    const { status, body } = await ada.fetch("/api/repositories");
    return [status, body.code];
  };
  const put = (sealed) =>
    execute("UPDATE sealed_tokens SET sealed = ? WHERE user_id = 'usr_github_7'", sealed);
  assert.deepEqual(await list(), [200, undefined]);
  const flipped = own.slice(0, -2) + (own.endsWith("AA") ? "BB" : "AA");
  for (const [what, sealed] of Object.entries({
    "another user's": sealedOf("usr_github_8"),
    changed: flipped,
    cut: own.slice(0, -4),
    "of another version": own.replace(/^v1/, "v2"),
    "of a key that is not in the ring": own.replace("v1.first", "v1.second"),
    "not one": "x",
  })) {
    await put(sealed);
    assert.deepEqual(await list(), [401, "sign_in_required"], what);
  }
  await put(own);
  assert.deepEqual(await list(), [200, undefined]);
});

test("a token that ends is refreshed once, however many ask at the same time, and stored before use", async () => {
  github.lifetime = 60;
  github.refreshDelay = 200;
  const browser = await signedIn("ada");
  const before = github.refreshes;
  github.lifetime = 28_800;
  const [{ sealed }] = await execute("SELECT sealed FROM sealed_tokens WHERE user_id = 'usr_github_7'");
  const answers = await Promise.all(Array.from({ length: 8 }, () => browser.fetch("/api/repositories")));
  assert.equal(github.refreshes - before, 1);
  assert.deepEqual(
    answers.map(({ status }) => status),
    Array(8).fill(200),
  );
  const [after] = await execute("SELECT sealed FROM sealed_tokens WHERE user_id = 'usr_github_7'");
  assert.notEqual(after.sealed, sealed);
  assert.equal((await browser.fetch("/api/repositories")).status, 200);
  assert.equal(github.refreshes - before, 1);
  github.lifetime = undefined;
  github.refreshDelay = 0;
});

test("a token that the code host does not renew makes its user sign in again, and says so", async () => {
  github.lifetime = 1;
  const browser = await signedIn("ada");
  github.lifetime = undefined;
  github.forgetRefreshTokens();
  const { status, body } = await browser.fetch("/api/repositories");
  assert.deepEqual([status, body.code], [401, "sign_in_required"]);
  assert.match(body.message, /sign in again/);
  assert.deepEqual(await execute("SELECT 1 FROM sealed_tokens WHERE user_id = 'usr_github_7'"), []);
});

test("who leaves for good has ended the authorisation at the code host, also where it was away at first", async () => {
  const browser = await signedIn("alan");
  const tokens = () => execute("SELECT 1 FROM sealed_tokens WHERE user_id = 'usr_github_9'");
  const path = `/applications/${CLIENT_ID}/grant`;
  github.failures.set(path, 503);
  const left = await browser.fetch("/api/me/erasure", { method: "POST", value: { login: "alan" } });
  assert.equal(left.status, 202, JSON.stringify(left.body));
  assert.deepEqual(github.ended, []);
  assert.equal((await tokens()).length, 1, "to be tried again");
  github.failures.delete(path);
  await execute("UPDATE erasures SET next_at = 0");
  await edge.worker.scheduled({ cron: "* * * * *" });
  assert.deepEqual(github.ended, ["alan"]);
  assert.deepEqual(await tokens(), []);
  await execute("UPDATE erasures SET next_at = 0");
  await edge.worker.scheduled({ cron: "* * * * *" });
  assert.deepEqual(github.ended, ["alan"], "once");
});

test("A07: no other token is a signed-in user", async () => {
  const user = { id: "usr_github_7", login: "ada", name: "Ada", email: "ada@farhand.example" };
  const good = claims("client", { issuer: "github", user });
  const status = async (token) =>
    (await edge.server.fetch("/api/me", { headers: { cookie: `farhand_session=${token}` } })).status;
  assert.equal(await status(jwt(SESSION_KEY, good)), 200, "the forger of this test knows how");
  const payload = (text) => Buffer.from(text).toString("base64url");
  const [header, body, mac] = jwt(SESSION_KEY, good).split(".");
  const later = { issuedAt: now() + 120_000, expiresAt: now() + 240_000 };
  for (const [what, token] of Object.entries({
    "alg none": `${payload('{"alg":"none"}')}.${body}.`,
    "alg none with a signature": `${payload('{"alg":"none"}')}.${body}.${mac}`,
    "another algorithm": jwt(SESSION_KEY, good, { header: { alg: "HS384" }, digest: "sha384" }),
    "key confusion": jwt(SESSION_KEY, good, { header: { alg: "RS256" } }),
    "a key in the header": jwt("x".repeat(32), good, {
      header: { alg: "HS256", jwk: { kty: "oct", k: "eHh4" } },
    }),
    "a key elsewhere": jwt("x".repeat(32), good, {
      header: { alg: "HS256", jku: "https://evil.example/jwks" },
    }),
    "a certificate elsewhere": jwt("x".repeat(32), good, {
      header: { alg: "HS256", x5u: "https://evil.example" },
    }),
    "the bridge's key": jwt(BRIDGE_KEY, good),
    "a ticket": jwt(SESSION_KEY, { ...good, aud: "socket" }),
    "a bridge's audience": jwt(SESSION_KEY, { ...good, aud: "edge" }),
    "another issuer": jwt(SESSION_KEY, { ...good, issuer: "local" }),
    expired: jwt(
      SESSION_KEY,
      claims("client", { issuer: "github", user }, { issuedAt: now() - 2, expiresAt: now() - 1 }),
    ),
    "not valid yet": jwt(SESSION_KEY, claims("client", { issuer: "github", user }, later)),
    huge: `${header}.${body}.${"A".repeat(8000)}`,
    "a changed body": `${header}.${payload(JSON.stringify({ ...good, user: { ...user, id: "usr_github_8" } }))}.${mac}`,
  })) {
    assert.equal(await status(token), 401, what);
  }
});

test("A44: no secret is in an answer, a URL, the database or the log", async () => {
  const browser = await signedIn("ada");
  await browser.fetch("/api/repositories");
  const tables = ["users", "sign_ins", "refresh_tokens", "sealed_tokens", "audit", "attempts", "api_keys"];
  const seen = [JSON.stringify(github.requests.map(({ path }) => path))];
  for (const table of tables) seen.push(JSON.stringify(await execute(`SELECT * FROM ${table}`)));
  for (const path of ["/api/me", "/api/configuration", "/api/repositories", "/api/sessions", "/api/keys"])
    seen.push(JSON.stringify((await browser.fetch(path)).body));
  seen.push(JSON.stringify(await edge.worker.getLogs?.()) ?? "");
  const secrets = [...github.secrets, CLIENT_SECRET, SESSION_KEY, BRIDGE_KEY, ...browser.cookies.values()];
  for (const secret of secrets) {
    for (const text of seen)
      assert.ok(!text.includes(secret), `${secret.slice(0, 12)}… in ${text.slice(0, 80)}`);
  }
});

test("an operator wraps tokens anew after a rotation; then the old key opens nothing and may go", async () => {
  const [ada, root] = [await signedIn("ada"), await signedIn("root")];
  const key = (byte) => Buffer.alloc(32, byte).toString("base64");
  const rotate = (current, keys) =>
    edge.server.update((options) => {
      const [worker, ...others] = options.workers;
      const secrets = { ...worker.secrets, TOKEN_KEYS: JSON.stringify({ current, keys }) };
      return { ...options, workers: [{ ...worker, secrets }, ...others] };
    });
  const rewrap = async () => (await root.fetch("/api/operator/rewrap", { method: "POST" })).body;
  const list = async () => (await ada.fetch("/api/repositories")).status;
  try {
    assert.equal((await ada.fetch("/api/operator/rewrap", { method: "POST" })).status, 403);
    await rotate("second", { first: key(1), second: key(2) });
    assert.equal(await list(), 200, "both keys are in the ring");
    const done = await rewrap();
    assert.ok(done.rewrapped >= 2, JSON.stringify(done));
    assert.deepEqual([done.unreadable, done.left], [0, 0]);
    assert.deepEqual(await rewrap(), { rewrapped: 0, unreadable: 0, left: 0 }, "a repeat does nothing");
    assert.deepEqual(await execute("SELECT DISTINCT key_id FROM sealed_tokens"), [{ key_id: "second" }]);
    await rotate("second", { second: key(2) });
    assert.equal(await list(), 200, "without the old key");
    await rotate("first", { first: key(1) });
    assert.equal(await list(), 401, "the old key opens nothing");
  } finally {
    await rotate("first", { first: key(1) });
  }
});
