/**
 * Every route × everybody: who gets in, who is told why not. The rows come from the Worker's own table, so that a route of an action that
 * has no expectation here fails. A10, A11, A12, A41 and A45 of the attacks that must fail.
 */

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { BRIDGE_KEY, prompt, read, startEdge, TOKEN_KEYS, WEBHOOK_SECRET } from "./support/edge.mjs";
import { Browser, CLIENT_ID, CLIENT_SECRET, startGithub } from "./support/github.mjs";
import { signWebhook } from "./support/pulls.mjs";
import { fillPath, listRoutes } from "./support/routes.mjs";
import { claims, jwt, signRequest } from "./support/sign.mjs";
import { connect, ticketOf, view } from "./support/viewer.mjs";

const people = {
  owner: { id: 1, email: "owner@farhand.example", repositories: ["acme/shop"] },
  driver: { id: 2, email: "driver@farhand.example", repositories: ["acme/shop"] },
  viewer: { id: 3, email: "viewer@farhand.example", repositories: ["acme/shop"] },
  reader: { id: 4, email: "reader@farhand.example", readable: ["acme/shop"] },
  stranger: { id: 5, email: "stranger@farhand.example", repositories: ["acme/other"] },
  operator: { id: 6, email: "operator@farhand.example" },
};

let edge;
let github;
let routes;
const browsers = {};
const keys = {};
before(async () => {
  github = await startGithub(people);
  edge = await startEdge({
    vars: {
      SIGN_IN: "github",
      GITHUB_URL: github.url,
      GITHUB_API_URL: github.url,
      GITHUB_CLIENT_ID: CLIENT_ID,
      ALLOWED_LOGINS: "owner,driver,viewer,reader,stranger",
      OPERATORS: "operator",
    },
    secrets: {
      GITHUB_CLIENT_SECRET: CLIENT_SECRET,
      TOKEN_KEYS,
      GITHUB_APP_ID: "",
      GITHUB_APP_PRIVATE_KEY: "",
    },
  });
  routes = await listRoutes(edge);
  for (const login of Object.keys(people)) {
    browsers[login] = new Browser(edge);
    await browsers[login].signIn(github, login);
    browsers[login].user = (await browsers[login].fetch("/api/me")).body;
  }
  for (const scope of ["read", "write"]) {
    const value = { name: scope, scope, days: 1 };
    keys[scope] = (await browsers.owner.fetch("/api/keys", { method: "POST", value })).body.key;
  }
});
after(async () => {
  await edge?.close();
  await github?.close();
});
beforeEach(() => edge.rows("DELETE FROM rate_counts"));

/** A session of the owner's that driver and viewer are in, in these roles. */
async function newSession() {
  const value = { repository: "acme/shop" };
  const { body } = await browsers.owner.fetch("/api/sessions", { method: "POST", value });
  const { sessionId } = body;
  const sockets = [];
  for (const login of ["owner", "driver", "viewer"])
    sockets.push(await connect(edge, ticketOf(edge, browsers[login].user, sessionId), sessionId));
  sockets[0].send({ type: "set_role", userId: browsers.viewer.user.id, role: "viewer" });
  await sockets[0].event("role_changed");
  for (const { socket } of sockets) socket.close();
  return sessionId;
}

const IN = "in";
const ANYBODY = () => IN;
const NO_USERS = ["nobody", "sandbox", "bridge", "code host"];
const signed = (refusal) => (who) => (NO_USERS.includes(who) ? 401 : refusal(who));
const keyless = signed((who) => (who.startsWith("key") ? 403 : IN));
const everyone = signed(() => IN);
const writing = signed((who) => (who === "key read" ? 403 : IN));
/** Of a session: who does not see its repository is told that there is none. */
const hidden = (who) => ["stranger", "operator"].includes(who);
const ofSession = (refused) => signed((who) => (hidden(who) ? 404 : refused.includes(who) ? 403 : IN));
const bridges = (who) => (who === "bridge" ? IN : 401);

/** Action → who → what happens. */
const EXPECTED = {
  Enter: ANYBODY,
  KnowSelf: everyone,
  ManageSelf: keyless,
  ListRepositories: everyone,
  ListSessions: everyone,
  SeeMetrics: everyone,
  CreateSession: writing,
  SeeRepository: signed((who) => (hidden(who) ? 422 : who === "reader" ? 403 : IN)),
  UseRepository: signed((who) =>
    who === "key read" ? 403 : hidden(who) ? 422 : who === "reader" ? 403 : IN,
  ),
  "Session(Watch)": ofSession([]),
  "Session(Prompt)": ofSession(["viewer", "reader", "key read"]),
  "Session(Archive)": ofSession(["driver", "viewer", "reader", "key read"]),
  "Session(Delete)": ofSession(["driver", "viewer", "reader", "key read"]),
  Operate: signed((who) => (who === "operator" ? IN : 403)),
  Report: bridges,
  Tell: (who) => (who === "code host" ? IN : 401),
  Hear: () => 401,
};

