/** `farhand` as a process of its own against the Worker: what it prints, what it keeps, and how it ends. */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ADA, startEdge } from "./support/edge.mjs";
import { findRunner, startTurn, textItem, toolItem, turnEnded } from "./support/runner.mjs";
import { Growing, until } from "./support/wait.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const program = join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug/farhand");

let edge;
let ada;
let key;
let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "farhand-cli-"));
  edge = await startEdge();
  ada = await edge.client(ADA);
  key = await makeKey("write");
});
after(async () => {
  await edge?.close();
  await rm(folder, { recursive: true, force: true });
});

async function makeKey(scope) {
  const { status, body } = await ada.post("/api/keys", { name: `cli ${scope}`, scope, days: 1 });
  assert.equal(status, 201, JSON.stringify(body));
  return body.key;
}

/** A running `farhand`, with the key in its environment unless `env` says otherwise. */
function farhand(
  args,
  { input = "", cwd = folder, env = { FARHAND_URL: edge.origin, FARHAND_KEY: key } } = {},
) {
  const { PATH } = process.env;
  const child = spawn(program, args, { cwd, env: { PATH, HOME: folder, ...env } });
  // One that refuses its arguments reads nothing.
  child.stdin.once("error", () => {}).end(input);
  const process_ = { out: "", err: "", printed: new Growing() };
  for (const [stream, name] of [
    [child.stdout, "out"],
    [child.stderr, "err"],
  ])
    stream.setEncoding("utf8").on("data", (text) => {
      process_[name] += text;
      process_.printed.changed();
    });
  /** Once standard output has this. */
  process_.shows = (text) =>
    process_.printed.wait(
      () => process_.out.includes(text) || undefined,
      `${JSON.stringify(text)} in the output`,
    );
  process_.ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, out: process_.out, err: process_.err }));
  });
  process_.ended.catch(() => {});
  return process_;
}

const run = (args, options) => farhand(args, options).ended;

test("login keeps a key that counts, for its user alone, and nothing else", async () => {
  const home = await mkdtemp(join(folder, "home-"));
  const env = { HOME: home };
  const file = join(home, ".config/farhand/login.json");
  const wrong = await run(["login", edge.origin], { env, input: `fhk_0123456789abcdef_${"x".repeat(43)}\n` });
  assert.equal(wrong.code, 3, wrong.err);
  await assert.rejects(stat(file));
  const { code, err, out } = await run(["login", `${edge.origin}/settings`], { env, input: `${key}\n` });
  assert.deepEqual([code, out], [0, ""], err);
  assert.match(err, /You are Ada Lovelace \(ada\)/);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.deepEqual(JSON.parse(await readFile(file, "utf8")), { url: edge.origin, key });
  assert.equal((await run(["sessions"], { env })).code, 0);
  const elsewhere = await run(["sessions"], { env: { ...env, FARHAND_URL: "http://127.0.0.1:1" } });
  assert.equal(elsewhere.code, 3, "a key is not sent to another deployment");
});

test("without a key, a deployment or the right to it the exit code says so, and the text what to do", async () => {
  const none = await run(["sessions"], { env: {} });
  assert.deepEqual([none.code, none.out], [3, ""]);
  assert.match(none.err, /farhand login/);
  const silent = await run(["sessions"], { env: { FARHAND_URL: "http://127.0.0.1:1", FARHAND_KEY: key } });
  assert.equal(silent.code, 4, silent.err);
  const reading = { FARHAND_URL: edge.origin, FARHAND_KEY: await makeKey("read") };
  const refused = await run(["prompt", "--repository", "acme/shop", "x"], { env: reading });
  assert.deepEqual([refused.code, refused.out], [1, ""]);
  assert.match(refused.err, /may only read/);
  assert.equal((await run(["nothing"])).code, 2);
  const unknown = await run(["follow", "ses_none"]);
  assert.deepEqual([unknown.code, unknown.out], [1, ""]);
  assert.match(unknown.err, /no such session/);
});

