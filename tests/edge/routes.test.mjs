/** The route table: what is there, what is not, and what every route asks of those who come. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, read, startEdge } from "./support/edge.mjs";
import { fillPath, listRoutes } from "./support/routes.mjs";
import { handshake } from "./support/viewer.mjs";

let edge;
let routes;
before(async () => {
  // An operator passes every route's policy, so that what comes after it can be seen.
  edge = await startEdge({ vars: { OPERATORS: ADA.login } });
  routes = await listRoutes(edge);
});
after(() => edge?.close());

const path = (route) => fillPath(route.path);
const changing = () =>
  routes.filter(
    ({ method, access }) => method !== "GET" && !["bridge", "code_host", "slack"].includes(access),
  );

test("health says which protocol is spoken", async () => {
  const { status, body, headers } = await read(await edge.server.fetch("/api/health"));
  assert.equal(status, 200);
  assert.deepEqual(body, { protocolVersion: 1, version: "0.1.0" });
  assert.equal(headers.get("cache-control"), "no-store");
  assert.equal(headers.get("x-content-type-options"), "nosniff");
});

test("configuration names users and models, and no token", async () => {
  const { status, body } = await read(await edge.server.fetch("/api/configuration"));
  assert.equal(status, 200);
  assert.deepEqual(body, {
    protocolVersion: 1,
    signIn: { type: "local", users: [ADA, GRACE] },
    models: ["demo/demo", "demo/other"],
    thinkingModels: ["demo/demo", "demo/other"],
    captures: { version: 1 },
    attachments: { attachmentsMax: 5, capturesMax: 3, bytesMax: 184_320 },
  });
});

test("what is not in the table is 404 as JSON", async () => {
  for (const unknown of [
    "/api",
    "/api/",
    "/api/nothing",
    "/api/sessions/x/status",
    "/api/health/",
    "/nothing",
    "/sessions/x",
  ]) {
    const { status, body } = await read(await edge.server.fetch(unknown));
    assert.deepEqual([status, body.code], [404, "not_found"], unknown);
    assert.ok(body.message.length > 10);
  }
});

test("a known path with another method is 405 as JSON", async () => {
  const methods = new Map();
  for (const route of routes) methods.set(route.path, [...(methods.get(route.path) ?? []), route.method]);
  for (const [pattern, known] of methods) {
    if (!pattern.startsWith("/api/")) continue;
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"]) {
      if (known.includes(method)) continue;
      const { status, body, headers } = await read(await edge.server.fetch(fillPath(pattern), { method }));
      assert.deepEqual([status, body.code], [405, "method_not_allowed"], `${method} ${pattern}`);
      assert.equal(headers.get("allow"), known.join(", "));
      assert.ok(body.message.includes(known.join(", ")), body.message);
    }
  }
});

test("pages are the web client's document", async () => {
  for (const page of ["/", "/new", "/sessions/ses_none?x=1"]) {
    const { status, body, headers } = await read(await edge.server.fetch(page, { redirect: "manual" }));
    assert.equal(status, 200, page);
    assert.match(body, /<title>Farhand<\/title>/);
    assert.match(headers.get("content-type"), /text\/html/);
    assert.equal(headers.get("x-frame-options"), "DENY", "the headers of the assets hold on every page");
  }
});

test("every route for users asks who it is", async () => {
  for (const route of routes.filter(({ access }) => ["user", "operator"].includes(access))) {
    const headers = { origin: edge.origin, "content-type": "application/json" };
    const forged = "farhand_session=eyJhbGciOiJIUzI1NiJ9.e30.AAAA";
    for (const cookie of [undefined, "farhand_session=", forged]) {
      const request = { method: route.method, headers: cookie ? { ...headers, cookie } : headers };
      if (route.method !== "GET") request.body = "{}";
      const { status, body } = await read(await edge.server.fetch(path(route), request));
      assert.deepEqual([status, body.code], [401, "sign_in_required"], `${route.method} ${route.path}`);
    }
  }
});

test("every route for bridges asks for a signature, whoever is signed in", async () => {
  const ada = await edge.client(ADA);
  for (const route of routes.filter(({ access }) => access === "bridge")) {
    const { status, body } = await ada.post(path(route), {});
    assert.deepEqual([status, body.code], [401, "signature_invalid"], route.path);
  }
});

test("no other site can make a browser change something", async () => {
  const ada = await edge.client(ADA);
  const refused = [
    { origin: "https://evil.example" },
    { origin: "null" },
    { origin: `${edge.origin}.evil.example` },
    { origin: edge.origin.replace(/\d+$/, "1") },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    {},
  ];
  for (const route of changing()) {
    for (const from of refused) {
      const headers = { cookie: ada.cookie, "content-type": "application/json", ...from };
      const { status, body } = await read(
        await edge.server.fetch(path(route), { method: route.method, headers, body: "{}" }),
      );
      assert.deepEqual(
        [status, body.code],
        [403, "origin_refused"],
        `${route.path} from ${JSON.stringify(from)}`,
      );
    }
  }
});

test("nothing that a form can send changes something", async () => {
  const ada = await edge.client(ADA);
  const types = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain; application/json",
  ];
  for (const route of changing()) {
    for (const type of types) {
      const headers = { cookie: ada.cookie, origin: edge.origin, "content-type": type };
      const { status, body } = await read(
        await edge.server.fetch(path(route), { method: route.method, headers, body: "{}" }),
      );
      assert.deepEqual([status, body.code], [415, "media_type_unsupported"], `${route.path} as ${type}`);
    }
    const overridden = await read(
      await edge.server.fetch(path(route), {
        headers: { cookie: ada.cookie, "x-http-method-override": route.method },
      }),
    );
    assert.notEqual(overridden.status, 201);
    const isRead = routes.some(({ method, path }) => method === "GET" && path === route.path);
    if (!isRead) assert.equal(overridden.status, 405, route.path);
  }
});

test("a request that changes something may prove itself without an origin", async () => {
  const ada = await edge.client(ADA);
  for (const site of ["same-origin", "none"]) {
    const headers = { cookie: ada.cookie, "content-type": "application/json", "sec-fetch-site": site };
    const { status } = await read(
      await edge.server.fetch("/api/sign-out", { method: "POST", headers, body: "{}" }),
    );
    assert.equal(status, 200);
  }
});

test("a request without a body needs no media type", async () => {
  const ada = await edge.client(ADA);
  const headers = { cookie: ada.cookie, origin: edge.origin };
  const { status } = await read(await edge.server.fetch("/api/sign-out", { method: "POST", headers }));
  assert.equal(status, 200);
});

test("every body has a limit that is stated", async () => {
  const ada = await edge.client(ADA);
  const large = JSON.stringify({ login: "x".repeat(256 * 1024) });
  const chunked = () =>
    new ReadableStream({
      start(controller) {
        for (let sent = 0; sent < 300; sent += 1) controller.enqueue(new Uint8Array(1024).fill(0x20));
        controller.close();
      },
    });
  for (const route of changing()) {
    const headers = { cookie: ada.cookie, origin: edge.origin, "content-type": "application/json" };
    for (const [body, more] of [
      [large, {}],
      [chunked(), { duplex: "half" }],
    ]) {
      const answer = await read(
        await edge.server.fetch(path(route), { method: route.method, headers, body, ...more }),
      );
      const what = `${route.path}: ${JSON.stringify(answer.body)}`;
      assert.deepEqual([answer.status, answer.body.code], [413, "too_large"], what);
      assert.match(answer.body.message, /262144/);
    }
  }
});

test("a WebSocket path without a WebSocket says so", async () => {
  const { status, body } = await read(await edge.server.fetch("/api/sessions/ses_none/socket"));
  assert.deepEqual([status, body.code], [400, "bad_request"]);
  const plain = await handshake(edge.origin, "/api/sessions/ses_none/socket");
  assert.deepEqual([plain.status, plain.body.code], [426, "version_unsupported"]);
});
