/** The built Worker in workerd, with D1, R2, objects and assets as `wrangler.toml` says, and stand-ins for code host and bridge. */

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTestHarness } from "wrangler";
import { startBridge } from "./bridge.mjs";
import { startCodeHost } from "./code-host.mjs";
import { startRepository } from "./repository.mjs";
import { ANSWER_HEADER, signRequest, verifyAnswer } from "./sign.mjs";
import { until } from "./wait.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");

export const SESSION_KEY = "session-key-of-the-edge-tests-0123456789";
export const BRIDGE_KEY = "bridge-key-of-the-edge-tests-0123456789";
/** A ring of one key for sealed tokens. */
export const TOKEN_KEYS = JSON.stringify({
  current: "first",
  keys: { first: Buffer.alloc(32, 1).toString("base64") },
});
export const ADA = { id: "usr_ada", login: "ada", name: "Ada Lovelace", email: "ada@farhand.example" };
export const LINUS = {
  id: "usr_linus",
  login: "linus",
  name: "Linus Pauling",
  email: "linus@farhand.example",
};
export const METRICS_KEY = "metrics-key-of-the-edge-tests";
export const WEBHOOK_SECRET = "webhook-secret-of-the-edge-tests";
export const GRACE = {
  id: "usr_grace",
  login: "grace",
  name: "Grace Hopper 😀",
  email: "grace@farhand.example",
};

Object.assign(process.env, {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_SEND_ERROR_REPORTS: "false",
  WRANGLER_HIDE_BANNER: "true",
});

// The harness sends the Worker's own requests with this process's `fetch`, which would follow redirects by itself. Whether one is
// followed is the Worker's decision.
const nodeFetch = globalThis.fetch;
globalThis.fetch = (url, { method, headers, body, signal } = {}) =>
  nodeFetch(url, { method, headers: [...(headers ?? [])], body, signal, duplex: "half", redirect: "manual" });

/**
 * Writes `wrangler.toml` without its build and with absolute paths, and the smallest web client there can be, unless `client` names the
 * folder of another. `changed` may change it further.
 */
