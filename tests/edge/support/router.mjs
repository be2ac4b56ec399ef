/** The model that routes: an endpoint as OpenAI's, which says what a test wants. */

import { createServer } from "node:http";
import { Gate } from "./wait.mjs";

/** Starts one on loopback. `router.says` is asked for what it says about each request. */
export async function startRouter() {
  const gate = new Gate();
  const router = {
    /** Bodies of the requests, with the header `authorization`. */
    requests: [],
    /** Every request passes it. */
    gate,
    says: () => ({ repository: "unknown", confidence: 0 }),
    status: 200,
  };
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request) text += piece;
    const body = JSON.parse(text);
    router.requests.push({ path: request.url, authorization: request.headers.authorization, body });
    await gate.pass();
    response.writeHead(router.status, { "content-type": "application/json" });
    const said = router.says(body);
    const content = typeof said === "string" ? said : JSON.stringify(said);
    response.end(JSON.stringify({ choices: [{ message: { role: "assistant", content } }] }));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(router, {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
