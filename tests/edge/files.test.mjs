/** Pictures and files of the agent: known by their content, served as what they are, wherever they are kept, and gone with the session. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA, startEdge } from "./support/edge.mjs";
import { startTurn, toolItem } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";
import { until } from "./support/wait.mjs";

const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADUlEQVR42mP4z8AARAAI/gH/GcBr5wAAAABJRU5ErkJggg==",
  "base64",
);
const SVG = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>');
const PAGE = Buffer.from("<!doctype html><script>alert(1)</script>");
const ZIP = Buffer.from("PK\x03\x04\0\0", "latin1");

let edge;
let ada;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
});
after(() => edge?.close());

const path = (sessionId, id) => `/api/sessions/${sessionId}/artifacts/${id}`;

/** The runner brings these; answers their artifacts as a viewer that comes later sees them. */
async function bring({ runner, turn, sessionId }, files) {
  const viewer = await view(edge, ada, sessionId);
  for (const [name, content, itemId] of files) {
    const data = content.toString("base64");
    await runner.report({ type: "file_made", turnId: turn.turnId, name, data, ...(itemId && { itemId }) });
  }
  const last = files.at(-1)[0];
  await viewer.record(
    ({ event }) => event.type === "artifact_changed" && event.artifact.content.name === last,
    "the last file",
  );
  await viewer.close();
  const late = await view(edge, ada, sessionId);
  const found = late.state.snapshot.artifacts.filter(({ content }) => content.type === "file");
  assert.deepEqual(late.faults, []);
  await late.close();
  return found.map(({ content }) => content);
}

async function checkServed(sessionId, { contentId }, type, disposition, bytes, what) {
  const answer = await ada.raw(path(sessionId, contentId));
  assert.equal(answer.status, 200, what);
  const headers = Object.fromEntries(answer.headers);
  assert.equal(headers["content-type"], type, what);
  assert.equal(headers["content-disposition"], disposition, what);
  assert.equal(headers["x-content-type-options"], "nosniff", what);
  assert.equal(headers["cache-control"], "no-store", what);
  assert.match(headers["content-security-policy"], /^sandbox; default-src 'none'/, what);
  assert.deepEqual(Buffer.from(await answer.arrayBuffer()), bytes, what);
}

test("a file is what its content says, in the object, in R2, and after a restart", async () => {
  const live = await startTurn(edge, ada, "Look around");
  const { sessionId, runner, turn } = live;
  await runner.report(toolItem(turn.turnId, "itm_look", "Image read successfully"));
  const [picture, drawing, page, archive] = await bring(live, [
    ["cart.png", PNG, "itm_look"],
    ["logo.png", SVG],
    ["page.html", PAGE],
    ["trace.zip", ZIP],
  ]);
  assert.deepEqual(
    { ...picture, contentId: "" },
    {
      type: "file",
      name: "cart.png",
      itemId: "itm_look",
      contentId: "",
      mediaType: "image/png",
      bytes: PNG.length,
      extent: { width: 2, height: 1 },
    },
  );
  assert.deepEqual(
    [drawing, page, archive].map(({ mediaType, extent }) => [mediaType, extent]),
    [
      ["text/plain", undefined],
      ["text/plain", undefined],
      ["application/octet-stream", undefined],
    ],
  );
  const check = async (where) => {
    await checkServed(sessionId, picture, "image/png", "inline", PNG, where);
    await checkServed(sessionId, drawing, "text/plain; charset=utf-8", "inline", SVG, where);
    await checkServed(sessionId, page, "text/plain; charset=utf-8", "inline", PAGE, where);
    await checkServed(sessionId, archive, "application/octet-stream", "attachment", ZIP, where);
  };
  await check("at once");
  await until(
    () => edge.sessionRows(sessionId, "SELECT count(*) AS waiting FROM outputs"),
    ([{ waiting }]) => waiting === 0,
    "the object to let go of them",
  );
  assert.equal((await edge.artifactKeys(`sessions/${sessionId}/`)).length, 4);
  await check("from R2");
  await edge.sleep(sessionId);
  await check("after sleep");

  const elsewhere = await startTurn(edge, ada, "Look elsewhere");
  const other = await ada.get(path(elsewhere.sessionId, picture.contentId));
  assert.deepEqual([other.status, other.body.code], [404, "not_found"], "another session has none of it");
  const anonymous = await edge.server.fetch(path(sessionId, picture.contentId));
  assert.equal(anonymous.status, 401);
  assert.equal((await ada.delete(`/api/sessions/${sessionId}`)).status, 200);
  await until(
    () => edge.artifactKeys(`sessions/${sessionId}/`),
    ({ length }) => length === 0,
    "R2 to be empty",
  );
});

test("the largest file arrives, and a larger one says why it does not", async () => {
  const live = await startTurn(edge, ada, "Bring much");
  const largest = Buffer.concat([PNG, Buffer.alloc(1024 * 1024 - PNG.length, 7)]);
  const [kept] = await bring(live, [["largest.png", largest]]);
  assert.equal(kept.bytes, 1024 * 1024);
  await checkServed(live.sessionId, kept, "image/png", "inline", largest, "the largest");
  const viewer = await view(edge, ada, live.sessionId);
  const data = Buffer.alloc(1024 * 1024 + 3, 7).toString("base64");
  await live.runner.report({ type: "file_made", turnId: live.turn.turnId, name: "larger.png", data });
  const { event } = await viewer.record(
    ({ event }) => event.type === "item_changed" && event.item.content.type === "notice",
    "why not",
  );
  assert.match(
    event.item.content.text,
    /^`larger\.png` is not kept as an artifact: it has more than 1024 KiB\.$/,
  );
  await viewer.close();
});
