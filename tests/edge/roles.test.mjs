/** Who may do what, and sessions that are archived: refused is what the policy says, and nothing of it is stored. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

let edge;
let ada;
let grace;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
  grace = await edge.client(GRACE);
});
after(() => edge?.close());

const status = async (sessionId) => (await ada.get(`/api/sessions/${sessionId}/status`)).body;

/** Sends a frame that must be refused for this reason. */
async function refuses(viewer, frame, code) {
  const error = await viewer.refusal(frame);
  assert.equal(error.code, code, error.message);
  return error;
}

test("each role may do what the table says, on the socket and over HTTP", async () => {
  const sessionId = await ada.newSession();
  const owner = await view(edge, ada, sessionId);
  const other = await view(edge, grace, sessionId);
  await refuses(other, { type: "set_role", userId: ADA.id, role: "viewer" }, "forbidden");
  await refuses(owner, { type: "set_role", userId: ADA.id, role: "driver" }, "forbidden");
  await refuses(owner, { type: "set_role", userId: "usr_nobody", role: "viewer" }, "not_found");
  other.send({ type: "rename", title: "A driver's title" });
  assert.deepEqual(await owner.event("title_changed"), {
    type: "title_changed",
    title: "A driver's title",
    by: GRACE.id,
  });

  owner.send({ type: "set_role", userId: GRACE.id, role: "viewer" });
  assert.deepEqual(await other.event("role_changed"), {
    type: "role_changed",
    userId: GRACE.id,
    role: "viewer",
    by: ADA.id,
  });
  const before = (await status(sessionId)).seq;
  const denied = await refuses(other, { type: "prompt", prompt: prompt("may I?") }, "forbidden");
  assert.match(denied.message, /viewer.*owner/);
  for (const frame of [
    { type: "cancel_prompt", promptId: "prm_1" },
    { type: "edit_prompt", promptId: "prm_1", text: "x" },
    { type: "move_prompt", promptId: "prm_1" },
    { type: "stop", turnId: "trn_1" },
    { type: "rename", title: "x" },
    { type: "set_role", userId: GRACE.id, role: "owner" },
  ])
    await refuses(other, frame, "forbidden");
  other.send({ type: "typing" });
  await other.settle();
  await owner.settle();
  assert.ok(!owner.frames.some(({ type }) => type === "typing"), "a viewer does not write");
  for (const answer of [
    await grace.post(`/api/sessions/${sessionId}/message`, prompt("and here?")),
    await grace.put(`/api/sessions/${sessionId}/archived`, { archived: true }),
    await grace.delete(`/api/sessions/${sessionId}`),
  ])
    assert.deepEqual([answer.status, answer.body.code], [403, "forbidden"]);
  assert.equal((await status(sessionId)).seq, before, "nothing of it was stored");

  await edge.sleep(sessionId);
  await refuses(other, { type: "prompt", prompt: prompt("after sleep?") }, "forbidden");
  owner.send({ type: "set_role", userId: GRACE.id, role: "owner" });
  await other.event("role_changed", ({ role }) => role === "owner");
  other.send({ type: "set_role", userId: ADA.id, role: "driver" });
  await owner.event("role_changed", ({ userId }) => userId === ADA.id);
  await refuses(owner, { type: "set_role", userId: ADA.id, role: "owner" }, "forbidden");
  await Promise.all([owner, other].map((viewer) => viewer.close()));
});

test("an archived session takes no prompts, is on its own list, and is taken up again", async () => {
  const sessionId = await ada.newSession();
  const owner = await view(edge, ada, sessionId);
  await (await view(edge, grace, sessionId)).close();
  const archive = (client, archived) => client.put(`/api/sessions/${sessionId}/archived`, { archived });
  assert.deepEqual((await archive(grace, true)).body.code, "forbidden");
  const done = await archive(ada, true);
  assert.deepEqual([done.status, done.body], [200, {}]);
  assert.deepEqual((await archive(ada, true)).status, 200, "a repeat changes nothing");
  assert.equal((await owner.event("session_archived")).by, ADA.id);
  await refuses(owner, { type: "prompt", prompt: prompt("more?") }, "session_archived");
  const answer = await ada.post(`/api/sessions/${sessionId}/message`, prompt("more?"));
  assert.deepEqual([answer.status, answer.body.code], [409, "session_archived"]);
  assert.ok((await status(sessionId)).session.archivedAt > 0);

  await until(
    () => ada.isListed(sessionId, "?archived=true"),
    Boolean,
    "the session among the archived ones",
  );
  assert.equal(await ada.isListed(sessionId), false);
  assert.equal(await ada.isListed(sessionId, "?archived=false"), false);
  assert.ok((await ada.list("?archived=true")).every(({ archived }) => archived));
  assert.ok((await ada.list()).every(({ archived }) => !archived));

  assert.equal((await archive(ada, false)).status, 200);
  assert.equal((await owner.event("session_unarchived")).by, ADA.id);
  await owner.submit("again");
  await until(() => ada.isListed(sessionId), Boolean, "the session in the list");
  assert.equal(await ada.isListed(sessionId, "?archived=true"), false);
  assert.equal(owner.records.filter(({ event }) => event.type === "session_archived").length, 1);
  const busy = await archive(ada, true);
  assert.equal(busy.status, 400, "a session with work left");
  await owner.close();
});
