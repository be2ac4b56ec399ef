/**
 * The stand-in for GitHub itself: its answers against GitHub's published OpenAPI description, and its use by GitHub's own JavaScript
 * client. What the other tests conclude from it holds as far as this does.
 */

import assert from "node:assert/strict";
import { createHmac, createSign, generateKeyPairSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { Octokit } from "@octokit/rest";
import Ajv from "ajv";
import addFormats from "ajv-formats";
import { startGithub } from "./support/stand-in.mjs";
import { Growing } from "./support/wait.mjs";

const SECRET = "webhook-secret-of-the-code-host-tests";
const acme = { owner: "acme", repo: "shop" };
const keys = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "pkcs1", format: "der" },
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
});

let github;
let description;
let ajv;
let receiver;
const deliveries = new Growing();
const checked = new Set();
const problems = [];

before(async () => {
  const path = createRequire(import.meta.url).resolve("@octokit/openapi/generated/api.github.com.json");
  description = JSON.parse(await readFile(path, "utf8"));
  ajv = new Ajv({ strict: false, allErrors: true, validateFormats: true, logger: false });
  addFormats(ajv);
  ajv.addSchema({ $id: "github", components: { schemas: nullable(description.components.schemas) } });
  github = await startGithub({ id: "Iv1.tests", publicKey: keys.publicKey.toString("base64") });
  receiver = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    deliveries.add({ headers: request.headers, body });
    response.end();
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  await github.tell({ do: "send_to", url: `http://127.0.0.1:${receiver.address().port}/`, secret: SECRET });
});
after(async () => {
  receiver?.close();
  receiver?.closeAllConnections();
  await github?.close();
});

/** OpenAPI 3.0 says `nullable` where JSON Schema has a type. */
function nullable(value) {
  if (Array.isArray(value)) return value.map(nullable);
  if (value === null || typeof value !== "object") return value;
  const copy = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, nullable(inner)]));
  if (copy.nullable !== true) return copy;
  delete copy.nullable;
  return { anyOf: [{ type: "null" }, copy] };
}

/** The schema of an answer, by the route as the client names it. */
function schemaOf(method, route, status) {
  const operation = description.paths[route]?.[method.toLowerCase()];
  const content = operation?.responses[status]?.content?.["application/json"];
  assert.ok(content, `GitHub's description has no answer ${status} of ${method} ${route}`);
  return nullable(content.schema);
}

const absolute = (schema) =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/components', '"github#/components'));

