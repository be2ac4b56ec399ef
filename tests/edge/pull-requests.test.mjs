/** Pull requests: one per session whatever is cut (F37), in the right name (F23), with a text that keeps what people wrote. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, LINUS, prompt, startEdge } from "./support/edge.mjs";
import { startRunner, startTurn, textItem, toolItem, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

const users = [ADA, GRACE, LINUS].map((user) => ({ ...user, token: `token-of-${user.login}` }));

let edge;
let host;
const people = {};
before(async () => {
  edge = await startEdge({ vars: { IMAGES: "off" }, secrets: { LOCAL_USERS: JSON.stringify(users) } });
  host = edge.codeHost.pulls;
  for (const user of users) people[user.login] = await edge.client(user);
});
after(() => edge?.close());

const changed = (turn, more = {}) =>
  turnEnded(turn, {
    change: {
      branch: "any",
      commit: "a".repeat(40),
      subject: "Change",
      filesChanged: 1,
      additions: 2,
      deletions: 1,
    },
    ...more,
  });

const status = async (client, sessionId) => (await client.get(`/api/sessions/${sessionId}/status`)).body;
const artifactOf = ({ artifacts }) =>
  artifacts.find(({ content }) => content.type === "pull_request")?.content;

/** The session's pull request, once it has one that fits. */
const opened = (client, sessionId, fits = () => true) =>
  until(
    async () => artifactOf(await status(client, sessionId)),
    (content) => content !== undefined && fits(content),
    "the pull request",
    30_000,
  );

const ofBranch = async (client, sessionId) => {
  const { session } = await status(client, sessionId);
  return host.pulls.filter(({ head }) => head.ref === session.branch);
};

test("it is opened in its author's name, says what was done, and keeps what people wrote", async () => {
  host.files[".github/PULL_REQUEST_TEMPLATE.md"] = "## Why\n\n- [ ] I have tested it\n";
  const { runner, turn, sessionId } = await startTurn(edge, people.ada, "Fix the sum\nFixes #3, cc @octocat");
  await runner.report(
    toolItem(turn.turnId, "itm_1", "ok", { title: "npm test" }),
    toolItem(turn.turnId, "itm_2", "no", {
      title: "npm run lint",
      state: { type: "completed", durationMs: 1, exitCode: 1 },
    }),
    toolItem(turn.turnId, "itm_3", "x", { title: "ls" }),
    textItem(turn.turnId, "itm_4", "The last line was left out. <!-- hidden -->", true),
    changed(turn, {
      files: [
        {
          path: ".github/workflows/ci.yml",
          status: "modified",
          additions: 2,
          deletions: 1,
          hunks: [],
          omitted: false,
        },
      ],
    }),
  );
  const content = await opened(people.ada, sessionId);
  assert.deepEqual([content.author, content.progress.flagged], [ADA.id, [".github/workflows/ci.yml"]]);
  const [pull] = await ofBranch(people.ada, sessionId);
  assert.equal(pull.user.login, "ada");
  const plain = pull.body.replaceAll("\u200b", "");
  assert.match(plain, /^## Why\n\n- \[ \] I have tested it\n\n<!-- farhand:begin -->/);
  for (const part of [
    "The last line was left out.",
    "**Ada Lovelace** asked:",
    "`npm test` passed",
    "`npm run lint` **failed**",
  ])
    assert.ok(plain.includes(part), `${part} in ${plain}`);
  assert.ok(!plain.includes("`ls`") && plain.includes("- `.github/workflows/ci.yml`"), plain);
  for (const active of ["@octocat", "#3", "<!-- hidden"]) assert.ok(!pull.body.includes(active), active);

  host.touch(pull, { body: `${pull.body.replace("[ ]", "[x]")}\n\nReviewed with Linus.` });
  await people.grace.post(`/api/sessions/${sessionId}/message`, prompt("And a test"));
  const second = await runner.turn(({ prompt }) => prompt === "And a test");
  await runner.receive(second);
  await runner.report(textItem(second.turnId, "itm_9", "There is one.", true), changed(second));
  await until(
    () => pull.body,
    (body) => body.includes("There is one."),
    "the new text",
  );
  assert.equal(pull.updated_by, "grace", "brought up to date by the author of that prompt");
  for (const kept of [
    "- [x] I have tested it",
    "Reviewed with Linus.",
    "Co-authored-by: Ada Lovelace <ada@farhand.example>",
  ])
    assert.ok(pull.body.includes(kept), `${kept} in ${pull.body}`);
  assert.equal((await ofBranch(people.ada, sessionId)).length, 1);
  assert.equal((await opened(people.ada, sessionId)).author, ADA.id, "its opener stays");
});

test("f37 cut at every call, before and after it is carried out, there is one", async () => {
  host.files[".github/PULL_REQUEST_TEMPLATE.md"] = "## Why\n";
  const cuts = new Map();
  host.cut = ({ head }, count) => {
    const cut = cuts.get(head);
    return cut?.count === count ? cut.when : undefined;
  };
  const sessions = [];
  // Four calls: find, list, read, create; of which two name the branch.
  for (const when of ["before", "after"])
    for (const count of [1, 2]) {
      const { runner, turn, sessionId } = await startTurn(edge, people.ada, `Cut ${when} ${count}`);
      const { session } = await status(people.ada, sessionId);
      cuts.set(session.branch, { when, count });
      await runner.report(changed(turn));
      sessions.push({ sessionId, what: `${when} call ${count}` });
    }
  for (const { sessionId, what } of sessions) {
    await opened(people.ada, sessionId);
    const pulls = await ofBranch(people.ada, sessionId);
    assert.deepEqual([pulls.length, pulls[0].user.login], [1, "ada"], what);
    assert.equal(pulls[0].body.match(/farhand:begin/g).length, 1, what);
  }
  host.cut = () => undefined;
});

test("f23 with three authors queued and a crash it is the first one's whose turn changed something", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, people.ada, "One");
  const { session } = await status(people.ada, sessionId);
  await people.grace.post(`/api/sessions/${sessionId}/message`, prompt("Two"));
  await people.linus.post(`/api/sessions/${sessionId}/message`, prompt("Three"));
  let isDown = true;
  host.cut = ({ head }) => (isDown && head === session.branch ? "before" : undefined);
  // The first changes nothing.
  await runner.report(turnEnded(turn));
  for (const text of ["Two", "Three"]) {
    const next = await runner.turn(({ prompt }) => prompt === text);
    await runner.receive(next);
    await runner.report(changed(next));
    await until(() => host.calls.some(({ head }) => head === session.branch), Boolean, "a try");
  }
  await edge.restart();
  isDown = false;
  const content = await opened(people.ada, sessionId);
  assert.equal(content.author, GRACE.id);
  const pulls = await ofBranch(people.ada, sessionId);
  assert.deepEqual([pulls.length, pulls[0].user.login], [1, "grace"]);
  host.cut = () => undefined;
});

