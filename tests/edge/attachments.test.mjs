/** What goes along with prompts: taken in every way that prompts come, told in the timeline, given to the runner, served, refused. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, startEdge } from "./support/edge.mjs";
import { startTurn, turnEnded } from "./support/runner.mjs";
import { view } from "./support/viewer.mjs";

const vector = (name) => readFileSync(new URL(`../../extension/vectors/${name}`, import.meta.url), "utf8");
const CAPTURE = JSON.parse(vector("capture.json"));
const OUTLINE = vector("capture.txt").trimEnd();
const WEBP = Buffer.concat([Buffer.from("RIFF\0\0\0\0WEBPVP8 "), Buffer.alloc(64, 7)]);
const PICTURE = { mediaType: "image/webp", data: WEBP.toString("base64"), width: 4, height: 3 };
const capture = { type: "capture", capture: CAPTURE, outline: "of the client", picture: PICTURE };
const file = (name, text) => ({ type: "text", name, text });

let edge;
let ada;
before(async () => {
  edge = await startEdge();
  ada = await edge.client(ADA);
});
after(() => edge?.close());

const path = (sessionId, id) => `/api/sessions/${sessionId}/artifacts/${id}`;
const message = (sessionId, value) => ada.post(`/api/sessions/${sessionId}/message`, value);

async function create(attachments) {
  const answer = await ada.post("/api/sessions", {
    repository: "acme/shop",
    prompt: prompt("Look", { attachments }),
  });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body.sessionId;
}

test("clients are told what prompts may carry", async () => {
  const { body } = await ada.get("/api/configuration");
  assert.deepEqual(body.captures, { version: 1 });
  assert.deepEqual(body.attachments, { attachmentsMax: 5, capturesMax: 3, bytesMax: 184_320 });
});

test("the first prompt, the socket and HTTP take them, and the runner gets their contents", async () => {
  const { runner, turn, sessionId } = await startTurn(edge, ada, "Running");
  const viewer = await view(edge, ada, sessionId);
  const steered = await viewer.submit("Like this", { delivery: "steer", attachments: [capture] });
  const command = await runner.command("steer_turn");
  assert.deepEqual(command.attachments, [{ type: "capture", capture: CAPTURE, picture: PICTURE }]);
  await runner.report({ type: "steer_taken", turnId: turn.turnId, promptId: steered });

  const second = prompt("And this", { attachments: [file("a.log", "one\n")] });
  assert.equal((await message(sessionId, second)).status, 202);
  assert.equal((await message(sessionId, second)).status, 202, "a repeat is the same");
  const other = await message(sessionId, { ...second, attachments: [file("a.log", "two\n")] });
  assert.deepEqual([other.status, other.body.code], [409, "id_conflict"]);
  await runner.report(turnEnded(turn));
  const next = await runner.turn(({ prompt }) => prompt === "And this");
  assert.deepEqual(next.attachments, [file("a.log", "one\n")]);

  const late = await view(edge, ada, sessionId);
  const told = (each) => each.state.snapshot.prompts.find(({ id }) => id === second.id).attachments;
  assert.deepEqual(told(late), told(viewer));
  assert.deepEqual({ ...told(late)[0], textId: "" }, { kind: "text", name: "a.log", bytes: 4, textId: "" });
  assert.deepEqual(viewer.faults, []);
  await viewer.close();
  await late.close();

  const first = await create([capture]);
  const rows = await edge.sessionRows(first, "SELECT count(*) AS rows FROM attachments");
  assert.deepEqual(rows, [{ rows: 1 }]);
});

test("contents are served as what they are and never run as a page of ours", async () => {
  const html = "<script>alert(1)</script>";
  const sessionId = await create([capture, file("evil.html", html)]);
  const viewer = await view(edge, ada, sessionId);
  const [page, text] = viewer.state.snapshot.prompts[0].attachments;
  await viewer.close();
  assert.deepEqual([page.kind, page.name, page.elements], ["capture", "ProductCard", 7]);
  assert.equal(page.pageUrl, "https://shop.example/products?page=…");
  assert.deepEqual([page.picture.mediaType, page.picture.bytes], ["image/webp", WEBP.length]);
  for (const [id, type, body] of [
    [page.textId, "text/plain; charset=utf-8", OUTLINE],
    [text.textId, "text/plain; charset=utf-8", html],
    [page.picture.artifactId, "image/webp", undefined],
  ]) {
    const answer = await ada.get(path(sessionId, id));
    assert.equal(answer.status, 200, type);
    if (body !== undefined) assert.equal(answer.body, body);
    const headers = Object.fromEntries(answer.headers);
    assert.equal(headers["content-type"], type);
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["cache-control"], "no-store");
    assert.match(headers["content-security-policy"], /^sandbox; default-src 'none'/);
  }
  const elsewhere = await create([]);
  assert.equal((await ada.get(path(elsewhere, page.textId))).status, 404, "another session has none of it");
  assert.equal((await ada.delete(`/api/sessions/${sessionId}`)).status, 200);
  assert.equal((await ada.get(path(sessionId, page.textId))).status, 404);
});

test("everything else is refused with its reason, and nothing of it is stored", async () => {
  const sessionId = await create([]);
  const before = (await ada.get(`/api/sessions/${sessionId}/status`)).body.seq;
  const image = (more) => ({ type: "image", name: "a", picture: { ...PICTURE, ...more } });
  const cases = [
    [[{ type: "video" }], 400, /`capture`, `image` or `text`, not \\?"video/],
    [[7], 400, /the member `type`/],
    [{}, 400, /not as this path expects/],
    [[{ type: "capture" }], 400, /an object `capture`/],
    [[{ type: "capture", capture: { version: 2 } }], 400, /attachment 1 .* not of version 1/],
    [[{ type: "capture", capture: { ...CAPTURE, nodes: [] } }], 400, /no elements/],
    [[image({ mediaType: "image/svg+xml" })], 400, /image\/png, image\/jpeg, image\/webp/],
    [[image({ mediaType: "image/png" })], 400, /not image\/png, which it claims to be/],
    [[image({ data: "!" })], 400, /not base64/],
    [[image({ width: 0 })], 400, /`width` is from 1/],
    [[file("a", "")], 400, /it is empty/],
    [[file("a", "a\0b")], 400, /no text/],
    [Array(6).fill(file("a", "x")), 413, /at most 5 attachments/],
    [Array(4).fill({ type: "capture", capture: CAPTURE }), 413, /at most 3 captures/],
    [[file("a", "x".repeat(190_000))], 413, /at most 184320 are accepted/],
  ];
  const viewer = await view(edge, ada, sessionId);
  for (const [attachments, status, why] of cases) {
    const value = prompt("Refuse this", { attachments });
    const answer = await message(sessionId, value);
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    assert.match(answer.body.message, why);
    const error = await viewer.refusal({ type: "prompt", prompt: value });
    assert.equal(error.code, answer.body.code, error.message);
    const created = await ada.post("/api/sessions", { repository: "acme/shop", prompt: value });
    assert.equal(created.status, status, JSON.stringify(created.body));
  }
  await viewer.close();
  const deep = `{"id":"prm_deep","text":"x","origin":"api","attachments":[{"type":"capture","capture":{"nodes":${"[".repeat(5000)}${"]".repeat(5000)}}}]}`;
  const answer = await message(sessionId, deep);
  assert.equal(answer.status, 400, JSON.stringify(answer.body));
  assert.equal((await ada.get(`/api/sessions/${sessionId}/status`)).body.seq, before);
});

test("who may not see the session sees nothing of it", async () => {
  const sessionId = await create([capture]);
  const viewer = await view(edge, ada, sessionId);
  const [{ textId }] = viewer.state.snapshot.prompts[0].attachments;
  await viewer.close();
  const anonymous = await edge.server.fetch(path(sessionId, textId));
  assert.equal(anonymous.status, 401);
  const grace = await edge.client(GRACE);
  assert.equal((await grace.get(path(sessionId, textId))).status, 200, "who sees the repository may look");
});
