/**
 * The Worker with its real objects for a test in another process: prints where it is as one line of JSON, and ends when its input
 * does. `BRIDGE_URL` is in the environment. `POST /{owner}/{name}/{call}` at `ask` calls a repository's object, as a session does.
 * Three calls are answered here: `status` is what people see of it, `ledger` its tables, and `pass` lets so many milliseconds pass
 * for it. `POST /{method}` with a path and a body asks the Worker as a user.
 */

import { createServer } from "node:http";
import { ADA, BRIDGE_KEY, startEdge } from "./edge.mjs";
import { until } from "./wait.mjs";

/** Every moment that a repository's object has stored. */
const MOMENTS = {
  repository: ["next_build_at", "inventory_at", "open_until"],
  builds: ["started_at", "accepted_at", "word_at", "ended_at"],
  images: ["built_at", "used_at"],
  sandboxes: ["created_at", "known_at"],
  reservers: ["held_until", "window_at"],
  claims: ["at"],
  outbox: ["next_at"],
};

const edge = await startEdge({ vars: { BRIDGE_URL: process.env.BRIDGE_URL } });
const ada = await edge.client(ADA);

const storage = (name) => edge.worker.getDurableObjectStorage("REPOSITORY", { name });

async function ledger(name) {
  const sql = await storage(name);
  const tables = {};
  for (const table of Object.keys(MOMENTS)) tables[table] = await sql.exec(`SELECT * FROM ${table}`);
  return tables;
}

/** As if it had slept for so long: what it stored is so much older, and its alarm, which asks the provider what it has, is due. */
async function pass(name, { ms }) {
  const older = (column) => `${column} = ${column} - ${Number(ms)}`;
  const updates = Object.entries(MOMENTS).map(
    ([table, columns]) => `UPDATE ${table} SET ${columns.map(older)}`,
  );
  // Failures of the provider are forgotten after less than what is let pass here.
  updates.push("UPDATE repository SET failures = ''");
  await (await storage(name)).exec(updates.join(";\n"));
  const alarm = async () => {
    // Being taken out of memory holds this process up, so whatever it asks of a bridge must be answered before.
    const { outbox } = await ledger(name);
    if (outbox.some(({ next_at }) => next_at <= Date.now() + 500)) return false;
    // It stays while anybody waits for it, and what it is told meanwhile, it stores over the above.
    if (!(await evict(name))) return false;
    await (await storage(name)).exec(
      "UPDATE repository SET inventory_at = 0, open_until = MIN(open_until, 1)",
    );
    await edge.askRepository(name, "poke", {});
    const [{ inventory_at }] = (await ledger(name)).repository;
    return inventory_at > Date.now();
  };
  await until(alarm, (taken) => taken, "the alarm of a repository", 100_000);
  return { status: 200, body: {} };
}

/** Takes it out of memory; answers whether that could be. */
async function evict(name) {
  try {
    await edge.worker.evictDurableObject("REPOSITORY", { name });
    return true;
  } catch {
    return false;
  }
}

async function answer(path, body) {
  const [, owner, name, call] = path.split("/");
  if (!name) return owner === "GET" ? ada.get(body.path) : ada.send(owner, body.path, body.body);
  const repository = `${owner}/${name}`;
  if (call === "status") return ada.get(`/api/repositories/${repository}/status`);
  if (call === "ledger") return { status: 200, body: await ledger(repository) };
  if (call === "pass") return pass(repository, body);
  return edge.askRepository(repository, call, body);
}

const server = createServer(async (request, response) => {
  let body = "";
  for await (const piece of request) body += piece;
  const begun = performance.now();
  const given = await answer(request.url, JSON.parse(body)).catch((error) => ({
    status: 500,
    body: { message: String(error?.stack ?? error) },
  }));
  const took = performance.now() - begun;
  response.writeHead(given.status, { "content-type": "application/json", "x-took-ms": took.toFixed(3) });
  response.end(JSON.stringify(given.body));
});
// Whoever asks after a while must not meet a connection that is just being closed.
server.keepAliveTimeout = 0;
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const ask = `http://127.0.0.1:${server.address().port}`;
console.log(JSON.stringify({ origin: edge.origin, ask, bridgeKey: BRIDGE_KEY }));

process.stdin.resume();
await new Promise((resolve) => process.stdin.once("end", resolve));
server.closeAllConnections();
server.close();
await edge.close();
