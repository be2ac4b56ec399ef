/** A sandbox bridge for the Worker: takes every command of sessions and keeps it; answers as `protocol::bridge` says. */

import { createServer } from "node:http";

/** Starts one on loopback. */
export async function startBridge() {
  const requests = [];
  const waiting = new Set();
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    requests.push({
      method: request.method,
      path: request.url,
      headers: request.headers,
      body: body ? JSON.parse(body) : null,
    });
    for (const check of [...waiting]) check();
    const snapshot = request.url.match(/\/snapshots\/([^/]+)$/);
    const isCommand = request.url.includes("/commands/");
    response.writeHead(isCommand ? 202 : 200, { "content-type": "application/json" });
    if (/^\/sandboxes\/[^/]+$/.test(request.url)) {
      response.end(JSON.stringify({ provider: "local", isolation: "namespaces" }));
    } else {
      response.end(JSON.stringify(snapshot ? { snapshotId: snapshot[1], sizeBytes: 1 } : {}));
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
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
