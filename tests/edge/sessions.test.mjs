/** Starting, listing and prompting sessions, and everything that must be refused before anything is stored. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, askEverything, GRACE, prompt, startEdge } from "./support/edge.mjs";

let edge;
let ada;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
});
after(() => edge?.close());

async function create(value, client = ada) {
  const answer = await client.post("/api/sessions", value);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body.sessionId;
}

test("a session starts with its first prompt and is ordered a sandbox", async () => {
  const first = prompt("Fix the sum\nIt is off by one.");
  const sessionId = await create({ repository: "acme/shop", prompt: first });
  assert.match(sessionId, /^ses_[0-9a-z]{26}$/);
  const { status, body } = await ada.get(`/api/sessions/${sessionId}/status`);
  assert.equal(status, 200);
  assert.equal(body.session.id, sessionId);
  assert.equal(body.session.repository, "acme/shop");
  assert.equal(body.session.title, "Fix the sum");
  assert.equal(body.session.defaultBranch, "main");
  assert.equal(body.session.model, "demo/demo");
  assert.equal(body.session.createdBy, ADA.id);
  assert.match(body.session.branch, /^farhand\//);
  assert.equal(body.activity, "running");
  const order = await edge.bridge.request(
    ({ body }) => body?.sessionId === sessionId,
    "the order of a sandbox",
  );
  assert.equal(order.method, "PUT");
  assert.deepEqual(order.body.repository, {
    id: "acme/shop",
    cloneUrl: `${edge.codeHost.url}/git/acme/shop.git`,
    defaultBranch: "main",
  });
  assert.match(order.headers.authorization, /^Bearer [\w-]+\.[\w-]+\.[\w-]+$/);
  assert.ok(!JSON.stringify(order.body).includes("token-of-ada"), "no user's token goes to a sandbox");
  const rows = await edge.rows(
    "SELECT repository, default_branch FROM repositories WHERE repository = 'acme/shop'",
  );
  assert.deepEqual(rows, [{ repository: "acme/shop", default_branch: "main" }]);
});

test("a request that is sent again starts no second session", async () => {
  const first = prompt("Once");
  const request = { repository: "acme/shop", prompt: first };
  const sessionId = await create(request);
  assert.equal(await create(request), sessionId);
  const rows = await edge.rows(`SELECT count(*) AS sessions FROM sessions WHERE session_id = '${sessionId}'`);
  assert.deepEqual(rows, [{ sessions: 1 }]);
  const other = await ada.post("/api/sessions", { ...request, repository: "acme/site" });
  assert.equal(other.body.code, "id_conflict");
});

test("a session without a prompt waits for one", async () => {
  const sessionId = await create({ repository: "acme/shop", model: "demo/other" });
  const { body } = await ada.get(`/api/sessions/${sessionId}/status`);
  assert.equal(body.activity, "idle");
  assert.equal(body.session.model, "demo/other");
  const text = prompt("Now");
  const grace = await edge.client(GRACE);
  const accepted = await grace.post(`/api/sessions/${sessionId}/message`, text);
  assert.equal(accepted.status, 202);
  assert.equal(accepted.body.promptId, text.id);
  assert.deepEqual(
    (await grace.post(`/api/sessions/${sessionId}/message`, text)).body,
    accepted.body,
    "a repeat is the same",
  );
  const other = await grace.post(`/api/sessions/${sessionId}/message`, { ...text, text: "Other" });
  assert.deepEqual([other.status, other.body.code], [409, "id_conflict"]);
  assert.equal((await ada.get(`/api/sessions/${sessionId}/status`)).body.activity, "running");
});

test("sessions are listed newest first, page by page, without a gap", async () => {
  for (let count = 0; count < 5; count += 1) await create({ repository: "acme/site" });
  const all = (await ada.get("/api/sessions")).body.sessions;
  assert.ok(all.length >= 5);
  for (const [index, session] of all.entries()) {
    if (index > 0) assert.ok(session.updatedAt <= all[index - 1].updatedAt);
    assert.equal(session.createdByName, ADA.name);
  }
  const paged = [];
  let before = "";
  for (;;) {
    const { sessions } = (await ada.get(`/api/sessions?limit=2${before}`)).body;
    if (sessions.length === 0) break;
    paged.push(...sessions);
    before = `&before=${sessions.at(-1).updatedAt}`;
  }
  assert.deepEqual(
    paged.map(({ sessionId }) => sessionId),
    all.map(({ sessionId }) => sessionId),
  );
  for (const query of [
    "limit=0",
    "limit=101",
    "limit=x",
    "limit=-1",
    "before=yesterday",
    "before=1e999",
    "limit=9007199254740993",
  ]) {
    const { status, body } = await ada.get(`/api/sessions?${query}`);
    assert.deepEqual([status, body.code], [400, "bad_request"], query);
  }
});

test("what is refused is refused with its reason, and nothing is stored", async () => {
  const stored = async () => ({
    sessions: (await edge.rows("SELECT session_id FROM sessions")).length,
    repositories: (await edge.rows("SELECT repository FROM repositories")).length,
    objects: (await edge.worker.listDurableObjectIds("SESSION")).length,
  });
  const before = await stored();
  const good = { repository: "acme/shop", prompt: prompt("Do it") };
  const cases = [
    ["", 400, "bad_request", /no body/],
    ["{", 400, "bad_request", /line 1 column 1/],
    ['{"repository":"acme/shop",}', 400, "bad_request", /line 1 column 27/],
    ["[1]", 400, "bad_request", /line 1/],
    ["null", 400, "bad_request", /null/],
    ["[".repeat(100_000), 400, "bad_request", /line 1/],
    [`{"prompt":${"[".repeat(100_000)}`, 400, "bad_request", /line 1/],
    [{}, 400, "bad_request", /repository/],
    [{ repository: 7 }, 400, "bad_request", /string/],
    [{ repository: "shop" }, 400, "bad_request", /owner\/name/],
    [{ repository: "../../etc/passwd" }, 400, "bad_request", /owner\/name/],
    [{ repository: "acme/-c" }, 400, "bad_request", /owner\/name/],
    [{ ...good, sessionId: "ses_mine" }, 400, "bad_request", /sessionId/],
    [{ ...good, createdBy: GRACE.id }, 400, "bad_request", /createdBy/],
    [{ ...good, prompt: { ...good.prompt, author: GRACE.id } }, 400, "bad_request", /author/],
    [{ ...good, prompt: { ...good.prompt, id: "1" } }, 400, "bad_request", /prm_/],
    [{ ...good, prompt: { ...good.prompt, text: ["x"] } }, 400, "bad_request", /string/],
    [{ ...good, prompt: { id: good.prompt.id, text: "x" } }, 400, "bad_request", /origin/],
    [{ ...good, model: "demo/unknown" }, 422, "model_unknown", /demo\/demo, demo\/other/],
    [{ ...good, prompt: { ...good.prompt, model: "x" } }, 422, "model_unknown", /demo\/demo/],
    [{ ...good, prompt: prompt("") }, 422, "prompt_empty", /no text/],
    [{ ...good, prompt: prompt(" \n\t ") }, 422, "prompt_empty", /no text/],
    [{ ...good, prompt: prompt("x".repeat(64 * 1024 + 1)) }, 413, "too_large", /65537 bytes; at most 65536/],
    [{ ...good, prompt: prompt("x".repeat(300 * 1024)) }, 413, "too_large", /262144/],
    [{ ...good, repository: "acme/unknown" }, 422, "repository_unknown", /check its name and your access/],
    [{ ...good, repository: "acme/broken" }, 422, "repository_unreachable", /502/],
    [{ ...good, repository: "acme/dropped" }, 422, "repository_unreachable", /try again/],
    [{ ...good, repository: "acme/gone" }, 422, "repository_unreachable", /git cannot clone it/],
    [{ ...good, repository: "acme/no-git" }, 422, "repository_unreachable", /status 200/],
    [{ ...good, repository: "acme/moved" }, 422, "repository_unreachable", /status 302/],
    [{ ...good, repository: "acme/plain" }, 422, "repository_unreachable", /not https/],
    [{ ...good, repository: "acme/archived" }, 403, "forbidden", /archived/],
    [{ ...good, repository: "acme/read-only" }, 403, "forbidden", /read-only/],
  ];
  for (const [value, status, code, message] of cases) {
    const answer = await ada.post("/api/sessions", value);
    const what = JSON.stringify(value).slice(0, 100);
    assert.deepEqual(
      [answer.status, answer.body.code],
      [status, code],
      `${what}: ${JSON.stringify(answer.body)}`,
    );
    assert.match(answer.body.message, message, what);
    assert.ok(!JSON.stringify(answer.body).includes("token-of-ada"), what);
  }
  assert.deepEqual(await stored(), before);
});

test("a prompt for a session is held to the same", async () => {
  const sessionId = await create({ repository: "acme/shop" });
  const seq = async () => (await ada.get(`/api/sessions/${sessionId}/status`)).body.seq;
  const before = await seq();
  for (const [value, status, code] of [
    ["", 400, "bad_request"],
    ["{]", 400, "bad_request"],
    [{ ...prompt("x"), author: "usr_grace" }, 400, "bad_request"],
    [{ ...prompt("x"), id: "ses_1" }, 400, "bad_request"],
    [prompt(""), 422, "prompt_empty"],
    [prompt("x", { model: "no/such" }), 422, "model_unknown"],
    [prompt("ü".repeat(32 * 1024 + 1)), 413, "too_large"],
  ]) {
    const answer = await ada.post(`/api/sessions/${sessionId}/message`, value);
    assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(value).slice(0, 100));
  }
  assert.equal(await seq(), before);
  const largest = await ada.post(`/api/sessions/${sessionId}/message`, prompt("ü".repeat(32 * 1024)));
  assert.equal(largest.status, 202);
});

test("a session that does not exist is 404 everywhere", async () => {
  const id = "ses_00000000000000000000000000";
  for (const answer of await askEverything(edge, ada, id))
    assert.deepEqual([answer.status, answer.body.code], [404, "not_found"], answer.route);
});

test("a page of history is asked for with a number, and a list with a word that is known", async () => {
  const sessionId = await create({ repository: "acme/shop" });
  for (const query of [
    "",
    "?before=",
    "?before=x",
    "?before=-1",
    "?before=1.5",
    "?before=9007199254740993",
  ]) {
    const { status, body } = await ada.get(`/api/sessions/${sessionId}/history${query}`);
    assert.deepEqual([status, body.code], [400, "bad_request"], query);
    assert.match(body.message, /`before`|before=/, query);
  }
  for (const query of ["archived=", "archived=1", "archived=TRUE"]) {
    const { status, body } = await ada.get(`/api/sessions?${query}`);
    assert.deepEqual([status, body.code], [400, "bad_request"], query);
    assert.match(body.message, /true or false/);
  }
  for (const body of ["", "{}", "[]", '{"archived":1}', '{"archived":true,"by":"usr_grace"}']) {
    const answer = await ada.put(`/api/sessions/${sessionId}/archived`, body);
    assert.deepEqual([answer.status, answer.body.code], [400, "bad_request"], body);
  }
});

test("hostile text is kept literally", async () => {
  const text = `'); DROP TABLE sessions; -- "\u202e<script>alert(1)</script> $(reboot) 😀`;
  const sessionId = await create({ repository: "acme/shop", prompt: prompt(text) });
  assert.equal((await ada.get(`/api/sessions/${sessionId}/status`)).body.session.title, text);
  assert.equal(
    (await edge.rows("SELECT count(*) AS count FROM sessions WHERE session_id = ?", sessionId))[0].count,
    1,
  );
});
