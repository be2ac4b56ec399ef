/**
 * The module that workerd runs: real classes around the Wasm ones, so that a Rust panic fails what is in flight at once.
 *
 * A panic aborts the Wasm instance in a microtask; every promise it owed would stay open for ever, and callers would hang. Its hook
 * sets `criticalError` first, which is where the open promises are rejected. The next event gets a fresh instance.
 */

import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import WasmEntrypoint, {
  RepositoryObject as WasmRepositoryObject,
  SessionObject as WasmSessionObject,
  ThreadObject as WasmThreadObject,
} from "../../build/index.js";

/** Rejects, for each piece of work that the present Wasm instance owes a result. */
const owed = new Set();

class InstanceLost extends Error {}

const state = globalThis.__worker_init_state;
let criticalError = state.criticalError;
Object.defineProperty(state, "criticalError", {
  get: () => criticalError,
  set(value) {
    criticalError = value;
    if (!value) return;
    const rejects = [...owed];
    owed.clear();
    for (const reject of rejects) reject(new InstanceLost("the Wasm instance was lost to a panic"));
  },
});

/** Runs `work` in the Wasm instance; rejects when the instance is lost before it is done. */
function run(work) {
  return new Promise((resolve, reject) => {
    owed.add(reject);
    const settle = (then) => (value) => {
      owed.delete(reject);
      then(value);
    };
    try {
      Promise.resolve(work()).then(settle(resolve), settle(reject));
    } catch (error) {
      settle(reject)(error);
    }
  });
}

/** What `answer.rs` gives every answer of the API. */
const HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=()",
  "referrer-policy": "no-referrer",
  "strict-transport-security": "max-age=31536000; includeSubDomains",
  "x-content-type-options": "nosniff",
};

/** Like `run`, for requests: what goes wrong is an answer of the API, and the log has the rest. */
async function answer(request, work) {
  try {
    return await run(work);
  } catch (error) {
    const incident = crypto.randomUUID();
    const trace_id = /^00-([0-9a-f]{32})-/.exec(request.headers.get("traceparent") ?? "")?.[1];
    const said = { message: "an instance was lost", incident, trace_id, error: `${error?.stack ?? error}` };
    console.error(JSON.stringify({ level: "error", ...said }));
    const message = `something went wrong in Farhand; the log has it as incident ${incident}`;
    return Response.json({ code: "internal", message }, { status: 500, headers: HEADERS });
  }
}

export default class extends WorkerEntrypoint {
  fetch(request) {
    return answer(request, () => new WasmEntrypoint(this.ctx, this.env).fetch(request));
  }

  scheduled(event) {
    return run(() => new WasmEntrypoint(this.ctx, this.env).scheduled(event));
  }
}

export class RepositoryObject extends DurableObject {
  #wasm;

  constructor(ctx, env) {
    super(ctx, env);
    this.#wasm = new WasmRepositoryObject(ctx, env);
  }

  fetch(request) {
    return answer(request, () => this.#wasm.fetch(request));
  }

  alarm(info) {
    return run(() => this.#wasm.alarm(info));
  }
}

export class SessionObject extends DurableObject {
  #wasm;

  constructor(ctx, env) {
    super(ctx, env);
    this.#wasm = new WasmSessionObject(ctx, env);
  }

  fetch(request) {
    return answer(request, () => this.#wasm.fetch(request));
  }

  alarm(info) {
    return run(() => this.#wasm.alarm(info));
  }

  webSocketMessage(socket, message) {
    return run(() => this.#wasm.webSocketMessage(socket, message));
  }

  webSocketClose(socket, code, reason, wasClean) {
    return run(() => this.#wasm.webSocketClose(socket, code, reason, wasClean));
  }

  webSocketError(socket, error) {
    return run(() => this.#wasm.webSocketError(socket, error));
  }
}

export class ThreadObject extends DurableObject {
  #wasm;

  constructor(ctx, env) {
    super(ctx, env);
    this.#wasm = new WasmThreadObject(ctx, env);
  }

  fetch(request) {
    return answer(request, () => this.#wasm.fetch(request));
  }

  alarm(info) {
    return run(() => this.#wasm.alarm(info));
  }
}
