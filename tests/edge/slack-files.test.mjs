/** Files of a message: pictures and texts go along with its prompt, everything else is named with its reason. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ADA } from "./support/edge.mjs";
import { turnEnded } from "./support/runner.mjs";
import { mention, startSlackEdge, TOKEN } from "./support/slack.mjs";

const PNG = Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), Buffer.alloc(600, 7)]);
const JPEG = (bytes) => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), Buffer.alloc(bytes - 3, 7)]);
let stage;
let slack;

before(async () => {
  stage = await startSlackEdge();
  slack = stage.slack;
  await stage.link("U0ADA", ADA.id);
});
after(() => stage?.close());

const upload = (id, name, mimetype, content, more = {}) =>
  slack.tell({ do: "upload", id, name, mimetype, data: Buffer.from(content).toString("base64"), ...more });
const write = (text, files, more = {}) => slack.write("U0ADA", mention(text), { files, ...more });
/** Which contents were asked for. */
const fetched = async (id) =>
  (await slack.calls("file")).filter(({ fields }) => fields.file === id).map(({ fields }) => fields.name);

test("pictures and texts go along, a large picture as one of Slack's smaller ones", async () => {
  await upload("F1", "small.png", "image/png", PNG, { width: 4, height: 3 });
  const [middle, tiny] = [JPEG(50_000), JPEG(2_000)];
  await upload("F2", "large.jpg", "image/jpeg", JPEG(900_000), {
    width: 4000,
    height: 3000,
    thumbs: {
      1024: { data: JPEG(120_000).toString("base64"), width: 1024, height: 768 },
      720: { data: middle.toString("base64"), width: 720, height: 540 },
      360: { data: tiny.toString("base64"), width: 360, height: 270 },
    },
  });
  await upload("F3", "server.log", "text/plain", "one\ntwo é\n");
  // Slack is away for a moment.
  await slack.script("files.info", { status: 503 });
  const { ts } = await write("fix acme/shop as in the pictures", ["F1", "F2", "F3"]);
  const { runner, turn } = await stage.runTurn(ts);
  assert.deepEqual(turn.attachments, [
    {
      type: "image",
      name: "small.png",
      picture: { mediaType: "image/png", data: PNG.toString("base64"), width: 4, height: 3 },
    },
    {
      type: "image",
      name: "large.jpg",
      picture: { mediaType: "image/jpeg", data: middle.toString("base64"), width: 720, height: 540 },
    },
    { type: "text", name: "server.log", text: "one\ntwo é\n" },
  ]);
  assert.deepEqual(await fetched("F2"), ["1024", "720"], "what is known to be too large is not asked for");
  assert.ok(!turn.prompt.includes("Attached in Slack"), turn.prompt);
  assert.ok(!(await slack.said(ts)).some((message) => /I work without/.test(message.text)));

  await runner.report(turnEnded(turn, { outcome: { type: "stopped" } }));
  await slack.click("U0ADA", await slack.hears(ts, /"Retry"/), "retry");
  const again = await runner.turn(({ turnId }) => turnId !== turn.turnId);
  assert.deepEqual(again.attachments, turn.attachments, "they go along once more");
});

test("what cannot go along is named to its author and to the agent, and the work begins", async () => {
  await upload("F4", "report.pdf", "application/pdf", Buffer.from([0x25, 0x50, 0x44, 0x46, 0xff, 0x00]));
  await upload("F5", "drive.png", "image/png", PNG, {
    width: 4,
    height: 3,
    more: {
      url_private: "http://127.0.0.1:9/drive.png",
      url_private_download: "http://127.0.0.1:9/drive.png",
    },
  });
  await upload("F6", "gone.png", "image/png", PNG, { more: { mode: "tombstone" } });
  await upload("F7", "dump <!channel>.log", "text/plain", "x".repeat(200_000));
  await upload("F8", "fake.png", "image/png", "<html>sign in</html>", { width: 4, height: 3 });
  await upload("F9", "good.txt", "text/plain", "good");
  const { ts } = await write("fix acme/shop by these", ["F4", "F5", "F6", "F7", "F8", "F9"]);
  const { turn } = await stage.runTurn(ts);
  assert.deepEqual(turn.attachments, [{ type: "text", name: "good.txt", text: "good" }]);
  const told = await slack.hears(ts, /I work without/);
  assert.equal(told.ephemeral_for, "U0ADA");
  const words = JSON.stringify(told);
  for (const part of [
    "report.pdf: it is neither a picture nor text",
    "drive.png: it is not kept by Slack",
    "gone.png: it was deleted",
    "it is too large",
    "fake.png: it is no picture",
  ])
    assert.ok(words.includes(part), `${part}: ${words}`);
  assert.ok(!words.includes("<!channel>"));
  for (const name of ["report.pdf", "drive.png", "gone.png", "fake.png"])
    assert.ok(turn.prompt.includes(`not given to you: ${name}`), turn.prompt);
  assert.deepEqual(await fetched("F7"), [], "its size is known before");
});

test("more files than a prompt takes, and a scope that is missing", async () => {
  const ids = ["F11", "F12", "F13", "F14", "F15", "F16"];
  for (const id of ids) await upload(id, `${id}.txt`, "text/plain", id);
  const { ts } = await write("fix acme/shop by many", ids);
  const { turn } = await stage.runTurn(ts);
  assert.deepEqual(
    turn.attachments.map(({ text }) => text),
    ids.slice(0, 5),
  );
  await slack.hears(ts, /F16\.txt: a prompt takes 5 attachments/);

  await slack.script("files.info", { error: "missing_scope", needed: "files:read" });
  const other = await write("fix acme/shop by one", ["F11"]);
  await slack.hears(other.ts, /F11\.txt: the app lacks the scope files:read; the operator adds it/);
  await slack.sessionOf(other.ts);
  assert.ok(!stage.logs().includes(TOKEN));
});
