/** Hands requests on to the Worker with the signature of whoever would send them: the sandbox bridge, GitHub or Slack. */

import { createHmac } from "node:crypto";
import { createServer, request as send } from "node:http";
import { BRIDGE_KEY, WEBHOOK_SECRET } from "../support/edge.mjs";
import { signRequest } from "../support/sign.mjs";
import { SIGNING_SECRET } from "../support/slack.mjs";

const hmac = (key, ...parts) => {
  const digest = createHmac("sha256", key);
  for (const part of parts) digest.update(part);
  return digest.digest("hex");
};

/** The headers that prove who sends this. */
function proofOf(method, url, body) {
  if (url.startsWith("/api/bridge/"))
    return { authorization: signRequest(BRIDGE_KEY, { method, path: url, body }) };
  if (url.startsWith("/api/webhooks/"))
    return { "x-hub-signature-256": `sha256=${hmac(WEBHOOK_SECRET, body)}` };
  const timestamp = String(Math.floor(Date.now() / 1000));
  return {
    "x-slack-request-timestamp": timestamp,
    "x-slack-signature": `v0=${hmac(SIGNING_SECRET, `v0:${timestamp}:`, body)}`,
  };
}

/** Starts one in front of `origin`. */
export async function startSigningProxy(origin) {
  const server = createServer(async (incoming, outgoing) => {
    const pieces = [];
    for await (const piece of incoming) pieces.push(piece);
    const body = Buffer.concat(pieces);
    const { method, url } = incoming;
    const headers = { ...incoming.headers, ...proofOf(method, url, body) };
    const passed = send(`${origin}${url}`, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    passed.once("error", () => outgoing.destroy());
    passed.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
