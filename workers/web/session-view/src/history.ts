/**
 * What the snapshot left out, fetched page by page, newest part first. Turns of it have ended but for the snapshot's first, of which
 * it may have earlier items; of what stands in both, the live state is right (`timeline.ts` joins them).
 */
import type { HistoryPage } from "@farhand/protocol";
import { type Accessor, createSignal } from "solid-js";
import { createStore } from "solid-js/store";
import type { KnownSnapshot } from "./reducer.js";

/** Gets what stands before a cursor; throws an `Error` with words for people. */
export type FetchHistory = (before: number, signal: AbortSignal) => Promise<HistoryPage>;

/** What was fetched, oldest first. */
export type Earlier = Pick<HistoryPage, "prompts" | "turns" | "items">;

export interface History {
  earlier: Earlier;
  /** Whether something stands before the oldest that is known. */
  hasMore(snapshot: KnownSnapshot): boolean;
  loading: Accessor<boolean>;
  error: Accessor<string | null>;
  /** Fetches the next older page. One at a time. */
  load(snapshot: KnownSnapshot): Promise<void>;
  /** A snapshot arrived that left out what stands before this cursor. Pages fetched before another one are of no use. */
  align(cursor: number | undefined): void;
  close(): void;
}

export function createHistory(fetchPage: FetchHistory): History {
  const [earlier, setEarlier] = createStore<Earlier>(nothing());
  /** Of the next page; absent before the first page, null after the last. */
  const [next, setNext] = createSignal<number | null>();
  const [loading, setLoading] = createSignal(false);
  const [error, setError] = createSignal<string | null>(null);
  let aligned: number | undefined;
  let request = new AbortController();
  const cursor = (snapshot: KnownSnapshot): number | null => {
    const known = next();
    return known === undefined ? (snapshot.earlier ?? null) : known;
  };
  return {
    earlier,
    hasMore: (snapshot) => cursor(snapshot) !== null,
    loading,
    error,
    async load(snapshot) {
      const before = cursor(snapshot);
      if (loading() || before === null) return;
      const { signal } = request;
      setLoading(true);
      setError(null);
      try {
        const page = await fetchPage(before, signal);
        if (signal.aborted) return;
        setEarlier((known) => joinEarlier(page, known));
        // A page that does not lead further back would be fetched for ever.
        setNext(page.earlier !== undefined && page.earlier < before ? page.earlier : null);
      } catch (cause) {
        if (!signal.aborted) setError(cause instanceof Error ? cause.message : "The turns did not come.");
      } finally {
        if (!signal.aborted) setLoading(false);
      }
    },
    align(cursorOfSnapshot) {
      if (cursorOfSnapshot === aligned) return;
      aligned = cursorOfSnapshot;
      request.abort();
      request = new AbortController();
      setLoading(false);
      setError(null);
      setNext(undefined);
      setEarlier(nothing());
    },
    close: () => request.abort(),
  };
}

function nothing(): Earlier {
  return { prompts: [], turns: [], items: [] };
}

/** Puts what is older in front. What stands in both is taken from the newer part, at its older place. */
export function joinEarlier(older: Earlier, newer: Earlier): Earlier {
  return {
    prompts: join(older.prompts, newer.prompts),
    turns: join(older.turns, newer.turns),
    items: join(older.items, newer.items),
  };
}

function join<T extends { id: string }>(older: readonly T[], newer: readonly T[]): T[] {
  if (older.length === 0) return [...newer];
  const known = new Map(newer.map((one) => [one.id, one]));
  const front = older.map((one) => {
    const same = known.get(one.id);
    known.delete(one.id);
    return same ?? one;
  });
  return [...front, ...known.values()];
}
