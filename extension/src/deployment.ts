/**
 * The HTTP API of a deployment, asked with this person's key. Every failure becomes an `ApiError` with words to show; nothing is retried.
 * The address is one that the person gave and allowed; no other is ever asked.
 */
import type {
  Configuration,
  CreateSessionRequest,
  CreateSessionResponse,
  HistoryPage,
  RepositoryId,
  RepositoryList,
  ReservationId,
  SessionId,
  SessionList,
  TicketResponse,
  User,
} from "@farhand/protocol";
import { readAnswer, readFailure, sendRequest } from "@farhand/session-view/api-error";

/** What the panel looks at beside what every client does. */
export type ClientConfiguration = Configuration & {
  /** Present where prompts may carry captures of this version; elsewhere their outline goes into the prompt's text. */
  captures?: { version: number };
};

const ANSWER_WITHIN_MS = 20_000;
const ARTIFACT_WITHIN_MS = 60_000;
const SESSIONS_SHOWN = 30;

export type Deployment = ReturnType<typeof createDeployment>;

/** `key` is absent for what anybody may ask. */
export function createDeployment(address: string, key: string | null, send: typeof fetch = fetch) {
  const ask = <T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> =>
    request<T>({ address, key, send }, { method, path, body, signal });
  return {
    address,
    configuration: () => ask<ClientConfiguration>("GET", "/api/configuration"),
    me: () => ask<User>("GET", "/api/me"),
    repositories: () => ask<RepositoryList>("GET", "/api/repositories"),
    reserve: (repository: RepositoryId, id: ReservationId) =>
      ask<unknown>("PUT", `/api/repositories/${repository}/reservations/${id}`, {}),
    sessions: () => ask<SessionList>("GET", `/api/sessions?limit=${SESSIONS_SHOWN}`),
    createSession: (body: CreateSessionRequest) => ask<CreateSessionResponse>("POST", "/api/sessions", body),
    ticket: (id: SessionId, signal: AbortSignal) =>
      ask<TicketResponse>("POST", `/api/sessions/${id}/ticket`, {}, signal),
    history: (id: SessionId, before: number, signal: AbortSignal) =>
      ask<HistoryPage>("GET", `/api/sessions/${id}/history?before=${before}`, undefined, signal),
    exchange: (body: { code: string; verifier: string }) =>
      ask<{ id: string; key: string; expiresAt: number }>("POST", "/api/keys/exchange", body),
    revokeKey: (id: string) => ask<unknown>("DELETE", `/api/keys/${encodeURIComponent(id)}`, {}),
    socketUrl: (id: SessionId) => `${address.replace(/^http/, "ws")}/api/sessions/${id}/socket`,
    /** The panel is another origin, so it cannot show what is at `artifactUrl`, where a cookie is asked for. */
    artifact: async (id: SessionId, artifact: string, signal?: AbortSignal): Promise<Blob> => {
      const call = {
        method: "GET",
        path: artifactPath(id, artifact),
        body: undefined,
        signal,
        withinMs: ARTIFACT_WITHIN_MS,
      };
      const response = await sendCall({ address, key, send }, call);
      if (!response.ok) throw await readFailure(response);
      return response.blob();
    },
    artifactUrl: (id: SessionId, artifact: string) => `${address}${artifactPath(id, artifact)}`,
    sessionUrl: (id: SessionId) => `${address}/sessions/${id}`,
  };
}

function artifactPath(id: SessionId, artifact: string): string {
  return `/api/sessions/${id}/artifacts/${artifact}`;
}

interface Caller {
  address: string;
  key: string | null;
  send: typeof fetch;
}

interface Call {
  method: string;
  path: string;
  body: unknown;
  signal: AbortSignal | undefined;
  /** For the whole answer. */
  withinMs: number;
}

async function request<T>(caller: Caller, call: Omit<Call, "withinMs">): Promise<T> {
  const response = await sendCall(caller, { ...call, withinMs: ANSWER_WITHIN_MS });
  const { host } = new URL(caller.address);
  return readAnswer<T>(response, `${host} answered, but not as Farhand does. Check the address.`);
}

async function sendCall({ address, key, send }: Caller, call: Call): Promise<Response> {
  const { method, path, body, signal } = call;
  const timeout = AbortSignal.timeout(call.withinMs);
  const headers: Record<string, string> = {};
  if (key !== null) headers.authorization = `Bearer ${key}`;
  const init: RequestInit = {
    method,
    headers,
    credentials: "omit",
    redirect: "error",
    cache: "no-store",
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
  };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  const { host } = new URL(address);
  const unreachable = `${host} cannot be reached. Check the address and the network, then try again.`;
  return sendRequest(() => send(`${address}${path}`, init), { unreachable, signal });
}
