/**
 * Starts one workerd with both sides, `rust` and `plain`, and a bridge that says yes to every command.
 *
 * `node server.mjs <state folder>` prints one line, `{"rust": <url>, "plain": <url>, "bridge": <url>}`, and lives as long as its standard input is
 * open. Objects of an earlier run with the same folder are there again, cold.
 */

import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { ANSWER_HEADER, signAnswer } from "../edge/support/sign.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const [state] = process.argv.slice(2);
const compatibilityDate = /^compatibility_date = "(.*)"$/m.exec(
  await readFile(join(root, "wrangler.toml"), "utf8"),
)[1];

/**
 * Takes every command of a session, and keeps nothing. A repository's builds and warm sandboxes are ready as soon as they are ordered;
 * that is told to its object directly.
 */
const bridge = createServer(async (request, response) => {
  let order = "";
  for await (const piece of request) order += piece;
  const [, kind, id, what] = request.url.split("/");
  if (kind === "builds" && !what) queueMicrotask(() => finishBuild(id, JSON.parse(order)));
  if (what === "warm") queueMicrotask(() => makeReady(id, JSON.parse(order)));
  const snapshot = /\/snapshots\/([^/]+)$/.exec(request.url);
  const sandbox = { provider: "local", isolation: "namespaces" };
  const body = JSON.stringify(snapshot ? { snapshotId: snapshot[1], sizeBytes: 1 } : sandbox);
  const status = request.url.includes("/commands/") ? 202 : 200;
  const signature = signAnswer(process.env.BRIDGE_KEY, {
    authorization: request.headers.authorization,
    status,
    body,
  });
  response.writeHead(status, { "content-type": "application/json", [ANSWER_HEADER]: signature });
  response.end(body);
});
await new Promise((resolve) => bridge.listen(0, "127.0.0.1", resolve));

async function tell({ repository }, call, value) {
  const url = `${urls.rust}/repository/${repository.id}/${call}`;
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(value) });
  if (!answer.ok) console.error(`${call}: ${answer.status} ${await answer.text()}`);
}

function finishBuild(buildId, order) {
  const origin = { commit: "a".repeat(40), recipeFingerprint: "0".repeat(64) };
  const outcome = { type: "built", imageId: order.imageId, origin, recipe: {}, sizeBytes: 1 };
  return tell(order, "build-ended", { buildId, ended: { outcome } });
}

function makeReady(sandboxId, order) {
  const report = { bridgeUrl: urls.bridge, state: { type: "ready", agent: "scripted" } };
  return tell(order, "warm-reported", { sandboxId, report });
}

function modules(main, files) {
  return [main, ...files].map((path) => ({
    type: path.endsWith(".wasm") ? "CompiledWasm" : "ESModule",
    path: join(root, path),
  }));
}

function worker(name, main, files, objects = {}) {
  return {
    name,
    modulesRoot: root,
    modules: modules(main, files),
    compatibilityDate,
    durableObjects: { SESSION: { className: "SessionObject", useSQLite: true }, ...objects },
    d1Databases: { DB: `${name}-index` },
    r2Buckets: { ARTIFACTS: `${name}-artifacts` },
    unsafeDirectSockets: [{ host: "127.0.0.1", port: 0 }],
    bindings: {
      SIGN_IN: "local",
      LOCAL_USERS: JSON.stringify([
        { id: "usr_ada", login: "ada", name: "Ada Lovelace", email: "ada@farhand.example", token: "none" },
      ]),
      SESSION_KEY: "session-key-of-the-benchmarks-0123456789",
      BRIDGE_KEY: process.env.BRIDGE_KEY,
      BRIDGE_URL: `http://127.0.0.1:${bridge.address().port}`,
      GITHUB_API_URL: `http://127.0.0.1:${bridge.address().port}`,
      MODELS: '["demo/demo"]',
      AGENT: "scripted",
      BRANCH_PREFIX: "farhand/",
    },
  };
}

const server = new Miniflare({
  ...convertV4MiniflareOptions({
    workers: [
      worker(
        "rust",
        "tests/bench/rust/worker.mjs",
        ["tests/bench/router.mjs", "workers/edge/entry.mjs", "build/index.js", "build/index_bg.wasm"],
        { REPOSITORY: { className: "RepositoryObject", useSQLite: true } },
      ),
      worker("plain", "tests/bench/plain/worker.mjs", [
        "tests/bench/router.mjs",
        ...(await readdir(join(root, "tests/bench/plain")))
          .filter((file) => file !== "worker.mjs")
          .map((file) => `tests/bench/plain/${file}`),
      ]),
    ],
    cf: false,
  }),
  resourcePersistencePath: state,
});

const urls = { bridge: `http://127.0.0.1:${bridge.address().port}` };
for (const name of ["rust", "plain"]) {
  const index = await server.getD1Database("DB", name);
  const folder = join(root, "migrations/d1");
  const known = await index.prepare("SELECT name FROM sqlite_master WHERE name = 'sessions'").all();
  for (const file of known.results.length > 0 ? [] : (await readdir(folder)).sort()) {
    const text = (await readFile(join(folder, file), "utf8")).replace(/^--.*$/gm, "");
    // What is between BEGIN and END of a trigger belongs to it.
    const statements = text.split(/;(?!\s*END\b)/);
    for (const statement of statements) {
      if (statement.trim()) await index.prepare(statement).run();
    }
  }
  urls[name] = (await server.unsafeGetDirectURL(name)).origin;
}

let isClosing = false;
async function close() {
  if (isClosing) return;
  isClosing = true;
  await server.dispose();
  bridge.closeAllConnections();
  bridge.close();
}
process.stdin.on("end", close).on("close", close).resume();
process.on("SIGTERM", close);
console.log(JSON.stringify(urls));