/** GitHub's own client, whose every answer is checked. */
function client(token) {
  const octokit = new Octokit({
    auth: token,
    baseUrl: github.api,
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
  octokit.hook.wrap("request", async (request, options) => {
    const response = await request(options);
    const route = options.url.replace(github.api, "");
    const validate = ajv.compile(absolute(schemaOf(options.method, route, response.status)));
    checked.add(`${options.method} ${route}`);
    if (!validate(response.data))
      problems.push(
        ...validate.errors.map(
          ({ instancePath, message }) => `${options.method} ${route}: ${instancePath} ${message}`,
        ),
      );
    return response;
  });
  return octokit;
}

function jwt(changed = {}, key = keys.privateKey) {
  const now = Math.floor(Date.now() / 1000);
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iat: now - 60, exp: now + 540, iss: "Iv1.tests", ...changed };
  const signed = `${encode({ alg: "RS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createSign("RSA-SHA256").update(signed).sign(key, "base64url")}`;
}

const refused = (call, status) =>
  assert.rejects(call, (error) => error.status === status || assert.fail(`${error}`));
const permissions = { contents: "write", pull_requests: "write" };

test("its answers are what GitHub's description says, asked by GitHub's own client", async () => {
  await github.tell({ do: "install", repository: "acme/shop" });
  await github.tell({
    do: "branch",
    repository: "acme/shop",
    branch: "farhand/1",
    file: "a.txt",
    content: "a",
  });
  const ada = client("token-of-ada");
  const linus = client("token-of-linus");
  const app = client(jwt());
  await ada.rest.users.getAuthenticated();
  await ada.rest.repos.get(acme);
  await ada.rest.repos.getContent({ ...acme, path: "README.md" });
  await ada.rest.repos.getContent({ ...acme, path: "src" });
  await app.rest.apps.getAuthenticated();
  const { data: installation } = await app.rest.apps.getRepoInstallation(acme);
  const { data: token } = await app.rest.apps.createInstallationAccessToken({
    installation_id: installation.id,
    repositories: ["shop"],
    permissions,
  });
  const { data: pull } = await ada.rest.pulls.create({
    ...acme,
    title: "T",
    body: "B",
    head: "farhand/1",
    base: "main",
  });
  const one = { ...acme, pull_number: pull.number };
  await refused(ada.rest.pulls.create({ ...acme, title: "T", head: "farhand/1", base: "main" }), 422);
  await ada.rest.pulls.list({ ...acme, head: "acme:farhand/1" });
  const updated = await client(token.token).rest.pulls.update({ ...one, body: "C" });
  assert.equal(updated.data.body, "C");
  await linus.rest.pulls.createReview({ ...one, event: "REQUEST_CHANGES", body: "No" });
  await linus.rest.pulls.createReviewComment({
    ...one,
    body: "here",
    path: "a.txt",
    line: 1,
    commit_id: pull.head.sha,
  });
  await linus.rest.issues.createComment({ ...acme, issue_number: pull.number, body: "hm" });
  await ada.rest.pulls.listReviews(one);
  await client(token.token).rest.checks.create({
    ...acme,
    name: "test",
    head_sha: pull.head.sha,
    conclusion: "success",
  });
  const { data: runs } = await ada.rest.checks.listForRef({ ...acme, ref: pull.head.sha });
  assert.equal(runs.check_runs[0].conclusion, "success");
  await ada.rest.repos.getCombinedStatusForRef({ ...acme, ref: pull.head.sha });
  await ada.rest.pulls.merge(one);
  const { data: merged } = await ada.rest.pulls.get(one);
  assert.deepEqual([merged.state, merged.merged], ["closed", true]);
  assert.deepEqual(problems, []);
  assert.ok(checked.size >= 15, `${[...checked]}`);
});

test("a07 only the App's own JWT of this moment is the App", async () => {
  const now = Math.floor(Date.now() / 1000);
  const foreign = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
  for (const [what, token] of Object.entries({
    "another key": jwt({}, foreign),
    "another App": jwt({ iss: "Iv1.other" }),
    ended: jwt({ exp: now - 1 }),
    "too long a life": jwt({ exp: now + 3600 }),
    "not begun": jwt({ iat: now + 60 }),
    "a user": "token-of-ada",
  }))
    await refused(client(token).rest.apps.getRepoInstallation(acme), 401).catch((error) =>
      assert.fail(`${what}: ${error}`),
    );
});

test("a19 a token opens exactly the repository that it was made for, and ends with the installation", async () => {
  const app = client(jwt());
  const make = (more) =>
    app.rest.apps.createInstallationAccessToken({
      installation_id: 1,
      repositories: ["shop"],
      permissions,
      ...more,
    });
  await refused(make({ repositories: ["shop", "site"] }), 422);
  await refused(make({ repositories: [] }), 422);
  await refused(make({ repositories: ["site"] }), 422);
  await refused(make({ permissions: { administration: "write" } }), 422);
  await refused(make({ permissions: { ...permissions, workflows: "write" } }), 422);
  const { data } = await make();
  const own = client(data.token);
  assert.equal((await own.rest.repos.get(acme)).data.full_name, "acme/shop");
  await refused(own.rest.repos.get({ owner: "acme", repo: "site" }), 404);
  await github.tell({ do: "uninstall", repository: "acme/shop" });
  await refused(own.rest.repos.get(acme), 401);
  await refused(app.rest.apps.getRepoInstallation(acme), 404);
});

test("webhooks are signed, and lost, repeated and overtaken as the script says", async () => {
  await github.tell({
    do: "branch",
    repository: "acme/shop",
    branch: "farhand/2",
    file: "b.txt",
    content: "b",
  });
  const ada = client("token-of-ada");
  const { data: pull } = await ada.rest.pulls.create({
    ...acme,
    title: "T",
    head: "farhand/2",
    base: "main",
  });
  const opened = ({ body }) => JSON.parse(body).number === pull.number;
  await deliveries.wait(() => deliveries.list.find(opened), "the first delivery");
  const from = deliveries.list.length;
  await github.tell({ do: "script", fates: ["lost", "repeated", "overtaken", "sent"] });
  for (const title of ["lost", "repeated", "overtaken", "sent"])
    await ada.rest.pulls.update({ ...acme, pull_number: pull.number, title });
  await deliveries.wait(() => deliveries.list[from + 3], "all deliveries");
  const seen = deliveries.list.slice(from).map(({ headers, body }) => ({
    title: JSON.parse(body).pull_request.title,
    id: headers["x-github-delivery"],
    isSigned:
      headers["x-hub-signature-256"] === `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`,
  }));
  assert.deepEqual(
    seen.map(({ title }) => title),
    ["repeated", "repeated", "sent", "overtaken"],
  );
  assert.equal(seen[0].id, seen[1].id);
  assert.equal(new Set(seen.map(({ id }) => id)).size, 3);
  assert.ok(seen.every(({ isSigned }) => isSigned));
});

test("a call is cut before or after it is carried out", async () => {
  const ada = client("token-of-ada");
  const titleOf = async (number) => (await ada.rest.pulls.get({ ...acme, pull_number: number })).data.title;
  const [pull] = (await ada.rest.pulls.list(acme)).data;
  for (const cut of ["before", "after"]) {
    await github.tell({ do: "break", method: "PATCH", path: "/pulls/", skip: 0, cut });
    await assert.rejects(ada.rest.pulls.update({ ...acme, pull_number: pull.number, title: cut }));
    assert.equal((await titleOf(pull.number)) === cut, cut === "after", cut);
  }
});
