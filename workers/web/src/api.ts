/** The HTTP API of the edge. Every failure becomes an `ApiError` with words to show; nothing is retried here. */
import type {
  ApiKeyList,
  ApiKeyMade,
  ApiKeyRequest,
  ArchiveRequest,
  ArtifactId,
  BudgetRequest,
  Budgets,
  BuildId,
  Configuration,
  CreateSessionRequest,
  CreateSessionResponse,
  DeploymentStatus,
  ErasureList,
  HaltAnswer,
  HaltRequest,
  HistoryPage,
  IntegrationList,
  Metrics,
  PeopleList,
  Recipe,
  RepositoryHints,
  RepositoryId,
  RepositoryList,
  RepositoryStatus,
  ReservationId,
  SessionId,
  SessionList,
  SignInList,
  SignInRequest,
  TicketResponse,
  User,
  UserId,
} from "@farhand/protocol";
import { ApiError, readAnswer, readFailure, sendRequest } from "@farhand/session-view/api-error";

export { ApiError };

export const api = {
  configuration: () => request<Configuration>("GET", "/api/configuration"),
  me: () => request<User>("GET", "/api/me"),
  signIn: (body: SignInRequest) => request<User>("POST", "/api/sign-in", body),
  signOut: () => request<unknown>("POST", "/api/sign-out"),
  grantKey: (body: { client: string; challenge: string; state: string }) =>
    request<{ redirect: string }>("POST", "/api/keys/grants", body),
  signOutEverywhere: () => request<unknown>("POST", "/api/sign-out-everywhere"),
  signIns: () => request<SignInList>("GET", "/api/sign-ins"),
  endSignIn: (id: string) => request<unknown>("DELETE", `/api/sign-ins/${id}`),
  keys: () => request<ApiKeyList>("GET", "/api/keys"),
  createKey: (body: ApiKeyRequest) => request<ApiKeyMade>("POST", "/api/keys", body),
  revokeKey: (id: string) => request<unknown>("DELETE", `/api/keys/${id}`),
  people: () => request<PeopleList>("GET", "/api/operator/people"),
  budgets: () => request<Budgets>("GET", "/api/operator/budgets"),
  setBudget: (body: BudgetRequest) => request<Budgets>("PUT", "/api/operator/budgets", body),
  /** Ends every sandbox, and lets no turn begin. */
  halt: (body: HaltRequest) => request<HaltAnswer>("POST", "/api/operator/halt", body),
  liftHalt: () => request<Budgets>("DELETE", "/api/operator/halt"),
  checks: () => request<IntegrationList>("GET", "/api/operator/checks"),
  status: (signal: AbortSignal) =>
    request<DeploymentStatus>("GET", "/api/operator/status", undefined, signal),
  /** Ends every access of somebody, or lets them come back. */
  removePerson: (body: { login: string; removed: boolean }) =>
    request<unknown>("POST", "/api/operator/removals", body),
  eraseSelf: (body: { login: string }) => request<unknown>("POST", "/api/me/erasure", body),
  erasePerson: (id: UserId, body: { login: string }) =>
    request<ErasureList>("POST", `/api/operator/people/${id}/erasure`, body),
  erasures: () => request<ErasureList>("GET", "/api/operator/erasures"),
  repositoryStatus: (id: RepositoryId) => request<RepositoryStatus>("GET", `/api/repositories/${id}/status`),
  build: (id: RepositoryId) => request<unknown>("POST", `/api/repositories/${id}/builds`),
  /** What a build has said from a byte on, and where to go on. */
  buildLog: async (id: RepositoryId, build: BuildId, from: number, signal: AbortSignal) => {
    const path = `/api/repositories/${id}/builds/${build}/log?from=${from}`;
    const response = await send("GET", path, undefined, signal);
    if (!response.ok) throw await readFailure(response);
    return { text: await response.text(), end: Number(response.headers.get("x-farhand-log-end")) };
  },
  saveSettings: (id: RepositoryId, body: Recipe) =>
    request<unknown>("PUT", `/api/repositories/${id}/settings`, body),
  hints: (id: RepositoryId) => request<RepositoryHints>("GET", `/api/repositories/${id}/hints`),
  saveHints: (id: RepositoryId, body: RepositoryHints) =>
    request<unknown>("PUT", `/api/repositories/${id}/hints`, body),
  slackLink: (body: { code: string; step: "look" | "confirm" }) =>
    request<{ team: string; user: string; name: string }>("POST", "/api/slack/links", body),
  repositories: () => request<RepositoryList>("GET", "/api/repositories"),
  reserve: (repository: RepositoryId, id: ReservationId) =>
    request<unknown>("PUT", `/api/repositories/${repository}/reservations/${id}`),
  sessions: ({ before, archived }: { before?: number; archived: boolean }) => {
    const query = new URLSearchParams({ limit: String(SESSIONS_PER_PAGE) });
    if (before !== undefined) query.set("before", String(before));
    if (archived) query.set("archived", "true");
    return request<SessionList>("GET", `/api/sessions?${query}`);
  },
  createSession: (body: CreateSessionRequest) =>
    request<CreateSessionResponse>("POST", "/api/sessions", body),
  ticket: (sessionId: SessionId, signal: AbortSignal) =>
    request<TicketResponse>("POST", `/api/sessions/${sessionId}/ticket`, undefined, signal),
  history: (sessionId: SessionId, before: number, signal: AbortSignal) =>
    request<HistoryPage>("GET", `/api/sessions/${sessionId}/history?before=${before}`, undefined, signal),
  metrics: (query: URLSearchParams, signal: AbortSignal) =>
    request<Metrics>("GET", `/api/metrics?${query}`, undefined, signal),
  archive: (sessionId: SessionId, body: ArchiveRequest) =>
    request<unknown>("PUT", `/api/sessions/${sessionId}/archived`, body),
  deleteSession: (sessionId: SessionId) => request<unknown>("DELETE", `/api/sessions/${sessionId}`),
};

export const SESSIONS_PER_PAGE = 50;

/** Where everything is that is stored about somebody; about whoever asks, where nobody is named. */
export function exportUrl(id?: UserId): string {
  return id === undefined ? "/api/me/export" : `/api/operator/people/${id}/export`;
}

/** Where the live frames of a session come from. */
export function socketUrl(sessionId: SessionId): string {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}/api/sessions/${sessionId}/socket`;
}

/** Where the whole of a long output is, to be opened beside the session. */
export function artifactUrl(sessionId: SessionId, artifactId: ArtifactId): string {
  return `/api/sessions/${sessionId}/artifacts/${artifactId}`;
}

async function request<T>(method: Method, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  return readAnswer<T>(await send(method, path, body, signal));
}

async function send(method: Method, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { traceparent: newTrace() };
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (signal !== undefined) init.signal = signal;
  if (method !== "GET") {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(body ?? {});
  }
  const unreachable = "The server cannot be reached. Check the connection, then try again.";
  return sendRequest(() => fetch(path, init), { unreachable, signal });
}

/** Where a trace begins: with what somebody does here (https://www.w3.org/TR/trace-context/). */
function newTrace(): string {
  const hex = (bytes: number): string =>
    Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) =>
      byte.toString(16).padStart(2, "0"),
    ).join("");
  return `00-${hex(16)}-${hex(8)}-01`;
}

type Method = "GET" | "POST" | "PUT" | "DELETE";
