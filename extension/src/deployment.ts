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
import { readAnswer, sendRequest } from "@farhand/session-view/api-error";

/** What the panel looks at beside what every client does. */
export type ClientConfiguration = Configuration & {
  /** Present where prompts may carry captures of this version; elsewhere their outline goes into the prompt's text. */
  captures?: { version: number };
};

const ANSWER_WITHIN_MS = 20_000;
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
    artifactUrl: (id: SessionId, artifact: string) => `${address}/api/sessions/${id}/artifacts/${artifact}`,
    sessionUrl: (id: SessionId) => `${address}/sessions/${id}`,
  };
}

interface Caller {
  address: string;
  key: string | null;
  send: typeof fetch;
}

async function request<T>(
  { address, key, send }: Caller,
  {
    method,
    path,
    body,
    signal,
  }: { method: string; path: string; body: unknown; signal: AbortSignal | undefined },
): Promise<T> {
  const timeout = AbortSignal.timeout(ANSWER_WITHIN_MS);
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
  const response = await sendRequest(() => send(`${address}${path}`, init), { unreachable, signal });
  return readAnswer<T>(response, `${host} answered, but not as Farhand does. Check the address.`);
}
