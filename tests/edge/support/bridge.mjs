/** A sandbox bridge for the Worker: takes every command and keeps it; answers as `protocol::bridge` and `protocol::repository` say. */

import { createServer } from "node:http";
import { ANSWER_HEADER, signAnswer } from "./sign.mjs";
import { Gate } from "./wait.mjs";

/** Starts one on loopback; `key` is shared with the Worker. */
export async function startBridge(key) {
  const requests = [];
  const waiting = new Set();
  const refusals = [];
  /** Sandboxes that sessions ordered and that have not ended. */
  const running = new Set();
  /** What it has of repositories; images are added by the test that builds them. */
  const inventory = { warm: new Set(), builds: new Set(), images: new Set() };
  /** What it says that it can. */
  const capabilities = {
    provider: "local",
    isolation: "namespaces",
    missing: [],
    limits: ["cpu", "memory", "pids", "disk", "life"],
  };
  /** How it says that it is. */
  const status = {
    version: "0.1.0",
    startedAt: 1,
    provider: "local",
    sandboxes: 0,
    attached: 0,
    warm: 0,
    reasons: [],
  };
  /** Changes how answers are signed: gets the right signature, answers the one that is sent. */
  const forgery = { of: (signature) => signature };
  const gate = new Gate();
  const server = createServer(async (request, response) => {
    await gate.pass();
    const answer = (status, text) => {
      const { authorization } = request.headers;
      const signature = forgery.of(signAnswer(key, { authorization, status, body: text }), text);
      const signed = signature ? { [ANSWER_HEADER]: signature } : {};
      response.writeHead(status, { "content-type": "application/json", ...signed });
      response.end(text);
    };
    let body = "";
    for await (const piece of request) body += piece;
    requests.push({
      method: request.method,
      path: request.url,
      headers: request.headers,
      body: body ? JSON.parse(body) : null,
    });
    const [, kind, id, what] = request.url.split("/");
    if (kind === "builds" && !what) inventory.builds.add(id);
    if (kind === "builds" && what === "cancelled") inventory.builds.delete(id);
    if (kind === "images" && what === "deleted") inventory.images.delete(id);
    if (kind === "sandboxes" && !what) running.add(id);
    if (what === "terminated") running.delete(id);
    if (what === "warm") inventory.warm.add(id);
    if (what === "discarded" || what === "claimed") inventory.warm.delete(id);
    for (const check of [...waiting]) check();
    const refused = refusals.find(({ fits }) => fits(requests.at(-1)));
    if (refused) {
      return answer(refused.status, JSON.stringify(refused.error));
    }
    const snapshot = request.url.match(/\/snapshots\/([^/]+)$/);
    const isCommand = request.url.includes("/commands/") || (kind === "builds" && !what);
    const code = isCommand ? 202 : 200;
    if (kind === "halted") {
      answer(code, JSON.stringify({ ended: running.size, left: 0 }));
      running.clear();
    } else if (kind === "capabilities") {
      answer(code, JSON.stringify(capabilities));
    } else if (kind === "status") {
      answer(code, JSON.stringify(status));
    } else if (kind === "inventory") {
      const lists = Object.entries(inventory).map(([name, ids]) => [name, [...ids]]);
      answer(code, JSON.stringify(Object.fromEntries(lists)));
    } else if (/^\/sandboxes\/[^/]+(\/warm|\/claimed)?$/.test(request.url)) {
      answer(code, JSON.stringify({ provider: "local", isolation: "namespaces" }));
    } else {
      answer(code, JSON.stringify(snapshot ? { snapshotId: snapshot[1], sizeBytes: 1 } : {}));
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    /** Refuses to give this sandbox to anybody. */
    refuse: (sandboxId, status, error) =>
      refusals.push({ fits: ({ path }) => path === `/sandboxes/${sandboxId}/claimed`, status, error }),
    /** Refuses to create sandboxes that are ordered like this. */
    refuseCreation: (isOrdered, status, error) =>
      refusals.push({
        fits: ({ path, body }) => /^\/sandboxes\/[^/]+$/.test(path) && isOrdered(body),
        status,
        error,
      }),
    inventory,
    running,
    capabilities,
    status,
    forgery,
    /** Every request passes it. */
    gate,
    /** The first request that fits, now or within ten seconds. */
    request(fits, what = "a request to the bridge") {
      return new Promise((resolve, reject) => {
        const check = () => {
          const found = requests.find(fits);
          if (!found) return;
          clearTimeout(timer);
          waiting.delete(check);
          resolve(found);
        };
        const timer = setTimeout(() => {
          waiting.delete(check);
          reject(new Error(`${what} did not come`));
        }, 10_000);
        waiting.add(check);
        check();
      });
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
