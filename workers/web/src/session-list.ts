/** The list of sessions beside everything else: loaded in pages, kept fresh while the page is looked at. */
import type { RepositoryId, SessionId, SessionSummary, UserId } from "@farhand/protocol";
import { startOfDay } from "@farhand/session-view";
import { createSignal, onCleanup } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import { leaveAccount, messageOf } from "./account.js";
import { ApiError, api, SESSIONS_PER_PAGE } from "./api.js";
import { showToast } from "./components/toasts.jsx";

const REFRESH_EVERY_MS = 10_000;

export interface SessionListState {
  loaded: boolean;
  error: string | null;
  sessions: SessionSummary[];
  /** Whether it is the list of those that take no prompts. */
  archived: boolean;
  /** Whether older ones may be had. */
  more: boolean;
}

export function createSessionList() {
  const [state, setState] = createStore<SessionListState>({
    loaded: false,
    error: null,
    sessions: [],
    archived: false,
    more: false,
  });
  const [now, setNow] = createSignal(Date.now());
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  const show = (sessions: SessionSummary[]): void => {
    setState("sessions", reconcile(sessions, { key: "sessionId" }));
  };
  const fail = (error: unknown): void => {
    if (error instanceof ApiError && error.code === "sign_in_required") leaveAccount();
    setState("error", messageOf(error));
  };
  const refresh = async (): Promise<void> => {
    clearTimeout(timer);
    const { archived } = state;
    try {
      const { sessions } = await api.sessions({ archived });
      if (archived !== state.archived) return;
      show(joinNewest(sessions, state.sessions));
      if (!state.loaded) setState("more", sessions.length === SESSIONS_PER_PAGE);
      setState({ loaded: true, error: null });
    } catch (error) {
      if (archived !== state.archived) return;
      fail(error);
    }
    setNow(Date.now());
    if (!closed) timer = setTimeout(tick, REFRESH_EVERY_MS);
  };
  const tick = (): void => {
    if (document.visibilityState === "visible") void refresh();
    else timer = setTimeout(tick, REFRESH_EVERY_MS);
  };
  const loadMore = async (): Promise<void> => {
    const last = state.sessions.at(-1);
    const { archived } = state;
    if (last === undefined) return;
    try {
      const { sessions } = await api.sessions({ before: last.updatedAt, archived });
      if (archived !== state.archived) return;
      const known = new Set(state.sessions.map((one) => one.sessionId));
      show([...state.sessions, ...sessions.filter((one) => !known.has(one.sessionId))]);
      setState("more", sessions.length === SESSIONS_PER_PAGE);
    } catch (error) {
      fail(error);
    }
  };
  const showArchived = (archived: boolean): void => {
    if (archived === state.archived) return;
    setState({ archived, loaded: false, error: null, sessions: [], more: false });
    void refresh();
  };
  /** The session was deleted, or belongs to the other list. */
  const forget = (sessionId: SessionId): void => {
    show(state.sessions.filter((one) => one.sessionId !== sessionId));
  };
  const listeners = new AbortController();
  document.addEventListener(
    "visibilitychange",
    () => {
      if (document.visibilityState === "visible") void refresh();
    },
    { signal: listeners.signal },
  );
  onCleanup(() => {
    closed = true;
    clearTimeout(timer);
    listeners.abort();
  });
  void refresh();
  return { state, now, refresh, loadMore, showArchived, forget };
}

/** The first page anew, and what is known of older ones. What belonged into the first page and is not there is gone. */
export function joinNewest(
  newest: readonly SessionSummary[],
  known: readonly SessionSummary[],
): SessionSummary[] {
  const last = newest.at(-1);
  if (last === undefined || newest.length < SESSIONS_PER_PAGE) return [...newest];
  const ids = new Set(newest.map((one) => one.sessionId));
  return [...newest, ...known.filter((one) => !ids.has(one.sessionId) && one.updatedAt <= last.updatedAt)];
}

export type SessionListing = ReturnType<typeof createSessionList>;

export interface SessionGroup {
  name: string;
  sessions: SessionSummary[];
}

/** Sorts into what runs, and then by day. */
export function groupSessions(sessions: readonly SessionSummary[], now: number): SessionGroup[] {
  const today = startOfDay(now);
  const yesterday = startOfDay(today - 1);
  const nameOf = (one: SessionSummary): string => {
    if (one.activity === "running") return "Running";
    if (one.updatedAt >= today) return "Today";
    return one.updatedAt >= yesterday ? "Yesterday" : "Earlier";
  };
  return ["Running", "Today", "Yesterday", "Earlier"]
    .map((name) => ({ name, sessions: sessions.filter((one) => nameOf(one) === name) }))
    .filter((group) => group.sessions.length > 0);
}

/** Archives a session, or takes it up again, with a word about it and the way back. */
export async function archiveSession(
  listing: SessionListing,
  id: SessionId,
  archived = true,
): Promise<boolean> {
  try {
    await api.archive(id, { archived });
  } catch (error) {
    showToast({ text: messageOf(error), problem: true });
    return false;
  }
  listing.forget(id);
  showToast({
    text: archived ? "The session is archived." : "The session takes prompts again.",
    undo: () => void archiveSession(listing, id, !archived).then(() => listing.refresh()),
  });
  return true;
}

/** Whose sessions a list shows. */
export type Whose = "mine" | "team" | "needs-me";

export type StateFilter = "all" | "running" | "idle" | "failed" | "pull";

export interface SessionFilter {
  search: string;
  whose: Whose;
  me: UserId;
  repository: RepositoryId | "all";
  state: StateFilter;
  /** What of the sessions was looked at before. */
  seen: (session: SessionSummary) => boolean;
}

/** Whether a session of one's own has come to an end that one has not looked at. */
export function needsMe(session: SessionSummary, me: UserId, seen: SessionFilter["seen"]): boolean {
  return session.createdBy === me && session.activity !== "running" && !seen(session);
}

/** Those that match all that was chosen. */
export function filterSessions(sessions: readonly SessionSummary[], filter: SessionFilter): SessionSummary[] {
  const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
  return sessions.filter((one) => {
    const text =
      `${one.title} ${one.repository} ${one.createdByName} ${one.pullRequestNumber ?? ""}`.toLowerCase();
    return (
      (filter.whose !== "mine" || one.createdBy === filter.me) &&
      (filter.whose !== "needs-me" || needsMe(one, filter.me, filter.seen)) &&
      (filter.repository === "all" || one.repository === filter.repository) &&
      isOfState(one, filter.state) &&
      words.every((word) => text.includes(word))
    );
  });
}

function isOfState(session: SessionSummary, state: StateFilter): boolean {
  if (state === "all") return true;
  return state === "pull" ? session.pullRequestNumber !== undefined : session.activity === state;
}
