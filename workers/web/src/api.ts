/** The HTTP API of the edge. Every failure becomes an `ApiError` with words to show; nothing is retried here. */
import type {
  ArchiveRequest,
  ArtifactId,
  Configuration,
  CreateSessionRequest,
  CreateSessionResponse,
  ErrorBody,
  ErrorCode,
  HistoryPage,
  RepositoryList,
  SessionId,
  SessionList,
  SignInRequest,
  TicketResponse,
  User,
} from "@farhand/protocol";
import { capitalised } from "@farhand/session-view";

export class ApiError extends Error {
  constructor(
    /** The edge's own, or `unavailable` when there was no answer that says one. */
    readonly code: ErrorCode,
    message: string,
  ) {
    super(capitalised(message));
  }
}

export const api = {
  configuration: () => request<Configuration>("GET", "/api/configuration"),
  me: () => request<User>("GET", "/api/me"),
  signIn: (body: SignInRequest) => request<User>("POST", "/api/sign-in", body),
  signOut: () => request<unknown>("POST", "/api/sign-out"),
  repositories: () => request<RepositoryList>("GET", "/api/repositories"),
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
  archive: (sessionId: SessionId, body: ArchiveRequest) =>
    request<unknown>("PUT", `/api/sessions/${sessionId}/archived`, body),
  deleteSession: (sessionId: SessionId) => request<unknown>("DELETE", `/api/sessions/${sessionId}`),
};

export const SESSIONS_PER_PAGE = 50;

/** Where the live frames of a session come from. */
export function socketUrl(sessionId: SessionId): string {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}/api/sessions/${sessionId}/socket`;
}

/** Where the whole of a long output is, to be opened beside the session. */
export function artifactUrl(sessionId: SessionId, artifactId: ArtifactId): string {
  return `/api/sessions/${sessionId}/artifacts/${artifactId}`;
}

async function request<T>(
  method: "GET" | "POST" | "PUT" | "DELETE",
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<T> {
  const init: RequestInit = { method, credentials: "same-origin" };
  if (signal !== undefined) init.signal = signal;
  if (method !== "GET") {
    init.headers = { "content-type": "application/json" };
    init.body = JSON.stringify(body ?? {});
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new ApiError("unavailable", "The server cannot be reached. Check the connection, then try again.");
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok) return answer as T;
  const error = answer as Partial<ErrorBody> | undefined;
  throw new ApiError(
    error?.code ?? "unavailable",
    error?.message ?? `The server answered with ${response.status}. Try again.`,
  );
}
