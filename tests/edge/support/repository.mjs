/** Stands for the objects of all repositories: keeps every call of sessions; a test says what each claim is answered with. */

import { createServer } from "node:http";
import { Growing } from "./wait.mjs";

/** Starts one on loopback. */
export async function startRepository() {
  const calls = new Growing();
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    const call = { path: request.url, body: JSON.parse(body) };
    const answer = call.path === "/claim" ? repository.claim(call.body) : { status: 200, body: {} };
    calls.add(call);
    // A test that answers nothing leaves the session waiting.
    if (!answer) return;
    response.writeHead(answer.status ?? 200, { "content-type": "application/json" });
    response.end(JSON.stringify(answer.body));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const repository = {
    url: `http://127.0.0.1:${server.address().port}`,
    calls: calls.list,
    /** The answer to a claim. */
    claim: () => none(),
    /** The call of this path that fits, now or within ten seconds. */
    call: async (path, fits = () => true) =>
      (await calls.wait(() => calls.list.find((call) => call.path === path && fits(call.body)), path)).body,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return repository;
}

/** No warm sandbox is ready. */
export const none = (imageId) => ({ body: { type: "none", reason: "no warm sandbox is ready", imageId } });

/** A warm sandbox whose runner is connected to this bridge. */
export const claimed = (sandboxId, bridgeUrl) => ({
  body: { type: "claimed", sandboxId, bridgeUrl, imageId: "img_1" },
});
