/** Signatures between edge and bridge: the golden vectors, answers of impostors (A06), replays (A04), and the exchange of the secret. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { ADA, BRIDGE_KEY, prompt, startEdge } from "./support/edge.mjs";
import { startRunner } from "./support/runner.mjs";
import { signAnswer, signRequest, verify, verifyAnswer } from "./support/sign.mjs";

const NEW_KEY = "the-next-bridge-key-of-the-edge-tests-01";

let edge;
let ada;
before(async () => {
  edge = await startEdge({
    vars: { IMAGES: "off" },
    secrets: { BRIDGE_KEY: JSON.stringify([BRIDGE_KEY, NEW_KEY]) },
  });
  ada = await edge.client(ADA);
});
after(() => edge?.close());

test("a05 the golden vectors are what this implementation signs, which the Worker accepts and answers", async () => {
  const file = new URL("../../durable-objects/protocol/vectors/signatures.json", import.meta.url);
  const { secret, now, nonce, cases } = JSON.parse(await readFile(file, "utf8"));
  for (const { to, method, path, body, authorization, status, answer, signature } of cases) {
    const signed = signRequest(secret, { audience: to, method, path, body, nonce, issuedAt: now });
    const signer = to === "bridge" ? "edge" : "bridge";
    const claims = (token, who) => verify(secret, who, token.replace("Bearer ", ""));
    assert.deepEqual(claims(authorization, signer), claims(signed, signer));
    verifyAnswer(secret, { audience: to, authorization, signature, status, body: answer });
    const own = signAnswer(secret, { audience: to, nonce, status, body: answer, issuedAt: now });
    assert.deepEqual(claims(own, to), claims(signature, to));
  }
});

test("a06 an answer that the bridge has not signed counts for nothing, whatever it says", async () => {
  const forgeries = {
    "not signed": () => undefined,
    "signed with another key": (_, body) =>
      signAnswer("another-key-another-key-another-key-1", { nonce: "0".repeat(32), status: 200, body }),
    "the answer to another request": (_, body) =>
      signAnswer(BRIDGE_KEY, { nonce: "0".repeat(32), status: 200, body }),
    "signed by us": (right, body) =>
      signAnswer(BRIDGE_KEY, {
        audience: "edge",
        nonce: verify(BRIDGE_KEY, "bridge", right).answers,
        status: 200,
        body,
      }),
  };
  for (const [what, forge] of Object.entries(forgeries)) {
    edge.bridge.forgery.of = forge;
    const sent = edge.bridge.requests.length;
    const { body } = await ada.post("/api/sessions", { repository: "acme/shop", prompt: prompt(what) });
    const isCreation = ({ path }) => /^\/sandboxes\/[^/]+$/.test(path);
    // It is asked again and again, and never believed.
    const asked = () => edge.bridge.requests.slice(sent).filter(isCreation).length >= 2;
    await edge.bridge.request(asked, `a second try: ${what}`);
    const { sandbox } = (await ada.get(`/api/sessions/${body.sessionId}/status`)).body;
    assert.match(sandbox.step, /is not signed by it/, what);
    edge.bridge.forgery.of = (right) => right;
    await edge.bridge.request(() => true);
    await ada.delete(`/api/sessions/${body.sessionId}`);
  }
});

test("a04 a captured report is refused when it comes again", async () => {
  const runner = await startRunner(edge, ada);
  assert.equal((await runner.attach()).status, 200);
  const path = `/api/bridge/sessions/${runner.sessionId}/ended`;
  const value = { sandboxId: "sbx_0", generation: 99, reason: "x" };
  const authorization = signRequest(BRIDGE_KEY, { path, body: JSON.stringify(value) });
  const first = await edge.report(runner.sessionId, "ended", value, { authorization });
  assert.notEqual(first.body.code, "signature_invalid");
  const again = await edge.report(runner.sessionId, "ended", value, { authorization });
  assert.deepEqual([again.status, again.body.code], [401, "signature_invalid"]);
});

test("while the secret is exchanged both count, and the current one signs", async () => {
  const runner = await startRunner(edge, ada);
  const { sandboxId, generation } = runner;
  const batch = { sandboxId, generation, bridgeUrl: edge.bridge.url, runnerVersion: "test" };
  for (const key of [NEW_KEY, BRIDGE_KEY]) {
    const path = `/api/bridge/sessions/${runner.sessionId}/attached`;
    const authorization = signRequest(key, { path, body: JSON.stringify(batch) });
    // The answer is checked with the current secret.
    const answer = await edge.report(runner.sessionId, "attached", batch, { authorization });
    assert.equal(answer.status, 200);
  }
  const key = "a-key-that-is-not-in-the-ring-at-all-012";
  const foreign = await edge.report(runner.sessionId, "attached", batch, { key });
  assert.deepEqual([foreign.status, foreign.body.code], [401, "signature_invalid"]);
});