test("a prompt goes to the repository of the current folder, and its session is listed and opened", async () => {
  const clone = await mkdtemp(join(folder, "clone-"));
  const git = (...args) => promisify(execFile)("git", args, { cwd: clone });
  await git("init", "--quiet");
  await git("remote", "add", "origin", "git@github.com:acme/shop.git");
  const { code, out, err } = await run(["prompt"], { cwd: clone, input: "Mend the cart\n" });
  assert.equal(code, 0, err);
  const sessionId = out.trim();
  assert.match(err, new RegExp(`${edge.origin}/sessions/${sessionId}`));
  const { body } = await ada.get(`/api/sessions/${sessionId}/status`);
  assert.equal(body.session.repository, "acme/shop");

  const more = await run(["prompt", "--session", sessionId, "And the till"]);
  assert.deepEqual([more.code, more.out], [0, `${sessionId}\n`], more.err);
  const listed = await run(["sessions", "--json", "--running", "--mine", "--repository", "ACME/shop"]);
  assert.equal(listed.code, 0, listed.err);
  const row = JSON.parse(listed.out).find((each) => each.sessionId === sessionId);
  assert.deepEqual([row.title, row.activity], ["Mend the cart", "running"]);
  assert.match((await run(["sessions"])).out, new RegExp(`${sessionId} +running +acme/shop .*Mend the cart`));
  assert.equal((await run(["open", sessionId])).out, `${edge.origin}/sessions/${sessionId}\n`);

  const none = await run(["prompt", "x"], { cwd: await mkdtemp(join(folder, "empty-")) });
  assert.equal(none.code, 1);
  assert.match(none.err, /--repository owner\/name/);
});

test("a followed prompt is printed as it is written, through broken connections, and ends with its turn", async () => {
  const args = ["prompt", "--repository", "acme/shop", "--follow", "Count"];
  const following = farhand(args);
  const sessionId = await following.printed.wait(
    () => following.err.match(/ses_[a-z0-9]+/)?.[0],
    "the session's id",
  );
  const runner = await findRunner(edge, sessionId, 1);
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const turn = await runner.turn();
  await runner.receive(turn);
  let offset = 0;
  const say = async (text) => {
    const answer = await runner.report(
      ...(offset === 0
        ? [textItem(turn.turnId, "itm_text", text)]
        : [{ type: "item_appended", itemId: "itm_text", offset, text }]),
    );
    assert.equal(answer.status, 200, answer.text);
    offset += text.length;
  };
  await say("one ");
  await following.shows("one ");
  assert.ok(!following.out.includes("two"));
  await edge.restart();
  await say("two ");
  await following.shows("one two ");
  await edge.restart();
  await say("three \u001b[2J");
  await runner.report(
    toolItem(turn.turnId, "itm_tool", "much output\n".repeat(50)),
    turnEnded(turn, { outcome: { type: "completed" } }),
  );
  const { code, out, err } = await following.ended;
  assert.equal(code, 0, err);
  assert.ok(out.includes("one two three [2J\n"), JSON.stringify(out));
  assert.equal(out.split("two").length, 2, "nothing is told twice");
  assert.match(out, /▸ bash make \(1 ms\)\n/);
  assert.ok(!out.includes("much output") && !out.includes("\u001b"), JSON.stringify(out));
});

test("a session that is followed, stopped and has failed says so in the exit code", async () => {
  const { sessionId, runner, turn } = await startTurn(edge, ada, "Go wrong");
  const following = farhand(["follow", `${edge.origin}/sessions/${sessionId}?x=1`]);
  await runner.report(textItem(turn.turnId, "itm_1", "Hm."));
  await following.shows("Hm.");
  const stopped = await run(["stop", sessionId]);
  assert.deepEqual([stopped.code, stopped.out], [0, ""], stopped.err);
  await runner.command("stop_turn");
  await runner.report(turnEnded(turn, { outcome: { type: "stopped" } }));
  const end = await following.ended;
  assert.equal(end.code, 6, end.err);
  assert.match(end.out, /▌ Go wrong/);
  assert.match(end.out, /■ stopped/);
  const again = await run(["stop", sessionId]);
  assert.equal(again.code, 1, JSON.stringify(again));
  assert.match(again.err, /no turn is running/);
  const later = await run(["follow", sessionId]);
  assert.equal(later.code, 6, "what has ended is printed as it ended");
  assert.match(later.out, /Hm\./);
});

test("changes are a patch", async () => {
  const { sessionId, runner, turn } = await startTurn(edge, ada, "Change it");
  assert.deepEqual((await run(["diff", sessionId])).out, "");
  const lines = [
    { kind: "removed", text: "two" },
    { kind: "added", text: "three" },
  ];
  const hunks = [{ oldStart: 2, newStart: 2, heading: "", lines }];
  const file = { path: "count.txt", status: "modified", additions: 1, deletions: 1, hunks, omitted: false };
  const change = {
    branch: "any",
    commit: "a".repeat(40),
    subject: "Count on",
    filesChanged: 1,
    additions: 1,
    deletions: 1,
  };
  await runner.report(turnEnded(turn, { change, files: [file] }));
  const { out } = await until(
    () => run(["diff", sessionId]),
    ({ out }) => out !== "",
    "the patch",
  );
  assert.equal(
    out,
    "diff --git a/count.txt b/count.txt\n--- a/count.txt\n+++ b/count.txt\n@@ -2,1 +2,1 @@\n-two\n+three\n",
  );
});
