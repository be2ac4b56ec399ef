/** Images and the warm pool of a repository: what people see and may ask, what bridges report, who gets a sandbox. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, startEdge } from "./support/edge.mjs";
import { finishBuild, nextBuild, origin, readyUp } from "./support/warm.mjs";

/** Rounds of 64 claimants on 16 sandboxes. */
const ROUNDS = Number(process.env.FARHAND_ROUNDS ?? 8);

let edge;
let ada;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
});
after(() => edge?.close());

const api = (repository, rest) => `/api/repositories/${repository}/${rest}`;
const statusOf = async (repository) => (await ada.get(api(repository, "status"))).body;

test("a repository that nobody works on has no images, and says so", async () => {
  const answer = await ada.get(api("acme/site", "status"));
  assert.deepEqual([answer.status, answer.body.code], [404, "not_found"]);
  assert.match(answer.body.message, /start a session/);
  const claim = await edge.askRepository("acme/site", "claim", { sessionId: "ses_1", generation: 1 });
  assert.deepEqual([claim.status, claim.body.type], [200, "none"]);
  assert.equal((await ada.put(api("acme/site", "reservations/rsv_1"))).status, 200);
});

test("only who may push to a repository sees it, whatever is asked", async () => {
  const asked = [
    ["GET", "status"],
    ["POST", "builds"],
    ["GET", "builds/bld_1/log"],
    ["PUT", "settings"],
    ["PUT", "reservations/rsv_1"],
  ];
  for (const [method, rest] of asked) {
    for (const [repository, expected] of [
      ["acme/read-only", [403, "forbidden"]],
      ["acme/nowhere", [422, "repository_unknown"]],
    ]) {
      const path = api(repository, rest);
      const { status, body } = await (method === "GET" ? ada.get(path) : ada.send(method, path, {}));
      assert.deepEqual([status, body.code], expected, `${method} ${path}`);
    }
  }
});

test("the first session has an image built, whose log is read as it grows, and a pool filled from it", async () => {
  const repository = "acme/shop";
  await ada.newSession();
  const build = await nextBuild(edge, repository);
  assert.deepEqual(build.order.repository, {
    id: repository,
    cloneUrl: `${edge.codeHost.url}/git/acme/shop.git`,
    defaultBranch: "main",
  });
  assert.equal(build.order.previous, undefined);
  const running = await statusOf(repository);
  assert.equal(running.builds[0].buildId, build.buildId);
  assert.equal(running.builds[0].outcome, undefined);
  assert.deepEqual(running.pool, { target: 3, ready: 0, filling: 0, reserved: 0 });
  const claim = await edge.askRepository(repository, "claim", { sessionId: "ses_first", generation: 1 });
  assert.equal(claim.body.reason, "no image of acme/shop yet: its first build runs");

  const log = api(repository, `builds/${build.buildId}/log`);
  const say = (offset, text) =>
    edge.reportOfRepository(repository, `builds/${build.buildId}/log`, { offset, text, step: "npm ci" });
  assert.deepEqual((await say(0, "added 3 packages\n")).body, { offset: 17 });
  assert.deepEqual((await say(0, "added 3 packages\n")).body, { offset: 17 }, "a repeat");
  assert.deepEqual((await say(40, "too far")).body, { offset: 17 }, "a gap");
  const first = await ada.get(log);
  assert.equal(first.body, "added 3 packages\n");
  assert.match(first.headers.get("content-type"), /text\/plain/);
  assert.equal(first.headers.get("x-farhand-log-end"), "17");
  await say(17, "done\n");
  assert.equal((await ada.get(`${log}?from=17`)).body, "done\n");
  assert.equal((await statusOf(repository)).builds[0].step, "npm ci");
  assert.equal((await ada.get(`${log}?from=x`)).status, 400);
  assert.equal((await ada.get(api(repository, "builds/bld_other/log"))).status, 404);

  assert.equal((await finishBuild(edge, repository, build)).status, 200);
  await readyUp(edge, repository, build.order.imageId, 3);
  const done = await statusOf(repository);
  assert.equal(done.image.imageId, build.order.imageId);
  assert.deepEqual(done.image.origin, origin("a"));
  assert.deepEqual(done.pool, { target: 3, ready: 3, filling: 0, reserved: 0 });
  assert.ok(done.nextBuildAt > Date.now());
});

test("a build may be asked for, and is told what the current image was made of", async () => {
  const repository = "acme/shop";
  const seen = (await statusOf(repository)).builds.map(({ buildId }) => buildId);
  assert.equal((await ada.post(api(repository, "builds"))).status, 202);
  const build = await nextBuild(edge, repository, seen);
  assert.deepEqual(build.order.previous, origin("a"));
  const failed = { type: "failed", step: "npm test", reason: "exit status 1" };
  await edge.reportOfRepository(repository, `builds/${build.buildId}/ended`, { outcome: failed });
  const status = await statusOf(repository);
  assert.deepEqual(status.builds[0].outcome, failed);
  assert.deepEqual(status.image.origin, origin("a"), "the last good one stays");
});