const WHO = [...NO_USERS, ...Object.keys(people), "key read", "key write"];
const BODIES = { "/message": () => prompt("x"), "/archived": () => ({ archived: false }) };

async function ask(who, { method, path }, sessionId) {
  const url = fillPath(path, { id: sessionId, reservation_id: `rsv_${who.replace(" ", "_")}` });
  const value = Object.entries(BODIES).find(([end]) => path.endsWith(end))?.[1]() ?? {};
  const body = method === "GET" ? undefined : JSON.stringify(value);
  const headers = { origin: edge.origin, "content-type": "application/json" };
  if (who === "sandbox")
    headers.authorization = `Bearer ${jwt(BRIDGE_KEY, claims("gateway", { sandbox_id: "sbx_none" }))}`;
  if (who === "bridge")
    headers.authorization = signRequest(BRIDGE_KEY, { method, path: url, body: body ?? "" });
  if (who === "code host") Object.assign(headers, signWebhook(WEBHOOK_SECRET, "ping", body ?? ""));
  if (who.startsWith("key")) headers.authorization = `Bearer ${keys[who.slice(4)]}`;
  if (people[who]) headers.cookie = browsers[who].cookie;
  return read(await edge.server.fetch(url, { method, headers, body, redirect: "manual" }));
}

/** What an answer amounts to: a refusal's status, or that the route itself has answered. */
function outcome({ status, body }) {
  if (status === 404 && body.message === "there is no such session") return 404;
  if (status === 401 && body.code === "token_invalid") return IN;
  if ([401, 403].includes(status)) return status;
  return body.code === "repository_unknown" ? 422 : IN;
}

test("every route lets in whom the table names, and nobody else", async () => {
  const order = (route) => ["Session(Delete)", "ManageSelf"].indexOf(route.action);
  for (const route of routes.toSorted((a, b) => order(a) - order(b))) {
    if (route.action === "Connect" || !route.path.startsWith("/api/")) continue;
    // Who signs out is signed out; the local issuer is closed where GitHub signs in.
    if (["/api/sign-out-everywhere", "/api/sign-out", "/api/sign-in"].includes(route.path)) continue;
    const expected = EXPECTED[route.action];
    assert.ok(expected, `${route.method} ${route.path} is a new action: say here who may do ${route.action}`);
    let sessionId = await newSession();
    for (const who of WHO) {
      const answer = await ask(who, route, sessionId);
      const what = `${who}: ${route.method} ${route.path} (${route.action}): ${JSON.stringify(answer.body).slice(0, 200)}`;
      assert.equal(outcome(answer), expected(who), what);
      assert.ok(answer.status < 500, what);
      if (route.action === "Session(Delete)" && outcome(answer) === IN) sessionId = await newSession();
    }
  }
});

test("A10: no route that changes something is reached from another origin, by anybody's browser", async () => {
  const sessionId = await newSession();
  for (const route of routes.filter(
    ({ method, access }) => method !== "GET" && !["bridge", "code_host", "slack"].includes(access),
  )) {
    const url = fillPath(route.path, { id: sessionId });
    for (const login of ["owner", "operator"]) {
      for (const origin of ["https://evil.example", "null", `${edge.origin}.evil.example`]) {
        const headers = { origin, cookie: browsers[login].cookie, "content-type": "application/json" };
        const { status, body } = await read(
          await edge.server.fetch(url, { method: route.method, headers, body: "{}" }),
        );
        assert.deepEqual(
          [status, body.code],
          [403, "origin_refused"],
          `${login} ${route.path} from ${origin}`,
        );
      }
    }
  }
});

test("A45: a session that is hidden, and one that there is not, are answered alike", async () => {
  const sessionId = await newSession();
  for (const route of routes.filter(({ path, access }) => path.includes("{id}") && access === "user")) {
    const [hiddenOne, none] = [
      await ask("stranger", route, sessionId),
      await ask("stranger", route, "ses_00000000000000000000000000"),
    ];
    assert.deepEqual([hiddenOne.status, hiddenOne.body], [none.status, none.body], route.path);
    assert.equal(none.status, 404, route.path);
  }
});

