/** Which sessions somebody has looked at in this browser, and when; so that a list can say what is new. */
import type { SessionId, SessionSummary } from "@farhand/protocol";
import { createSignal } from "solid-js";

const KEY = "farhand.seen";
/** The latest ones; older ones are in nobody's list. */
const KEPT = 300;

interface Seen {
  /** What was there before counts as looked at. */
  since: number;
  at: Record<SessionId, number>;
}

const [seen, setSeen] = createSignal<Seen>(read());

/** Whether nothing has happened since it was looked at. */
export function isSeen(session: SessionSummary): boolean {
  return session.updatedAt <= Math.max(seen().since, seen().at[session.sessionId] ?? 0);
}

/** Somebody looks at it. */
export function markSeen(id: SessionId, updatedAt: number): void {
  if ((seen().at[id] ?? 0) >= updatedAt) return;
  const latest = Object.entries({ ...seen().at, [id]: updatedAt })
    .sort(([, one], [, other]) => other - one)
    .slice(0, KEPT);
  setSeen({ since: seen().since, at: Object.fromEntries(latest) });
  try {
    localStorage.setItem(KEY, JSON.stringify(seen()));
  } catch {
    // Without storage it is known as long as the page lives.
  }
}

function read(): Seen {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "null");
    if (isStored(stored)) return stored;
    const fresh = { since: Date.now(), at: {} };
    localStorage.setItem(KEY, JSON.stringify(fresh));
    return fresh;
  } catch {
    return { since: Date.now(), at: {} };
  }
}

function isStored(value: unknown): value is Seen {
  if (typeof value !== "object" || value === null) return false;
  const { since, at } = value as Partial<Seen>;
  return typeof since === "number" && typeof at === "object" && at !== null;
}