test("an author whose token is refused is told to sign in again, and it waits for nobody else's", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, people.grace, "Refused");
  const watching = await view(edge, people.ada, sessionId);
  const { session } = await status(people.grace, sessionId);
  const ofThis = () => host.calls.filter(({ head }) => head === session.branch);
  const before = host.calls.length;
  host.refused.add("grace");
  await runner.report(changed(turn));
  const { what, reason } = await watching.event("effect_failed");
  assert.equal(what, "opening the pull request");
  assert.match(reason, /waits until Grace Hopper 😀 has signed in again/);
  // The author comes back without having signed in again: it is tried, and nobody is told once more.
  const tries = ofThis().length;
  await (await view(edge, people.grace, sessionId)).close();
  await until(() => ofThis().length > tries, Boolean, "another try");
  // Somebody else's prompt does not make it theirs.
  await people.ada.post(`/api/sessions/${sessionId}/message`, prompt("More"));
  const next = await runner.turn(({ prompt }) => prompt === "More");
  await runner.receive(next);
  const more = ofThis().length;
  await runner.report(changed(next));
  await until(() => ofThis().length > more, Boolean, "a try with the newer change");
  assert.deepEqual(await ofBranch(people.ada, sessionId), []);
  host.refused.delete("grace");
  await (await view(edge, people.grace, sessionId)).close();
  const content = await opened(people.ada, sessionId);
  assert.deepEqual([content.author, content.progress.byApp ?? false], [GRACE.id, false]);
  const pulls = await ofBranch(people.ada, sessionId);
  assert.deepEqual([pulls.length, pulls[0].user.login], [1, "grace"]);
  const app = host.calls.slice(before).filter(({ who }) => who?.startsWith("app"));
  assert.deepEqual(app, [], "the App has no part in it");
  assert.equal(watching.records.filter(({ event }) => event.type === "effect_failed").length, 1);
  await watching.close();
});

test("without a token of its author the App opens it, and says for whom", async () => {
  const runner = await startRunner(edge, people.linus, "For Linus");
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const turn = await runner.turn();
  const { session } = await status(people.linus, runner.sessionId);
  host.cut = ({ head }) => (head === session.branch ? "before" : undefined);
  await runner.report(changed(turn));
  await until(() => host.calls.some(({ head }) => head === session.branch), Boolean, "a try");
  const left = JSON.stringify(users.filter(({ login }) => login !== "linus"));
  await edge.server.update((options) => ({
    ...options,
    workers: options.workers.map((worker) => ({
      ...worker,
      secrets: { ...worker.secrets, LOCAL_USERS: left },
    })),
  }));
  host.cut = () => undefined;
  const content = await opened(people.ada, runner.sessionId);
  assert.deepEqual([content.author, content.progress.byApp], [LINUS.id, true]);
  const [pull] = await ofBranch(people.ada, runner.sessionId);
  assert.equal(pull.user.login, "app of acme/shop");
  assert.match(pull.body, /Opened for \*\*Linus Pauling\*\*/);
  assert.match(pull.body, /Co-authored-by: Linus Pauling <linus@farhand.example>/);
});
