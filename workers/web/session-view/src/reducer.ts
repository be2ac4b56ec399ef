/**
 * Applies recorded facts to the state of a session, exactly as the session itself does.
 * Pure: no IO, no clock. It changes the state it is given, so that a Solid store can hand in its draft and update only what changed.
 * Called by `session-store.ts`; compared with the definition of the wire by `tests/reducer.test.ts`.
 */
import type { Item, SessionEvent, SessionSnapshot, TurnId, UserId } from "@farhand/protocol";

/** Something that reaches outside and failed for good; known only from its event. */
export interface EffectFailure {
  seq: number;
  at: number;
  what: string;
  reason: string;
}

/** What a client knows about a session. */
export interface SessionState {
  /** Number of the newest event applied; 0 before the first snapshot. */
  seq: number;
  /** The state as of `seq`; absent before the first snapshot. */
  snapshot: SessionSnapshot | null;
  /** The turn whose end somebody asked for; it still runs. */
  stopRequested: { turnId: TurnId; by: UserId } | null;
  /** In order. */
  effectFailures: EffectFailure[];
}

/** What became of an event: `gap` when events before it are missing, `hole` when text before it is missing. */
export type Applied = "applied" | "duplicate" | "gap" | "hole";

/** A session of which nothing is known yet. */
export function emptyState(): SessionState {
  return { seq: 0, snapshot: null, stopRequested: null, effectFailures: [] };
}

/** Applies the event with this number. After `gap` and `hole` nothing has changed and the client must subscribe again. */
export function applyEvent(state: SessionState, seq: number, at: number, event: SessionEvent): Applied {
  if (seq <= state.seq) return "duplicate";
  const snapshot = state.snapshot;
  if (snapshot === null || seq !== state.seq + 1) return "gap";
  if (!applyToSnapshot(snapshot, event)) return "hole";
  if (event.type === "stop_requested") {
    state.stopRequested = { turnId: event.turnId, by: event.by };
  } else if (event.type === "turn_ended") {
    state.stopRequested = null;
  } else if (event.type === "effect_failed") {
    state.effectFailures.push({ seq, at, what: event.what, reason: event.reason });
  }
  state.seq = seq;
  return "applied";
}

/** False when text in front of an appended piece is missing. */
function applyToSnapshot(snapshot: SessionSnapshot, event: SessionEvent): boolean {
  switch (event.type) {
    case "title_changed":
      snapshot.session.title = event.title;
      return true;
    case "participant_joined":
      upsert(snapshot.participants, event.participant, (one) => one.userId);
      return true;
    case "prompt_queued":
      upsert(snapshot.prompts, event.prompt, (one) => one.id);
      return true;
    case "prompt_cancelled":
      setPromptState(snapshot, event.promptId, "cancelled");
      return true;
    case "turn_started":
      upsert(snapshot.turns, event.turn, (one) => one.id);
      setPromptState(snapshot, event.turn.promptId, "running");
      return true;
    case "item_changed":
      upsert(snapshot.items, event.item, (one) => one.id);
      return true;
    case "item_appended":
      return append(snapshot.items, event.itemId, event.offset, event.text);
    case "turn_ended":
      endTurn(snapshot, event);
      return true;
    case "sandbox_changed":
      snapshot.sandbox = event.status;
      return true;
    case "artifact_changed":
      upsert(snapshot.artifacts, event.artifact, (one) => one.id);
      return true;
    case "session_created":
    case "stop_requested":
    case "snapshot_taken":
    case "effect_failed":
    case "unknown":
      return true;
    default:
      // A fact of a newer session: it has its number and changes nothing here.
      return true;
  }
}

function setPromptState(
  snapshot: SessionSnapshot,
  promptId: string,
  state: SessionSnapshot["prompts"][number]["state"],
): void {
  const prompt = snapshot.prompts.findLast((one) => one.id === promptId);
  if (prompt !== undefined) prompt.state = state;
}

function endTurn(snapshot: SessionSnapshot, event: Extract<SessionEvent, { type: "turn_ended" }>): void {
  const turn = snapshot.turns.findLast((one) => one.id === event.turnId);
  if (turn !== undefined) {
    turn.end = event.end;
    setPromptState(snapshot, turn.promptId, event.promptState);
  }
  const { usage } = event.end;
  snapshot.usage.inputTokens += usage.inputTokens;
  snapshot.usage.outputTokens += usage.outputTokens;
  snapshot.usage.cachedTokens += usage.cachedTokens;
  snapshot.usage.costUsd += usage.costUsd;
}

/** Appends only what is new: a piece that overlaps what is there is cut, one that leaves a hole is refused. */
function append(items: Item[], itemId: string, offset: number, text: string): boolean {
  const content = items.findLast((one) => one.id === itemId)?.content;
  // An item that the snapshot left out stays left out.
  if (content === undefined) return true;
  const grow = (have: string): string | null =>
    offset > have.length ? null : have + text.slice(have.length - offset);
  if (content.type === "text" || content.type === "reasoning") {
    const grown = grow(content.text);
    if (grown !== null) content.text = grown;
    return grown !== null;
  }
  if (content.type === "tool") {
    const grown = grow(content.output);
    if (grown !== null) content.output = grown;
    return grown !== null;
  }
  return true;
}

/** Replaces the entry with the same key, or adds it at the end. */
function upsert<T extends object>(list: T[], entry: T, key: (one: T) => string): void {
  const wanted = key(entry);
  const found = list.findLastIndex((one) => key(one) === wanted);
  const existing = list[found];
  if (existing === undefined) list.push(entry);
  else mergeInto(existing, entry);
}

/** Makes `target` equal to `source` and keeps the objects in it, so that views on them stay. */
function mergeInto(target: object, source: object): void {
  const to = target as Record<string, unknown>;
  const from = source as Record<string, unknown>;
  for (const key of Object.keys(to)) {
    if (!(key in from)) delete to[key];
  }
  for (const [key, value] of Object.entries(from)) {
    const current = to[key];
    if (isPlain(current) && isPlain(value) && current.type === value.type) mergeInto(current, value);
    else if (current !== value) to[key] = value;
  }
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
