/** Long tool output: a preview in the timeline, the whole as an artifact, wherever it is kept. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, startEdge } from "./support/edge.mjs";
import { startTurn, toolItem, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

/** `protocol::limit::TOOL_PREVIEW_BYTES_MAX`. */
const PREVIEW_BYTES_MAX = 32 * 1024;

let edge;
let ada;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
});
after(() => edge?.close());

const lines = (bytes, mark = "") =>
  Array.from({ length: Math.ceil(bytes / 64) }, (_, n) => `${mark}${n} wörld 😀 `.padEnd(56, ".")).join("\n");

/** A call whose output ends as `output`; its item as viewers see it. */
async function call({ runner, turn, sessionId }, id, output) {
  const viewer = await view(edge, ada, sessionId);
  await runner.report(toolItem(turn.turnId, id, "", { state: { type: "running" } }));
  await runner.report(toolItem(turn.turnId, id, output));
  const find = ({ event }) => ["item_changed", "item_revised"].includes(event.type) && event.item.id === id;
  await viewer.record(
    (record) => find(record) && record.event.item.content.state.type === "completed",
    "its end",
  );
  const item = viewer.state.snapshot.items.find((each) => each.id === id);
  await viewer.close();
  return item.content;
}

const path = (sessionId, artifactId) => `/api/sessions/${sessionId}/artifacts/${artifactId}`;

function checkText(answer, text, what) {
  assert.equal(answer.status, 200, what);
  assert.equal(answer.body, text, what);
  const headers = Object.fromEntries(answer.headers);
  assert.equal(headers["content-type"], "text/plain; charset=utf-8", what);
  assert.equal(headers["x-content-type-options"], "nosniff", what);
  assert.equal(headers["cache-control"], "no-store", what);
  assert.equal(headers["content-disposition"], "inline", what);
  assert.match(headers["content-security-policy"], /^sandbox; default-src 'none'/, what);
}

test("what fits is in the item, what does not is a preview with the whole behind it", async () => {
  const live = await startTurn(edge, ada, "Be loud");
  const { sessionId, runner, turn } = live;
  const short = lines(8 * 1024);
  const small = await call(live, "itm_small", short);
  assert.deepEqual([small.output, small.omittedBytes, small.artifactId], [short, 0, undefined]);

  const whole = lines(160 * 1024);
  const content = await call(live, "itm_large", whole);
  const size = Buffer.byteLength(content.output);
  assert.ok(size <= PREVIEW_BYTES_MAX && size > PREVIEW_BYTES_MAX / 2, `${size} bytes of preview`);
  assert.ok(whole.startsWith(content.output.slice(0, 1000)) && whole.endsWith(content.output.slice(-1000)));
  assert.ok(content.omittedBytes > 0);
  assert.match(content.artifactId, /^art_/);
  checkText(await ada.get(path(sessionId, content.artifactId)), whole, "at once");

  const keys = await until(
    () => edge.artifactKeys(`sessions/${sessionId}/`),
    ({ length }) => length > 0,
    "R2",
  );
  assert.equal(keys.length, 1);
  const stored = "SELECT sum(length(text)) AS bytes FROM outputs";
  await until(
    () => edge.sessionRows(sessionId, stored),
    ([{ bytes }]) => !bytes,
    "the object to let go of it",
  );
  checkText(await ada.get(path(sessionId, content.artifactId)), whole, "from R2");
  await edge.sleep(sessionId);
  checkText(await ada.get(path(sessionId, content.artifactId)), whole, "after sleep");
  await runner.report(turnEnded(turn));
  await edge.restart();
  const answer = await until(
    () => ada.get(path(sessionId, content.artifactId)),
    ({ status }) => status === 200,
    "the artifact after a restart",
  );
  checkText(answer, whole, "after a restart");

  const fresh = await view(edge, ada, sessionId);
  const item = fresh.state.snapshot.items.find(({ id }) => id === "itm_large");
  assert.deepEqual(item.content, content, "the snapshot has the same preview");
  await fresh.close();
});

test("A38: a page in an output is text, and no name leads elsewhere", async () => {
  const live = await startTurn(edge, ada, "Be evil");
  const page = `<!doctype html><script>alert(1)</script>${lines(64 * 1024)}`;
  const { artifactId } = await call(live, "itm_page", page);
  checkText(await ada.get(path(live.sessionId, artifactId)), page, "a page");

  const other = await startTurn(edge, ada, "Look over there");
  for (const [what, url] of [
    ["another session's", path(other.sessionId, artifactId)],
    ["none", path(live.sessionId, "art_none")],
    ["no id", path(live.sessionId, "itm_page")],
    ["a way up", path(live.sessionId, encodeURIComponent("../../x"))],
  ]) {
    const answer = await ada.get(url);
    assert.deepEqual([answer.status, answer.body.code], [404, "not_found"], what);
  }
  const named = toolItem(other.turn.turnId, "itm_forged", "short", { artifactId });
  await other.runner.report(named);
  const viewer = await view(edge, ada, other.sessionId);
  const item = viewer.state.snapshot.items.find(({ id }) => id === "itm_forged");
  assert.equal(item.content.artifactId, undefined, "a runner names no artifact");
  await viewer.close();
});