export async function prepare(folder, changed = (config) => config, client = undefined) {
  const assets = client === undefined ? join(folder, "assets") : join(root, client);
  if (client === undefined) {
    await mkdir(assets);
    await writeFile(join(assets, "index.html"), "<!doctype html><title>Farhand</title>");
    await writeFile(join(assets, "_headers"), "/*\n  X-Frame-Options: DENY\n");
  }
  const toml = await readFile(join(root, "wrangler.toml"), "utf8");
  const config = toml
    .replace(/\[build\]\n(?:[^[\n].*\n)*/, "")
    .replace(/^main = "(.*)"/m, (_, path) => `main = ${JSON.stringify(join(root, path))}`)
    .replace(/^migrations_dir = "(.*)"/m, (_, path) => `migrations_dir = ${JSON.stringify(join(root, path))}`)
    .replace(/^directory = ".*"/m, `directory = ${JSON.stringify(assets)}`);
  const path = join(folder, "wrangler.toml");
  await writeFile(path, changed(config));
  return path;
}

const STUB = "repository-stub";

/** The configuration with the objects of repositories in another Worker. */
const withStub = (config) =>
  config.replace(/\[\[durable_objects\.bindings\]\]\nname = "REPOSITORY"\n(?:[^[\n].*\n)*/, "").concat(`
[[durable_objects.bindings]]
name = "REPOSITORY"
class_name = "RepositoryObject"
script_name = "${STUB}"
`);

/** That Worker. */
async function prepareStub(folder, url) {
  const path = join(folder, "stub.toml");
  await writeFile(
    path,
    `name = "${STUB}"
main = ${JSON.stringify(join(root, "tests/edge/support/repository-object.mjs"))}
compatibility_date = "2026-11-01"

[[durable_objects.bindings]]
name = "REPOSITORY"
class_name = "RepositoryObject"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["RepositoryObject"]

[vars]
REPOSITORY_URL = "${url}"
`,
  );
  return { configPath: path };
}

/**
 * Starts everything; `vars` and `secrets` override. With `repository: "stub"` the objects of repositories are stand-ins, too; `assets` is
 * the folder of a built web client.
 */
export async function startEdge({ vars = {}, secrets = {}, repository: kind, assets } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "farhand-edge-"));
  const codeHost = await startCodeHost();
  const bridge = await startBridge(BRIDGE_KEY);
  const repository = kind === "stub" ? await startRepository() : undefined;
  const users = [
    { ...ADA, token: "token-of-ada" },
    { ...GRACE, token: "token-of-grace" },
  ];
  const server = createTestHarness({
    root: folder,
    workers: [
      {
        configPath: await prepare(folder, repository && withStub, assets),
        vars: {
          SIGN_IN: "local",
          BRIDGE_URL: bridge.url,
          GITHUB_API_URL: codeHost.url,
          MODELS: '["demo/demo","demo/other"]',
          AGENT: "scripted",
          TEST_ROUTES: "1",
          SLACK_TEAM_ID: "T0FARHAND",
          ...vars,
        },
        secrets: {
          SESSION_KEY,
          BRIDGE_KEY,
          LOCAL_USERS: JSON.stringify(users),
          GITHUB_APP_ID: codeHost.pulls.appId,
          GITHUB_APP_PRIVATE_KEY: codeHost.pulls.privateKey,
          GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET,
          METRICS_KEY,
          SLACK_SIGNING_SECRET: "signing-secret-of-the-edge-tests",
          SLACK_BOT_TOKEN: "xoxb-token-of-the-edge-tests",
          ...secrets,
        },
      },
      ...(repository ? [await prepareStub(folder, repository.url)] : []),
    ],
  });
  const { url } = await server.listen();
  const worker = server.getWorker(repository && "farhand");
  await worker.applyD1Migrations("DB");
  const origin = url.origin;
  /** Rows of an SQL query on a session's own tables. */
  const sessionRows = async (sessionId, sql) =>
    (await worker.getDurableObjectStorage("SESSION", { name: sessionId })).exec(sql);
  async function signed(path, value, changed = {}) {
    const body = typeof value === "string" ? value : JSON.stringify(value);
    const authorization =
      changed.authorization ?? signRequest(changed.key ?? BRIDGE_KEY, { path, body, ...changed.sign });
    const answer = await read(
      await server.fetch(changed.path ?? path, {
        method: "POST",
        body: changed.body ?? body,
        headers: { authorization },
      }),
    );
    // Whoever was let in hears an answer that is signed, a refusal too.
    const signature = answer.headers.get(ANSWER_HEADER);
    if (answer.body?.code !== "signature_invalid" && answer.body?.code !== "too_large") {
      const { status, text } = answer;
      verifyAnswer(changed.key ?? BRIDGE_KEY, {
        audience: "edge",
        authorization,
        signature,
        status,
        body: text,
      });
    }
    return answer;
  }
  return {
    server,
    worker,
    origin,
    codeHost,
    bridge,
    repository,
    /** All rows of an SQL query on the index. */
    async rows(sql, ...values) {
      const { DB } = await worker.getEnv();
      return (
        await DB.prepare(sql)
          .bind(...values)
          .all()
      ).results;
    },
    client: (user) => signIn(server, origin, user),
    /**
     * Takes a session's object out of memory; its sockets go on. The harness holds this process up meanwhile, and with it the
     * stand-ins, so whatever the object asks of them must be answered before.
     */
    async sleep(sessionId) {
      // What is due in a moment could begin just then.
      const due = () =>
        sessionRows(sessionId, `SELECT key FROM outbox WHERE next_at <= ${Date.now() + 1000}`);
      await until(due, ({ length }) => length === 0, "a session at rest");
      await worker.evictDurableObject("SESSION", { name: sessionId, webSockets: "hibernate" });
    },
    /** Ends workerd and starts it again on what is stored; every socket breaks. */
    restart: () => server.update((options) => ({ ...options })),
    /** Keys in the bucket of artifacts. */
    async artifactKeys(prefix) {
      const { ARTIFACTS } = await worker.getEnv();
      return (await ARTIFACTS.list({ prefix })).objects.map(({ key }) => key);
    },
    sessionRows,
    /** A call to a repository's object, past the Worker's routes, as a session makes it. */
    async askRepository(repository, call, value) {
      const { REPOSITORY } = await worker.getEnv();
      const object = REPOSITORY.get(REPOSITORY.idFromName(repository));
      return read(
        await object.fetch(`https://repository/${call}`, { method: "POST", body: JSON.stringify(value) }),
      );
    },
    /** A bridge's signed report about a session. */
    report: (sessionId, what, value, changed) =>
      signed(`/api/bridge/sessions/${sessionId}/${what}`, value, changed),
    /** A bridge's signed report about a repository. */
    reportOfRepository: (repository, what, value, changed) =>
      signed(`/api/bridge/repositories/${repository}/${what}`, value, changed),
    async close() {
      await server.close();
      await codeHost.close();
      await bridge.close();
      await repository?.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Status, headers and body, read as JSON where it is. */
export async function read(response) {
  const text = await response.text();
  let body = text;
  try {
    body = JSON.parse(text);
  } catch {}
  return { status: response.status, headers: response.headers, body, text };
}

/** A browser: keeps the cookie and says where its pages come from. */
async function signIn(server, origin, user) {
  const headers = { origin, "content-type": "application/json" };
  const answer = await read(
    await server.fetch("/api/sign-in", {
      method: "POST",
      headers,
      body: JSON.stringify({ login: user.login }),
    }),
  );
  if (answer.status !== 200) throw new Error(`sign-in: ${answer.status} ${JSON.stringify(answer.body)}`);
  const cookie = answer.headers.getSetCookie()[0].split(";")[0];
  const client = {
    cookie,
    user,
    /** The answer itself, for contents that are no text. */
    raw: (path) => server.fetch(path, { headers: { cookie } }),
    async get(path, extra = {}) {
      return read(await server.fetch(path, { headers: { cookie, ...extra } }));
    },
    async send(method, path, value, extra = {}) {
      const body = typeof value === "string" ? value : JSON.stringify(value ?? {});
      return read(await server.fetch(path, { method, body, headers: { ...headers, cookie, ...extra } }));
    },
    post: (path, value, extra) => client.send("POST", path, value, extra),
    put: (path, value, extra) => client.send("PUT", path, value, extra),
    delete: (path, value, extra) => client.send("DELETE", path, value, extra),
    /** A session without a prompt; its id. */
    newSession: async () => (await client.post("/api/sessions", { repository: "acme/shop" })).body.sessionId,
    list: async (query = "") => (await client.get(`/api/sessions${query}`)).body.sessions,
    isListed: async (sessionId, query) =>
      (await client.list(query)).some((row) => row.sessionId === sessionId),
    async ticket(sessionId) {
      const { status, body } = await client.post(`/api/sessions/${sessionId}/ticket`);
      if (status !== 200) throw new Error(`ticket: ${status} ${JSON.stringify(body)}`);
      return body.ticket;
    },
  };
  return client;
}

let prompts = 0;

/** A prompt with an id of its own. */
export function prompt(text, more = {}) {
  prompts += 1;
  return { id: `prm_${String(prompts).padStart(26, "0")}`, text, origin: "web", ...more };
}

/** Every question that a user can ask about one session. */
export async function askEverything(edge, client, sessionId) {
  const { body: routes } = await read(await edge.server.fetch("/api/test/routes"));
  const bodies = { "/message": prompt("x"), "/archived": { archived: true } };
  const answers = [];
  for (const { method, path, access } of routes) {
    if (access !== "user" || !path.startsWith("/api/sessions/{id}")) continue;
    const url = path.replace("{id}", sessionId).replace("{artifact_id}", "art_none");
    const query = path.endsWith("/history") ? "?before=1" : "";
    const value = Object.entries(bodies).find(([end]) => path.endsWith(end))?.[1];
    const answer = method === "GET" ? client.get(url + query) : client.send(method, url, value);
    answers.push({ route: `${method} ${path}`, ...(await answer) });
  }
  return answers;
}
