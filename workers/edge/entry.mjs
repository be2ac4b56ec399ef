/**
 * The module that workerd runs: real classes around the Wasm ones, so that a Rust panic fails what is in flight at once.
 *
 * A panic aborts the Wasm instance in a microtask; every promise it owed would stay open for ever, and callers would hang. Its hook
 * sets `criticalError` first, which is where the open promises are rejected. The next event gets a fresh instance.
 */

import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import WasmEntrypoint, { SessionObject as WasmSessionObject } from "../../build/index.js";

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

/** Like `run`, for requests: what goes wrong is an answer of the API, and the log has the rest. */
async function answer(work) {
  try {
    return await run(work);
  } catch (error) {
    const incident = crypto.randomUUID();
    console.error(`incident ${incident}: ${error?.stack ?? error}`);
    const message = `something went wrong in Farhand; the log has it as incident ${incident}`;
    return Response.json(
      { code: "internal", message },
      { status: 500, headers: { "cache-control": "no-store", "x-content-type-options": "nosniff" } },
    );
  }
}

export default class extends WorkerEntrypoint {
  fetch(request) {
    return answer(() => new WasmEntrypoint(this.ctx, this.env).fetch(request));
  }
}

export class SessionObject extends DurableObject {
  #wasm;

  constructor(ctx, env) {
    super(ctx, env);
    this.#wasm = new WasmSessionObject(ctx, env);
  }

  fetch(request) {
    return answer(() => this.#wasm.fetch(request));
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