test("A11: lists have the sessions of repositories that one sees, and follow the code host", async () => {
  const sessionId = await newSession();
  const sees = async (login) => {
    const { body } = await browsers[login].fetch("/api/sessions?limit=100");
    return body.sessions.some((session) => session.sessionId === sessionId);
  };
  assert.deepEqual([await sees("owner"), await sees("driver"), await sees("reader")], [true, true, true]);
  assert.deepEqual([await sees("stranger"), await sees("operator")], [false, false]);
  people.driver.repositories = [];
  people.stranger.repositories.push("acme/shop");
  try {
    assert.equal(await sees("driver"), true, "for five minutes");
    await edge.rows("UPDATE repository_access SET checked_at = checked_at - 300000");
    assert.deepEqual([await sees("driver"), await sees("stranger")], [false, true]);
    const path = `/api/sessions/${sessionId}/status`;
    assert.equal((await browsers.driver.fetch(path)).status, 404);
    assert.equal((await browsers.stranger.fetch(path)).status, 200);
  } finally {
    people.driver.repositories = ["acme/shop"];
    people.stranger.repositories.pop();
    await edge.rows("DELETE FROM repository_access");
  }
});

test("a code host that is away hides nothing for an hour, and shows nothing new", async () => {
  const sessionId = await newSession();
  const path = `/api/sessions/${sessionId}/status`;
  assert.equal((await browsers.driver.fetch(path)).status, 200);
  github.failures.set("/repos/acme/shop", 502);
  try {
    await edge.rows("UPDATE repository_access SET checked_at = checked_at - 300000");
    assert.equal((await browsers.driver.fetch(path)).status, 200);
    assert.equal((await browsers.driver.fetch("/api/sessions")).status, 200);
    await edge.rows("DELETE FROM repository_access");
    const { status, body } = await browsers.driver.fetch(path);
    assert.deepEqual([status, body.code], [503, "unavailable"]);
  } finally {
    github.failures.clear();
  }
});

test("who may only read the repository watches over the socket and changes nothing", async () => {
  const sessionId = await newSession();
  const { reader } = browsers;
  const client = {
    ticket: async () =>
      (await reader.fetch(`/api/sessions/${sessionId}/ticket`, { method: "POST" })).body.ticket,
  };
  const viewer = await view(edge, client, sessionId);
  for (const frame of [
    { type: "prompt", prompt: prompt("may I?") },
    { type: "rename", title: "x" },
    { type: "stop", turnId: "trn_1" },
    { type: "set_role", userId: reader.user.id, role: "owner" },
    { type: "cancel_prompt", promptId: "prm_1" },
    { type: "edit_prompt", promptId: "prm_1", text: "x" },
    { type: "move_prompt", promptId: "prm_1" },
  ])
    assert.equal((await viewer.refusal(frame)).code, "forbidden", frame.type);
  viewer.socket.close();
});

test("A12: what a body says about who somebody is counts for nothing", async () => {
  const sessionId = await newSession();
  const { driver, owner } = browsers;
  const claim = {
    author: owner.user,
    userId: owner.user.id,
    role: "owner",
    createdBy: owner.user.id,
    token: "x",
  };
  for (const [name, value] of Object.entries(claim)) {
    const posted = { ...prompt("Mass assignment"), [name]: value };
    const { status } = await driver.fetch(`/api/sessions/${sessionId}/message`, {
      method: "POST",
      value: posted,
    });
    assert.ok([202, 400].includes(status), name);
    const created = await driver.fetch("/api/sessions", {
      method: "POST",
      value: { repository: "acme/shop", [name]: value },
    });
    assert.ok([201, 400].includes(created.status), name);
    if (created.status === 201) {
      const [row] = await edge.rows(
        "SELECT created_by FROM sessions WHERE session_id = ?",
        created.body.sessionId,
      );
      assert.equal(row.created_by, driver.user.id);
    }
  }
  const authors = await edge.sessionRows(sessionId, "SELECT DISTINCT author_id FROM prompts");
  for (const { author_id } of authors) assert.equal(author_id, driver.user.id);
});

test("A41: what a sandbox holds opens nothing here", async () => {
  const sessionId = await newSession();
  for (const route of routes.filter(({ access }) => access !== "public")) {
    if (route.action === "Connect") continue;
    const { status } = await ask("sandbox", route, sessionId);
    assert.equal(status, 401, `${route.method} ${route.path}`);
  }
});
