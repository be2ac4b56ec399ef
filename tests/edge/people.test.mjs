/** Signing in and out, and where the local issuer works. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, read, SESSION_KEY, startEdge } from "./support/edge.mjs";
import { claims, jwt } from "./support/sign.mjs";

let edge;
before(async () => {
  edge = await startEdge();
});
after(() => edge?.close());

const me = async (cookie) => read(await edge.server.fetch("/api/me", { headers: { cookie } }));
const post = async (path, value, headers = {}) =>
  read(
    await edge.server.fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof value === "string" ? value : JSON.stringify(value),
    }),
  );

test("a local user signs in, is known, and signs out", async () => {
  const answer = await post("/api/sign-in", { login: "ada" }, { origin: edge.origin });
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.body, ADA);
  const [cookie, refresh] = answer.headers.getSetCookie();
  assert.match(
    cookie,
    /^farhand_session=[\w-]+\.[\w-]+\.[\w-]+; Path=\/; Max-Age=600; HttpOnly; SameSite=Strict$/,
  );
  assert.match(refresh, /^farhand_refresh=[\w-]{43}; Path=\/; Max-Age=1209600; HttpOnly; SameSite=Strict$/);
  assert.deepEqual((await me(cookie.split(";")[0])).body, ADA);
  const rows = await edge.rows("SELECT user_id, login, name, email FROM users WHERE user_id = ?", ADA.id);
  assert.deepEqual(rows, [{ user_id: ADA.id, login: ADA.login, name: ADA.name, email: ADA.email }]);
  const out = await post("/api/sign-out", {}, { origin: edge.origin });
  assert.equal(out.status, 200);
  assert.match(out.headers.get("set-cookie"), /^farhand_session=; Path=\/; Max-Age=0; HttpOnly/);
});

test("who is not on the list does not sign in", async () => {
  for (const login of ["", "ADA", "eve", "usr_ada", "ada\u0000"]) {
    const { status, body, headers } = await post("/api/sign-in", { login });
    assert.deepEqual([status, body.code, headers.get("set-cookie")], [403, "forbidden", null], login);
  }
  assert.deepEqual(await edge.rows("SELECT * FROM users WHERE user_id NOT IN (?, ?)", ADA.id, GRACE.id), []);
});

test("a sign-in that is none is 400", async () => {
  for (const body of [
    "",
    "{",
    "[]",
    "{}",
    '{"login":1}',
    '{"login":"ada","role":"admin"}',
    '{"login":"ada","login":"grace"}',
  ]) {
    const answer = await post("/api/sign-in", body);
    assert.deepEqual(
      [answer.status, answer.body.code, answer.headers.get("set-cookie")],
      [400, "bad_request", null],
      body,
    );
  }
});

test("off loopback nobody signs in, and no cookie counts", async () => {
  const ada = await edge.client(ADA);
  const hosts = [
    "http://farhand.example",
    "https://localhost.example",
    "http://127.0.0.1.nip.example",
    "http://10.0.0.1",
  ];
  for (const origin of hosts) {
    for (const [path, method] of [
      ["/api/sign-in", "POST"],
      ["/api/configuration", "GET"],
      ["/api/me", "GET"],
    ]) {
      const headers = {
        origin,
        cookie: ada.cookie,
        "content-type": "application/json",
        "x-forwarded-host": "127.0.0.1",
      };
      const request = method === "POST" ? { method, headers, body: '{"login":"ada"}' } : { headers };
      const { status, body, headers: answered } = await read(await edge.server.fetch(origin + path, request));
      assert.deepEqual(
        [status, body.code, answered.get("set-cookie")],
        [403, "forbidden", null],
        origin + path,
      );
      assert.match(body.message, /loopback/);
      assert.match(body.message, /SIGN_IN/);
    }
  }
});

test("a cookie that this deployment did not write for this is nobody's", async () => {
  const good = claims("client", { issuer: "local", user: ADA });
  const cookieOf = (token) => `farhand_session=${token}`;
  assert.deepEqual(
    (await me(cookieOf(jwt(SESSION_KEY, good)))).body,
    ADA,
    "the forger of this test knows how",
  );
  const now = Date.now();
  const forgeries = {
    "another key": jwt("another-key-another-key-another-key-1", good),
    "no algorithm": jwt(SESSION_KEY, good, { header: { alg: "none" } }),
    "another algorithm": jwt(SESSION_KEY, good, { header: { alg: "HS512" }, digest: "sha512" }),
    "a public key's algorithm": jwt(SESSION_KEY, good, { header: { alg: "RS256" } }),
    "a key in the header": jwt("x".repeat(32), good, {
      header: { alg: "HS256", jwk: { kty: "oct", k: "eHh4" } },
    }),
    expired: jwt(
      SESSION_KEY,
      claims("client", { issuer: "local", user: ADA }, { issuedAt: now - 2, expiresAt: now - 1 }),
    ),
    "from the future": jwt(
      SESSION_KEY,
      claims("client", { issuer: "local", user: ADA }, { issuedAt: now + 120_000 }),
    ),
    "a ticket": jwt(SESSION_KEY, { ...good, aud: "socket" }),
    "another issuer": jwt(SESSION_KEY, { ...good, issuer: "github" }),
    "nobody on the list": jwt(SESSION_KEY, { ...good, user: { ...ADA, id: "usr_eve" } }),
    huge: `${jwt(SESSION_KEY, good)}${"A".repeat(6000)}`,
    "without signature": `${jwt(SESSION_KEY, good).split(".").slice(0, 2).join(".")}.`,
  };
  for (const [what, token] of Object.entries(forgeries)) {
    const { status, body } = await me(cookieOf(token));
    assert.deepEqual([status, body.code], [401, "sign_in_required"], what);
  }
  const renamed = await me(cookieOf(jwt(SESSION_KEY, { ...good, user: { ...ADA, name: "Eve" } })));
  assert.deepEqual(renamed.body, ADA, "the list has the last word on a local user");
});

test("two cookies of one name are nobody's", async () => {
  const [ada, grace] = [await edge.client(ADA), await edge.client(GRACE)];
  assert.equal((await me(`${ada.cookie}; ${grace.cookie}`)).status, 401);
});

test("repositories are asked for with the user's own token", async () => {
  const grace = await edge.client(GRACE);
  const { status, body } = await grace.get("/api/repositories");
  assert.equal(status, 200);
  assert.deepEqual(body.repositories, [
    { id: "acme/shop", description: "All about acme/shop", defaultBranch: "main" },
    { id: "acme/site", description: "All about acme/site", defaultBranch: "main" },
  ]);
  const asked = edge.codeHost.requests.at(-1);
  assert.equal(asked.headers.authorization, "Bearer token-of-grace");
  assert.equal(asked.headers["user-agent"], "farhand");
  assert.equal(asked.headers.accept, "application/vnd.github+json");
  assert.equal(asked.headers["x-github-api-version"], "2022-11-28");
});
