/** What every answer carries, whatever it is; and what is written down about those who change something. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { ADA, GRACE, read, startEdge } from "./support/edge.mjs";
import { fillPath, listRoutes } from "./support/routes.mjs";

let edge;
let ada;
let routes;
before(async () => {
  edge = await startEdge({ vars: { OPERATORS: ADA.login } });
  ada = await edge.client(ADA);
  routes = await listRoutes(edge);
});
after(() => edge?.close());

/** Makes sure that nothing can be made of an answer but what it is. */
function check({ headers }, what) {
  const has = (name) => headers.get(name) ?? "";
  assert.equal(has("x-content-type-options"), "nosniff", what);
  assert.equal(has("referrer-policy"), "no-referrer", what);
  assert.match(has("permissions-policy"), /camera=\(\)/, what);
  assert.match(has("strict-transport-security"), /^max-age=31536000; includeSubDomains$/, what);
  assert.match(has("cross-origin-resource-policy"), /^same-origin$/, what);
  const policy = has("content-security-policy");
  assert.match(policy, /default-src 'none'/, what);
  assert.match(policy, /frame-ancestors 'none'/, what);
  assert.doesNotMatch(policy, /unsafe/, what);
  assert.equal(has("cache-control"), "no-store", what);
  assert.equal(has("access-control-allow-origin"), "", what);
}

test("every answer of the API carries the headers, refusals and defects included", async () => {
  for (const { method, path } of routes) {
    if (!path.startsWith("/api/")) continue;
    const url = fillPath(path);
    const body = method === "GET" ? undefined : "{}";
    const signedIn = { cookie: ada.cookie, origin: edge.origin, "content-type": "application/json" };
    for (const headers of [{}, signedIn]) {
      if (headers === signedIn && path.startsWith("/api/sign-out")) continue;
      const answer = await read(await edge.server.fetch(url, { method, headers, body, redirect: "manual" }));
      check(answer, `${method} ${path}: ${answer.status}`);
    }
  }
  for (const [path, status] of [
    ["/api/nothing", 404],
    ["/api/test/panic", 500],
    ["/api/test/sessions/ses_none/panic", 500],
  ]) {
    const answer = await read(await edge.server.fetch(path));
    assert.equal(answer.status, status, path);
    check(answer, path);
  }
});

test("pages and assets run no script but their own, and are framed by nobody", async () => {
  const text = await readFile(new URL("../../workers/web/public/_headers", import.meta.url), "utf8");
  const everywhere = text.split("\n\n")[0];
  assert.match(everywhere, /^\/\*\n/);
  for (const line of [
    "X-Content-Type-Options: nosniff",
    "Referrer-Policy: no-referrer",
    "Strict-Transport-Security: max-age=31536000; includeSubDomains",
    "Permissions-Policy: camera=(), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy: same-origin",
  ])
    assert.ok(everywhere.includes(`  ${line}\n`) || everywhere.endsWith(`  ${line}`), line);
  const policy = Object.fromEntries(
    everywhere
      .match(/Content-Security-Policy: (.*)/)[1]
      .split("; ")
      .map((directive) => [directive.split(" ")[0], directive.split(" ").slice(1).join(" ")]),
  );
  assert.equal(policy["script-src"], "'self'");
  assert.equal(policy["style-src"], "'self'");
  assert.equal(policy["connect-src"], "'self'");
  for (const closed of ["object-src", "base-uri", "frame-ancestors"])
    assert.equal(policy[closed], "'none'", closed);
  assert.ok(!everywhere.includes("unsafe"));
});

test("what somebody did to a session, a sign-in or a repository is written down", async () => {
  const grace = await edge.client(GRACE);
  const sessionId = await grace.newSession();
  await grace.put(`/api/sessions/${sessionId}/archived`, { archived: true });
  await grace.put(`/api/sessions/${sessionId}/archived`, { archived: false });
  await grace.delete(`/api/sessions/${sessionId}`);
  await grace.put("/api/repositories/acme/shop/settings", {});
  await grace.post("/api/sign-out-everywhere");
  const { entries } = (await ada.get("/api/operator/audit")).body;
  const deeds = entries
    .filter(({ actor }) => actor === GRACE.id)
    .map(({ action, target }) => [action, target]);
  assert.deepEqual(deeds.slice(0, 5), [
    ["sign_out.everywhere", GRACE.id],
    ["repository.settings", "acme/shop"],
    ["session.delete", sessionId],
    ["session.unarchive", sessionId],
    ["session.archive", sessionId],
  ]);
  assert.equal(deeds[5][0], "sign_in");
  assert.ok(entries.every(({ at }) => Math.abs(at - Date.now()) < 600_000));
});

test("what has ended is removed by the cron trigger, the audit log is not", async () => {
  const [{ lines }] = await edge.rows("SELECT count(*) AS lines FROM audit");
  await edge.rows("UPDATE sign_ins SET expires_at = 1");
  await edge.rows("INSERT INTO rate_counts (bucket, count, expires_at) VALUES ('old', 1, 1)");
  await edge.worker.scheduled({ cron: "*/30 * * * *" });
  assert.deepEqual(await edge.rows("SELECT 1 FROM sign_ins"), []);
  assert.deepEqual(await edge.rows("SELECT 1 FROM refresh_tokens"), []);
  assert.deepEqual(await edge.rows("SELECT 1 FROM rate_counts WHERE bucket = 'old'"), []);
  const [after] = await edge.rows("SELECT count(*) AS lines FROM audit");
  assert.equal(after.lines, lines);
});
