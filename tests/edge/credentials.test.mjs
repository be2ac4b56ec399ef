/** Tokens of the GitHub App for bridges: of one repository (A19), to bridges alone, and what is said where the App has none. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, startEdge } from "./support/edge.mjs";

let edge;
before(async () => {
  edge = await startEdge({ vars: { IMAGES: "off" } });
});
after(() => edge?.close());

const ask = (name, changed) => edge.reportOfRepository(name, "credential", {}, changed);

test("a19 a bridge gets a token that opens one repository, for content and pull requests", async () => {
  const { status, body, headers } = await ask("acme/shop");
  assert.equal(status, 200);
  assert.match(body.token, /^ghs_/);
  assert.equal(body.origin, edge.codeHost.url);
  assert.ok(body.expiresAt > Date.now() + 3_000_000, `${body.expiresAt}`);
  assert.equal(headers.get("cache-control"), "no-store");
  const asked = edge.codeHost.pulls.calls.map(({ method, path, who, body }) => ({ method, path, who, body }));
  assert.deepEqual(asked, [
    { method: "GET", path: "/repos/acme/shop/installation", who: "app", body: undefined },
    {
      method: "POST",
      path: "/app/installations/7/access_tokens",
      who: "app",
      body: { repositories: ["shop"], permissions: { contents: "write", pull_requests: "write" } },
    },
  ]);
});

test("where the App is not installed the remedy is said", async () => {
  const { status, body } = await ask("acme/site");
  assert.deepEqual([status, body.code], [422, "repository_unreachable"]);
  assert.match(body.message, /is not installed for acme\/site; an owner of acme installs it/);
});

test("nobody but a bridge gets one", async () => {
  const path = "/api/bridge/repositories/acme/shop/credential";
  const ada = await edge.client(ADA);
  const before = edge.codeHost.pulls.calls.length;
  assert.equal((await ada.post(path)).status, 401);
  const forged = await edge.reportOfRepository("acme/shop", "credential", {}, { key: "x".repeat(40) });
  assert.deepEqual([forged.status, forged.body.code], [401, "signature_invalid"]);
  assert.equal(edge.codeHost.pulls.calls.length, before);
});

test("an App that cannot prove itself is a matter of settings, and nothing of them is shown", async () => {
  for (const secrets of [
    { GITHUB_APP_PRIVATE_KEY: "canary-that-is-no-key" },
    { GITHUB_APP_ID: "" },
    { GITHUB_APP_ID: "canary-of-another" },
  ]) {
    const other = await startEdge({ vars: { IMAGES: "off" }, secrets });
    const { status, body } = await other.reportOfRepository("acme/shop", "credential", {});
    assert.equal(status, 500, JSON.stringify(secrets));
    assert.match(body.message, /GITHUB_APP_ID|GITHUB_APP_PRIVATE_KEY/);
    assert.ok(!body.message.includes("canary"), body.message);
    await other.close();
  }
});
