/**
 * Applies recorded facts to the state of a session, exactly as the session itself does (`apply_event` in Rust).
 * Pure: no IO, no clock. It changes the state it is given, so that a Solid store can hand in its draft and update only what changed.
 * Called by `feed.ts`; compared with the definition of the wire by `tests/reducer.test.ts`.
 */
import type {
  EventRecord,
  Item,
  ItemContent,
  Prompt,
  SessionEvent,
  SessionSnapshot,
  TurnId,
} from "@farhand/protocol";

/** A snapshot in which nothing is left to be guessed. */
export type KnownSnapshot = SessionSnapshot & Required<Pick<SessionSnapshot, "queue" | "notices">>;

/** What a client knows about a session. */
export interface SessionState {
  /** Number of the newest event applied; 0 before the first snapshot. */
  seq: number;
  /** The state as of `seq`; absent before the first snapshot. */
  snapshot: KnownSnapshot | null;
}

/** What became of an event: `gap` when events before it are missing, `hole` when text before it is missing. */
export type Applied = "applied" | "duplicate" | "gap" | "hole";

/** The limit of the wire. */
const NOTICES_MAX = 20;

/** A session of which nothing is known yet. */
export function emptyState(): SessionState {
  return { seq: 0, snapshot: null };
}

/** Fills in what the wire leaves out because it is empty. Where things stand is for `places.ts` to know. */
export function knownSnapshot({ places: _, ...snapshot }: SessionSnapshot): KnownSnapshot {
  return { ...snapshot, queue: snapshot.queue ?? [], notices: snapshot.notices ?? [] };
}

/** Applies one record. After `gap` and `hole` nothing has changed and the client must subscribe again. */
export function applyEvent(state: SessionState, record: EventRecord): Applied {
  const { seq } = record;
  if (seq <= state.seq) return "duplicate";
  const snapshot = state.snapshot;
  if (snapshot === null || seq !== state.seq + 1) return "gap";
  if (!applyToSnapshot(snapshot, record)) return "hole";
  state.seq = seq;
  return "applied";
}

/** False when text in front of an appended piece is missing. */
function applyToSnapshot(snapshot: KnownSnapshot, record: EventRecord): boolean {
  const { event } = record;
  switch (event.type) {
    case "title_changed":
      snapshot.session.title = event.title;
      return true;
    case "session_archived":
      snapshot.session.archivedAt = record.at;
      return true;
    case "session_unarchived":
      delete snapshot.session.archivedAt;
      return true;
    case "participant_joined":
      upsert(snapshot.participants, event.participant, (one) => one.userId);
      return true;
    case "role_changed": {
      const person = snapshot.participants.find((one) => one.userId === event.userId);
      if (person !== undefined) person.role = event.role;
      return true;
    }
    case "turn_started":
      upsert(snapshot.turns, event.turn, (one) => one.id);
      changePrompt(snapshot, event.turn.promptId, (prompt) => {
        prompt.state = "running";
      });
      leaveQueue(snapshot, event.turn.promptId);
      return true;
    case "stop_requested": {
      const turn = snapshot.turns.findLast((one) => one.id === event.turnId);
      if (turn !== undefined) turn.stopRequestedBy = event.by;
      return true;
    }
    case "turn_ended":
      endTurn(snapshot, event);
      return true;
    case "item_changed":
    case "item_revised":
    case "item_appended":
      return applyToItems(snapshot.items, event);
    case "sandbox_changed":
      snapshot.sandbox = event.status;
      return true;
    case "budget_changed": {
      const { hold, budgets } = event;
      snapshot.budget = { ...(hold && { hold }), ...(budgets && { budgets }) };
      return true;
    }
    case "artifact_changed":
      upsert(snapshot.artifacts, event.artifact, (one) => one.id);
      return true;
    case "effect_failed":
    case "conversation_restored":
    case "egress_denied":
    case "pull_request_changed":
    case "review_added":
      snapshot.notices.push({ seq: record.seq, at: record.at, event });
      snapshot.notices.splice(0, snapshot.notices.length - NOTICES_MAX);
      return true;
    case "prompt_queued":
    case "prompt_cancelled":
    case "prompt_edited":
    case "prompt_moved":
    case "prompt_steered":
      applyToQueue(snapshot, event);
      return true;
    case "session_created":
    case "snapshot_taken":
    case "unknown":
      return true;
    default:
      // A fact of a newer session: it has its number and changes nothing here.
      return true;
  }
}

/** What happens to items. */
export type ItemEvent = Extract<SessionEvent, { type: "item_changed" | "item_revised" | "item_appended" }>;

/** False when text in front of an appended piece is missing. */
export function applyToItems(items: Item[], event: ItemEvent): boolean {
  switch (event.type) {
    case "item_changed":
      upsert(items, event.item, (one) => one.id);
      return true;
    case "item_revised":
      revise(items, event.item);
      return true;
    case "item_appended":
      return append(items, event.itemId, event.offset, event.text);
  }
}

