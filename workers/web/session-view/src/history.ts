/**
 * What the snapshot left out, fetched page by page, newest part first. Turns of it have ended but for the snapshot's first, of which
 * it may have earlier items; of what stands in both, the live state is right (`timeline.ts` joins them).
 */
import type { EventRecord, HistoryPage, SessionEvent } from "@farhand/protocol";
import { type Accessor, createSignal } from "solid-js";
import { createStore, produce } from "solid-js/store";
import { applyToItems, type ItemEvent, type KnownSnapshot } from "./reducer.js";

/** Gets what stands before a cursor; throws an `Error` with words for people. */
export type FetchHistory = (before: number, signal: AbortSignal) => Promise<HistoryPage>;

/** What was fetched, oldest first. */
export type Earlier = Pick<HistoryPage, "prompts" | "turns" | "items">;

export interface History {
  earlier: Earlier;
  /** Whether something stands before the oldest that is known. */
  hasMore(snapshot: KnownSnapshot): boolean;
  /** The number of the event from which on everything is known; null when that is the first. */
  cursor(snapshot: KnownSnapshot): number | null;
  loading: Accessor<boolean>;
  error: Accessor<string | null>;
  /** Fetches the next older page. One at a time: whoever asks meanwhile waits for the same. */
  load(snapshot: KnownSnapshot): Promise<void>;
  /** A snapshot arrived that left out what stands before this cursor. Pages fetched before another one are of no use. */
  align(cursor: number | undefined): void;
  /** Events may be about an item that only a page has: an old one of the running turn. */
  apply(records: readonly EventRecord[]): void;
  close(): void;
}

export function createHistory(fetchPage: FetchHistory): History {
  const [earlier, setEarlier] = createStore<Earlier>(nothing());
  /** Of the next page; absent before the first page, null after the last. */
  const [next, setNext] = createSignal<number | null>();
  const [loading, setLoading] = createSignal(false);
  const [error, setError] = createSignal<string | null>(null);
  let ids: ReadonlySet<string> = new Set();
  let aligned: number | undefined;
  let request = new AbortController();
  let underWay: Promise<void> | null = null;
  const cursor = (snapshot: KnownSnapshot): number | null => {
    const known = next();
    return known === undefined ? (snapshot.earlier ?? null) : known;
  };
  const fetchBefore = async (before: number): Promise<void> => {
    const { signal } = request;
    setLoading(true);
    setError(null);
    try {
      const page = await fetchPage(before, signal);
      if (signal.aborted) return;
      setEarlier((known) => joinEarlier(page, known));
      ids = new Set([...ids, ...page.items.map((item) => item.id)]);
      // A page that does not lead further back would be fetched for ever.
      setNext(page.earlier !== undefined && page.earlier < before ? page.earlier : null);
    } catch (cause) {
      if (!signal.aborted) setError(cause instanceof Error ? cause.message : "The turns did not come.");
    } finally {
      if (!signal.aborted) {
        underWay = null;
        setLoading(false);
      }
    }
  };
  return {
    earlier,
    hasMore: (snapshot) => cursor(snapshot) !== null,
    cursor,
    loading,
    error,
    load(snapshot) {
      const before = cursor(snapshot);
      if (before === null) return Promise.resolve();
      underWay ??= fetchBefore(before);
      return underWay;
    },
    align(cursorOfSnapshot) {
      if (cursorOfSnapshot === aligned) return;
      aligned = cursorOfSnapshot;
      request.abort();
      request = new AbortController();
      underWay = null;
      setLoading(false);
      setError(null);
      setNext(undefined);
      setEarlier(nothing());
      ids = new Set();
    },
    apply(records) {
      const about = records.flatMap(({ event }) => (isAbout(event, ids) ? [structuredClone(event)] : []));
      if (about.length === 0) return;
      setEarlier(
        "items",
        produce((items) => {
          for (const event of about) applyToItems(items, event);
        }),
      );
    },
    close: () => request.abort(),
  };
}

function isAbout(event: SessionEvent, ids: ReadonlySet<string>): event is ItemEvent {
  if (event.type === "item_appended") return ids.has(event.itemId);
  return (event.type === "item_changed" || event.type === "item_revised") && ids.has(event.item.id);
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
