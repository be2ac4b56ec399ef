/**
 * The description of the API against the running Worker, drawn by Schemathesis: for everybody who may ask, no answer is a defect of ours
 * (5xx), and none has a status, media type, header or body that is not described.
 *
 * `FARHAND_FUZZ_PYTHON` is an interpreter that has it; `FARHAND_FUZZ_SECONDS` how long to look in all, a minute where absent. What is
 * found is repeated by the same seed, and printed as a command.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { ADA, GRACE, prompt, read, startEdge } from "../support/edge.mjs";
import { startTurn, toolItem } from "../support/runner.mjs";
import { until } from "../support/wait.mjs";
import { operationsOf, prepareDescription, readDescription } from "./description.mjs";
import { startSigningProxy } from "./signing-proxy.mjs";

const PYTHON = process.env.FARHAND_FUZZ_PYTHON;
const SECONDS = Number(process.env.FARHAND_FUZZ_SECONDS ?? 60);
const SEED = process.env.FARHAND_FUZZ_SEED ?? "1";
const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
];
/** Of the Worker; static assets have their own way with methods. */
const METHOD_CHECKS = ["unsupported_method", "allow_header_conformance"];
/** Where the proof is not put in on the way: what the description forbids is refused. */
const PROOF_CHECKS = ["negative_data_rejection", "missing_required_header"];
const SESSIONS = 12;
const OUTPUT_BYTES = 40 * 1024;

let edge;
let folder;
let description;
let known;
let keys;
let ada;

before(async () => {
  assert.ok(PYTHON, "FARHAND_FUZZ_PYTHON is missing: cargo xtask test --only fuzz sets it up");
  folder = await mkdtemp(join(tmpdir(), "farhand-fuzz-"));
  description = await readDescription();
  edge = await startEdge({
    assets: "workers/web/dist",
    vars: { OPERATORS: "grace", EXTENSION_IDS: "abcdefghijklmnopabcdefghijklmnop" },
  });
  ada = await edge.client(ADA);
  const grace = await edge.client(GRACE);
  keys = {
    ada: await makeKey(ada, "write"),
    reading: await makeKey(ada, "read"),
    grace: await makeKey(grace, "write"),
  };
  known = await makeThings();
});
after(async () => {
  await edge?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

async function makeKey(client, scope) {
  const { status, body } = await client.post("/api/keys", { name: "fuzz", scope, days: 1 });
  assert.equal(status, 201, JSON.stringify(body));
  return body.key;
}

/** Sessions, one of them with a turn and an artifact; their names, and those of what the deployment has anyway. */
async function makeThings() {
  const { sessionId, runner, turn } = await startTurn(edge, ada, "Be loud");
  await runner.report(toolItem(turn.turnId, "itm_loud", "", { state: { type: "running" } }));
  await runner.report(toolItem(turn.turnId, "itm_loud", "loud\n".repeat(OUTPUT_BYTES / 5)));
  const stored = () => edge.artifactKeys(`sessions/${sessionId}/`);
  const [key] = await until(stored, ({ length }) => length > 0, "the artifact");
  const artifact = key.split("/").at(-1);
  const sessions = [sessionId];
  while (sessions.length < SESSIONS) sessions.push(await ada.newSession());
  const next = await ada.post(`/api/sessions/${sessionId}/message`, prompt("And then this"));
  assert.equal(next.status, 202, next.text);
  return {
    id: sessions,
    artifact_id: [artifact],
    user_id: [ADA.id],
    owner: ["acme"],
    name: ["shop"],
    RepositoryId: ["acme/shop", "acme/none"],
    SandboxId: [runner.sandboxId],
    TurnId: [turn.turnId],
  };
}

/** Lets the fuzzer look for so many seconds; its report. */
async function fuzz(
  name,
  { origin = edge.origin, headers = {}, wanted, share, checks = [...METHOD_CHECKS, ...PROOF_CHECKS] },
) {
  const schema = join(folder, `${name}.json`);
  const report = join(folder, `${name}.report.json`);
  await writeFile(schema, JSON.stringify(prepareDescription(description, known, wanted)));
  const options = {
    "--url": origin,
    "--checks": [...CHECKS, ...checks].join(","),
    "--max-time": String(Math.max(3, Math.round(SECONDS * share))),
    "--seed": SEED,
    "--phases": "examples,coverage,fuzzing",
    "--suppress-health-check": "all",
    "--generation-database": "none",
    "--request-timeout": "30",
    "--warnings": "off",
    "--report": "json",
    "--report-json-path": report,
  };
  const chosen = Object.entries(headers).flatMap(([header, value]) => ["--header", `${header}: ${value}`]);
  const program = join(dirname(PYTHON), "schemathesis");
  const child = spawn(
    program,
    ["run", schema, ...Object.entries(options).flat(), ...chosen, "--continue-on-failure", "--no-color"],
    { cwd: folder, stdio: ["ignore", "pipe", "pipe"] },
  );
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => said.push(piece));
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const text = Buffer.concat(said).toString();
  if (process.env.FARHAND_FUZZ_LOG) await writeFile(join(process.env.FARHAND_FUZZ_LOG, `${name}.log`), text);
  assert.equal(code, 0, `seed ${SEED}\n${text.slice(-8000)}`);
  return { text, report: JSON.parse(await readFile(report, "utf8")) };
}

const isOf =
  (...names) =>
  ({ tags: [tag] }) =>
    names.includes(tag);

test("the description is served and lists what there is", async () => {
  const served = await read(await edge.server.fetch("/openapi.json"));
  assert.match(served.headers.get("content-type"), /^application\/json/);
  assert.deepEqual(served.body, description);
  const { body: routes } = await read(await edge.server.fetch("/api/test/routes"));
  const described = operationsOf(description).map(({ method, path }) => `${method.toUpperCase()} ${path}`);
  assert.deepEqual(described.sort(), routes.map(({ method, path }) => `${method} ${path}`).sort());
});

test("whoever has a key", () =>
  fuzz("key", {
    headers: { authorization: `Bearer ${keys.ada}` },
    wanted: isOf("Account", "Sessions", "Repositories", "Metrics"),
    share: 0.4,
  }));

test("whoever has a key that may only read", () =>
  fuzz("read-only", {
    headers: { authorization: `Bearer ${keys.reading}` },
    wanted: isOf("Sessions", "Repositories"),
    share: 0.1,
  }));

test("an operator with a key", () =>
  fuzz("operator", {
    headers: { authorization: `Bearer ${keys.grace}` },
    wanted: isOf("Operators", "Metrics"),
    share: 0.1,
  }));

test("a signed-in browser", () =>
  fuzz("browser", {
    headers: { cookie: ada.cookie, origin: edge.origin },
    wanted: ({ tags: [tag], operationId }) => tag === "Account" && !operationId.startsWith("signOut"),
    share: 0.1,
  }));

test("whoever signs what it sends", async () => {
  const proxy = await startSigningProxy(edge.origin);
  try {
    await fuzz("machines", {
      origin: proxy.origin,
      wanted: isOf("Machines"),
      share: 0.2,
      checks: METHOD_CHECKS,
    });
  } finally {
    await proxy.close();
  }
});

test("anybody", () =>
  fuzz("anybody", {
    wanted: (operation) => !isOf("Pages")(operation),
    share: 0.08,
    checks: [...METHOD_CHECKS, ...PROOF_CHECKS, "ignored_auth"],
  }));

test("a browser that goes to pages", () =>
  fuzz("pages", { wanted: isOf("Pages"), share: 0.02, checks: PROOF_CHECKS }));
