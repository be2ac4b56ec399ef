/**
 * The operator's guide on backups, as far as it can be done here: its own commands, read out of it, with `--local`. The database is lost
 * and gets the file back; the site works with its old sessions.
 */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { startBridge } from "./support/bridge.mjs";
import { startCodeHost } from "./support/code-host.mjs";
import { ADA, BRIDGE_KEY, prepare, prompt, read, SESSION_KEY } from "./support/edge.mjs";
import { until } from "./support/wait.mjs";

const WRANGLER = new URL("../../node_modules/wrangler/bin/wrangler.js", import.meta.url).pathname;
const START_MS_MAX = 60_000;

let folder;
let codeHost;
let bridge;
let config;
let running;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "farhand-backup-"));
  codeHost = await startCodeHost();
  bridge = await startBridge(BRIDGE_KEY);
  config = await prepare(folder);
  const settings = {
    SIGN_IN: "local",
    BRIDGE_URL: bridge.url,
    GITHUB_API_URL: codeHost.url,
    MODELS: '["demo/demo"]',
    AGENT: "scripted",
    SESSION_KEY,
    BRIDGE_KEY,
    LOCAL_USERS: JSON.stringify([{ ...ADA, token: "token-of-ada" }]),
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`);
  await writeFile(join(folder, ".dev.vars"), lines.join(""));
});
after(async () => {
  await running?.stop();
  await codeHost?.close();
  await bridge?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** Runs wrangler in the folder and answers what it says. */
async function wrangler(...parts) {
  const { stdout } = await promisify(execFile)(process.execPath, ["--no-warnings", WRANGLER, ...parts], {
    cwd: folder,
    env: { ...process.env, CI: "1", WRANGLER_SEND_METRICS: "false" },
  });
  return stdout;
}

/** Does a command of the guide that begins like this. */
async function asInTheGuide(beginning) {
  const guide = await readFile(new URL("../../workers/edge/README.md", import.meta.url), "utf8");
  const line = guide.split("\n").find((line) => line.startsWith(`npx wrangler ${beginning}`));
  assert.ok(line, `the guide has ${beginning}`);
  const parts = line.split(" ").slice(2);
  return wrangler(
    ...parts.map((part) => ({ "--remote": "--local", "target/deploy/wrangler.json": config })[part] ?? part),
  );
}

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** Starts the site on what is stored. */
async function start() {
  const port = await freePort();
  const parts = ["dev", "-c", config, "--ip", "127.0.0.1", "--inspector-port", "0", `--port=${port}`];
  const child = spawn(
    process.execPath,
    ["--no-warnings", WRANGLER, ...parts, "--show-interactive-dev-session=false"],
    { cwd: folder, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, CI: "1" } },
  );
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => said.push(piece));
  const origin = `http://127.0.0.1:${port}`;
  const health = () => fetch(`${origin}/api/health`).catch(() => undefined);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  await until(health, (answer) => answer?.ok, "the site", START_MS_MAX).catch((error) => {
    child.kill();
    throw new Error(`${error.message}: ${Buffer.concat(said)}`);
  });
  return {
    ask: async (path, { cookie, value } = {}) => {
      const headers = { origin, "content-type": "application/json", ...(cookie && { cookie }) };
      const method = value === undefined ? "GET" : "POST";
      const body = value && JSON.stringify(value);
      return read(await fetch(origin + path, { method, headers: Object.entries(headers), body }));
    },
    stop: async () => {
      child.kill("SIGINT");
      await ended;
    },
  };
}

test("the database is exported, lost and imported, and the site works with its old sessions", async () => {
  await wrangler("d1", "migrations", "apply", "DB", "--local", "-c", config);
  running = await start();
  const signedIn = await running.ask("/api/sign-in", { value: { login: "ada" } });
  const cookie = signedIn.headers
    .getSetCookie()
    .map((set) => set.split(";")[0])
    .join("; ");
  const created = await running.ask("/api/sessions", {
    cookie,
    value: { repository: "acme/shop", prompt: prompt("It's kept; with 'quotes', and\nlines 😀") },
  });
  assert.equal(created.status, 201, created.text);
  const { sessionId } = created.body;
  const key = await running.ask("/api/keys", { cookie, value: { name: "kept", scope: "read", days: 1 } });
  assert.equal(key.status, 201, key.text);
  const list = () => running.ask("/api/sessions", { cookie });
  const before = await until(
    async () => (await list()).body.sessions,
    ([session]) => session?.title.startsWith("It's kept"),
    "the session on the list",
  );
  await bridge.request(({ path }) => /^\/sandboxes\/[^/]+$/.test(path), "the order of a sandbox");
  await running.stop();

  await asInTheGuide("d1 export");
  const exported = await readFile(join(folder, "farhand.sql"), "utf8");
  assert.match(exported, /It''s kept/);
  await rm(join(folder, ".wrangler/state/v3/d1"), { recursive: true });
  await asInTheGuide("d1 execute");

  await rm(join(folder, "farhand.sql"));
  await asInTheGuide("d1 export");
  const again = await readFile(join(folder, "farhand.sql"), "utf8");
  const sorted = (sql) => sql.split("\n").toSorted().join("\n");
  assert.equal(sorted(again), sorted(exported), "everything is there, and nothing is counted twice");

  running = await start();
  assert.deepEqual((await running.ask("/api/me", { cookie })).body, ADA, "she is still signed in");
  const after = (await list()).body.sessions;
  assert.deepEqual(
    after.map(({ sessionId, title }) => ({ sessionId, title })),
    before.map(({ sessionId, title }) => ({ sessionId, title })),
  );
  const status = await running.ask(`/api/sessions/${sessionId}/status`, { cookie });
  assert.equal(status.status, 200, status.text);
  const next = await running.ask(`/api/sessions/${sessionId}/message`, {
    cookie,
    value: prompt("And then?"),
  });
  assert.equal(next.status, 202, next.text);
  const late = await running.ask("/api/keys", { cookie });
  assert.deepEqual(
    late.body.keys.map(({ name }) => name),
    ["kept"],
  );
  const ready = await running.ask("/api/ready");
  assert.ok(!ready.text.includes("migrations"), `no migration is missing: ${ready.text}`);
});