type QueueEvent = Extract<
  SessionEvent,
  { type: "prompt_queued" | "prompt_cancelled" | "prompt_edited" | "prompt_moved" | "prompt_steered" }
>;

function applyToQueue(snapshot: KnownSnapshot, event: QueueEvent): void {
  switch (event.type) {
    case "prompt_queued":
      upsert(snapshot.prompts, event.prompt, (one) => one.id);
      leaveQueue(snapshot, event.prompt.id);
      snapshot.queue.push(event.prompt.id);
      break;
    case "prompt_cancelled":
      changePrompt(snapshot, event.promptId, (prompt) => {
        prompt.state = "cancelled";
        prompt.cancelledBy = event.by;
      });
      leaveQueue(snapshot, event.promptId);
      break;
    case "prompt_edited":
      changePrompt(snapshot, event.promptId, (prompt) => {
        prompt.text = event.text;
        prompt.editedBy = event.by;
      });
      break;
    case "prompt_moved":
      place(snapshot.queue, event.promptId, event.before);
      changePrompt(snapshot, event.promptId, (prompt) => {
        // A snapshot leaves out what is usual.
        if (event.delivery === "queue") delete prompt.delivery;
        else if (event.delivery !== undefined) prompt.delivery = event.delivery;
      });
      break;
    case "prompt_steered":
      changePrompt(snapshot, event.promptId, (prompt) => {
        prompt.state = "running";
        prompt.steeredInto = event.turnId;
      });
      leaveQueue(snapshot, event.promptId);
      break;
  }
}

function changePrompt(snapshot: KnownSnapshot, promptId: string, change: (prompt: Prompt) => void): void {
  const prompt = snapshot.prompts.findLast((one) => one.id === promptId);
  if (prompt !== undefined) change(prompt);
}

function leaveQueue(snapshot: KnownSnapshot, promptId: string): void {
  const at = snapshot.queue.indexOf(promptId);
  if (at >= 0) snapshot.queue.splice(at, 1);
}

/** Puts an id before another, or at the end. */
function place(queue: string[], id: string, before: string | undefined): void {
  const at = queue.indexOf(id);
  if (at >= 0) queue.splice(at, 1);
  const target = before === undefined ? -1 : queue.indexOf(before);
  queue.splice(target < 0 ? queue.length : target, 0, id);
}

/** How views foresee a move: what does not wait is not moved. */
export function foreseeMove(queue: string[], id: string, before: string | undefined): void {
  if (queue.includes(id)) place(queue, id, before);
}

function endTurn(snapshot: KnownSnapshot, event: Extract<SessionEvent, { type: "turn_ended" }>): void {
  const { usage } = event.end;
  snapshot.usage.inputTokens += usage.inputTokens;
  snapshot.usage.outputTokens += usage.outputTokens;
  snapshot.usage.cachedTokens += usage.cachedTokens;
  snapshot.usage.costUsd += usage.costUsd;
  const turn = snapshot.turns.findLast((one) => one.id === event.turnId);
  if (turn === undefined) return;
  turn.end = event.end;
  changePrompt(snapshot, turn.promptId, (prompt) => {
    prompt.state = event.promptState;
  });
  const again = event.promptState === "queued" ? [turn.promptId] : [];
  again.push(...endSteered(snapshot.prompts, event.turnId, event.promptState === "done"));
  if (again.length > 0) {
    snapshot.queue = [...again, ...snapshot.queue.filter((id) => !again.includes(id))];
  }
}

/** Prompts that a turn took up share its end; when it is lost they wait again, in the order of submission. */
function endSteered(prompts: Prompt[], turnId: TurnId, done: boolean): string[] {
  const again: string[] = [];
  for (const prompt of prompts) {
    if (prompt.steeredInto !== turnId) continue;
    if (done) {
      prompt.state = "done";
      continue;
    }
    prompt.state = "queued";
    delete prompt.steeredInto;
    again.push(prompt.id);
  }
  return again;
}

/** Replaces an item but for the text that grows. One that the snapshot left out stays left out. */
function revise(items: Item[], revised: Item): void {
  const item = items.findLast((one) => one.id === revised.id);
  if (item === undefined) return;
  const before = item.content;
  let content = revised.content;
  if (content.type === "tool" && before.type === "tool") {
    content = { ...content, output: before.output };
  } else if (growsText(content) && growsText(before)) {
    content = { ...content, text: before.text };
  }
  mergeInto(item, { ...revised, content });
}

function growsText(content: ItemContent): content is Extract<ItemContent, { type: "text" | "reasoning" }> {
  return content.type === "text" || content.type === "reasoning";
}

/** Appends only what is new: a piece that overlaps what is there is cut, one that leaves a hole is refused. */
function append(items: Item[], itemId: string, offset: number, text: string): boolean {
  const content = items.findLast((one) => one.id === itemId)?.content;
  // An item that the snapshot left out stays left out.
  if (content === undefined) return true;
  const grow = (have: string): string | null =>
    offset > have.length ? null : have + text.slice(have.length - offset);
  if (growsText(content)) {
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