test("settings are a recipe, win over it, and are built", async () => {
  const repository = "acme/site";
  for (const [settings, word] of [
    [{ poolTarget: 1000 }, /poolTarget/],
    [{ setup: [""] }, /setup/],
    [{ colour: "red" }, /colour/],
    ["not JSON", /one JSON object/],
    ["null", /one JSON object/],
    ["{not JSON", /not as expected/],
    ['{},"repository":{}', /repository/],
  ]) {
    const { status, body } = await ada.put(api(repository, "settings"), settings);
    assert.deepEqual([status, body.code], [400, "bad_request"], JSON.stringify(settings));
    assert.match(body.message, word);
  }
  const settings = { setup: ["make"], poolTarget: 1 };
  assert.equal((await ada.put(api(repository, "settings"), settings)).status, 200);
  const build = await nextBuild(edge, repository);
  assert.deepEqual(build.order.settings, settings);
  assert.equal((await statusOf(repository)).pool.target, 1);
});

test("composing holds a sandbox for its author, and not without end", async () => {
  const repository = "acme/shop";
  const before = (await statusOf(repository)).pool;
  assert.equal((await ada.put(api(repository, "reservations/rsv_a"))).status, 200);
  const held = (await statusOf(repository)).pool;
  assert.deepEqual([held.reserved, held.ready, held.filling], [1, before.ready - 1, 1]);
  for (let again = 0; again < 10; again += 1)
    assert.equal(
      (await ada.put(api(repository, "reservations/rsv_a"))).status,
      200,
      "the same is no new one",
    );
  const answers = [];
  for (const id of ["b", "c", "d", "e", "f", "g"])
    answers.push((await ada.put(api(repository, `reservations/rsv_${id}`))).status);
  assert.deepEqual(answers, [200, 200, 200, 200, 200, 429]);
  const grace = await edge.client(GRACE);
  assert.equal((await grace.put(api(repository, "reservations/rsv_h"))).status, 200);
});

test("a warm sandbox that nobody knows is told to end, and one that a session has is not", async () => {
  const repository = "acme/shop";
  const synced = { bridgeUrl: edge.bridge.url, state: { type: "synced", commit: "c0ffee" } };
  const stray = await edge.reportOfRepository(repository, "sandboxes/sbx_stray", synced);
  assert.deepEqual([stray.status, stray.body.code], [404, "not_found"]);
  const claim = await edge.askRepository(repository, "claim", { sessionId: "ses_taker", generation: 1 });
  assert.equal(claim.body.type, "claimed");
  assert.equal(claim.body.bridgeUrl, edge.bridge.url);
  const { sandboxId } = claim.body;
  assert.equal((await edge.reportOfRepository(repository, `sandboxes/${sandboxId}`, synced)).status, 200);
  const again = await edge.askRepository(repository, "claim", { sessionId: "ses_taker", generation: 1 });
  assert.deepEqual(again.body, claim.body);
  const release = await edge.askRepository(repository, "release", { sessionId: "ses_taker", generation: 1 });
  assert.equal(release.status, 200);
  await edge.bridge.request(({ path }) => path === `/sandboxes/${sandboxId}/discarded`, "its end");
  const late = await edge.askRepository(repository, "claim", { sessionId: "ses_taker", generation: 1 });
  assert.deepEqual([late.status, late.body.code], [409, "generation_stale"]);
});

test("what is stored survives the object", async () => {
  const repository = "acme/shop";
  const seen = await statusOf(repository);
  await edge.worker.evictDurableObject("REPOSITORY", { name: repository });
  assert.deepEqual(await statusOf(repository), seen);
});

test("the clock configures a repository whose object does not know it", async () => {
  const { DB } = await edge.worker.getEnv();
  await DB.prepare(
    "INSERT INTO repositories (repository, description, default_branch, clone_url, created_at, checked_at) VALUES ('acme/archived', '', 'main', 'https://code.example/x.git', 1, 1)",
  ).run();
  await edge.worker.scheduled({ cron: "*/30 * * * *" });
  const build = await nextBuild(edge, "acme/archived");
  assert.equal(build.order.repository.cloneUrl, "https://code.example/x.git");
});

test(`64 claimants on 16 sandboxes of two bridges, ${ROUNDS} times: never two owners, and none is left over`, async () => {
  const repository = "acme/moved";
  const source = { id: repository, cloneUrl: "https://code.example/moved.git", defaultBranch: "main" };
  const settings = { poolTarget: 16 };
  assert.equal(
    (await edge.askRepository(repository, "configure", { repository: source, settings })).status,
    200,
  );
  const build = await nextBuild(edge, repository);
  await finishBuild(edge, repository, build, "a", settings);
  const known = new Set();
  const owners = new Map();
  const replicas = [edge.bridge.url, "http://127.0.0.1:9/replica"];
  for (let round = 0; round < ROUNDS; round += 1) {
    const ready = await readyUp(edge, repository, build.order.imageId, 16, known, replicas);
    assert.equal(ready.length, 16, "as many as were claimed are made");
    const claimants = Array.from({ length: 64 }, (_, index) => `ses_${round}-${index}`);
    const answers = await Promise.all(
      claimants.map((sessionId) => edge.askRepository(repository, "claim", { sessionId, generation: 1 })),
    );
    const claimed = answers.filter(({ body }) => body.type === "claimed");
    assert.equal(claimed.length, 16, `round ${round}`);
    for (const url of replicas)
      assert.equal(claimed.filter(({ body }) => body.bridgeUrl === url).length, 8, "of both bridges");
    for (const [index, { status, body }] of answers.entries()) {
      assert.equal(status, 200);
      if (body.type === "none") {
        assert.equal(body.imageId, build.order.imageId, "who gets none starts from the image");
        continue;
      }
      assert.ok(!owners.has(body.sandboxId), `${body.sandboxId} has two owners`);
      owners.set(body.sandboxId, claimants[index]);
      assert.ok(ready.includes(body.sandboxId));
    }
  }
});
