/** The Worker as it is deployed: GitHub sign-in, an address of its own, no test routes; and one that is configured wrongly. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, read, SESSION_KEY, startEdge, TOKEN_KEYS } from "./support/edge.mjs";
import { claims, jwt } from "./support/sign.mjs";
import { handshake } from "./support/viewer.mjs";

const HOME = "https://farhand.example";

let edge;
before(async () => {
  edge = await startEdge({
    vars: { SIGN_IN: "github", PUBLIC_URL: `${HOME}/`, TEST_ROUTES: "", GITHUB_CLIENT_ID: "client" },
    secrets: { GITHUB_CLIENT_SECRET: "secret-of-the-client", TOKEN_KEYS },
  });
});
after(() => edge?.close());

const cookie = () =>
  `__Host-farhand_session=${jwt(SESSION_KEY, claims("client", { issuer: "github", user: ADA }))}`;
const get = async (path, headers = {}) => read(await edge.server.fetch(path, { headers }));
const post = async (path, headers = {}) =>
  read(
    await edge.server.fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: '{"login":"ada"}',
    }),
  );

test("there are no local users, not even on loopback", async () => {
  assert.deepEqual((await get("/api/configuration")).body.signIn, { type: "github" });
  for (const address of [edge.origin, HOME]) {
    const { status, body } = await post(`${address}/api/sign-in`, { origin: address });
    assert.deepEqual([status, body.code], [403, "forbidden"], address);
    assert.match(body.message, /GitHub/);
  }
  const local = `__Host-farhand_session=${jwt(SESSION_KEY, claims("client", { issuer: "local", user: ADA }))}`;
  assert.equal((await get("/api/me", { cookie: local })).status, 401, "a local user's cookie");
});

test("a signed-in user is known at the deployment's own address", async () => {
  const { status, body } = await get(`${HOME}/api/me`, { cookie: cookie() });
  assert.deepEqual([status, body], [200, ADA]);
});

test("cookies of an encrypted address stay encrypted", async () => {
  const { headers } = await post(`${HOME}/api/sign-out`, { origin: HOME });
  assert.match(headers.get("set-cookie"), /; Secure$/);
});

test("pages of the public address count, also when the request came by another", async () => {
  const from = (origin) => post("/api/sign-out", { origin, cookie: cookie() });
  assert.equal((await from(HOME)).status, 200);
  assert.equal((await from("http://farhand.example")).status, 403);
  assert.equal((await from("https://farhand.example.evil.example")).status, 403);
  const socket = await handshake(edge.origin, "/api/sessions/ses_none/socket", { origin: HOME });
  assert.equal(socket.body.code, "version_unsupported", "the origin was accepted");
});

test("test routes do not exist", async () => {
  for (const path of ["/api/test/routes", "/api/test/panic", "/api/test/sessions/ses_none/panic"]) {
    const { status, body } = await get(path);
    assert.deepEqual([status, body.code], [404, "not_found"], path);
  }
});

test("a wrong setting is named, its value is not, and pages still come", async () => {
  const broken = await startEdge({ secrets: { BRIDGE_KEY: "too-short-canary" } });
  try {
    for (const path of ["/api/health", "/api/configuration"]) {
      const { status, body } = await read(await broken.server.fetch(path));
      assert.deepEqual([status, body.code], [500, "internal"], path);
      assert.match(body.message, /BRIDGE_KEY is shorter than 32 bytes/);
      assert.ok(!body.message.includes("canary"));
    }
    assert.equal((await read(await broken.server.fetch("/"))).status, 200);
  } finally {
    await broken.close();
  }
});
