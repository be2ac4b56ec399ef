/**
 * Arranges a session's state for reading: what stands in the timeline and in which order, which prompts wait below it, which tool
 * calls fold into one row, and in what words a tool call is told. Pure.
 */
import type {
  Artifact,
  EgressDenial,
  EventRecord,
  Item,
  ItemContent,
  Prompt,
  PullState,
  Review,
  SessionEvent,
  SessionSnapshot,
  Turn,
  Verdict,
} from "@farhand/protocol";
import { own } from "./own.js";
import type { KnownSnapshot } from "./reducer.js";

export type ToolContent = Extract<ItemContent, { type: "tool" }>;

/** A row of a turn: one item, several reads and searches folded into one, or a prompt that the running turn took up. */
export type Row =
  | { type: "item"; id: string; item: Item }
  | { type: "explored"; id: string; items: Item[] }
  | { type: "prompt"; id: string; prompt: Prompt };

/** The rows of a turn: its items, and each steered prompt before what began after it was written. */
export function turnRows(items: readonly Item[], steered: readonly Prompt[]): Row[] {
  const rows: Row[] = [];
  let from = 0;
  for (const prompt of steered) {
    const later = items.findIndex((item, index) => index >= from && item.startedAt > prompt.submittedAt);
    const to = later < 0 ? items.length : later;
    rows.push(...foldRows(items.slice(from, to)), { type: "prompt", id: prompt.id, prompt });
    from = to;
  }
  rows.push(...foldRows(items.slice(from)));
  return rows;
}

const READING = new Set(["read", "grep", "glob", "list", "ls"]);

/** Folds two or more reads and searches in a row into one. */
export function foldRows(items: readonly Item[]): Row[] {
  const rows: Row[] = [];
  for (const item of items) {
    const last = rows.at(-1);
    if (!isReading(item)) {
      rows.push({ type: "item", id: item.id, item });
    } else if (last?.type === "explored") {
      last.items.push(item);
    } else if (last?.type === "item" && isReading(last.item)) {
      rows[rows.length - 1] = { type: "explored", id: last.id, items: [last.item, item] };
    } else {
      rows.push({ type: "item", id: item.id, item });
    }
  }
  return rows;
}

function isReading(item: Item): boolean {
  return (
    item.content.type === "tool" && READING.has(item.content.name) && item.content.state.type !== "failed"
  );
}

/** `6 files, 3 searches`. */
export function exploredSummary(items: readonly Item[]): string {
  const reads = items.filter((item) => item.content.type === "tool" && item.content.name === "read").length;
  const searches = items.length - reads;
  const parts = [];
  if (reads > 0) parts.push(`${reads} ${reads === 1 ? "file" : "files"}`);
  if (searches > 0) parts.push(`${searches} ${searches === 1 ? "search" : "searches"}`);
  return parts.join(", ");
}

export type ToolKind = "command" | "edit" | "read" | "search" | "fetch" | "other";

const TOOLS: Record<string, { kind: ToolKind; running: string; done: string }> = {
  bash: { kind: "command", running: "Running", done: "Ran" },
  run: { kind: "command", running: "Running", done: "Ran" },
  shell: { kind: "command", running: "Running", done: "Ran" },
  edit: { kind: "edit", running: "Editing", done: "Edited" },
  patch: { kind: "edit", running: "Editing", done: "Edited" },
  apply_patch: { kind: "edit", running: "Editing", done: "Edited" },
  multiedit: { kind: "edit", running: "Editing", done: "Edited" },
  append: { kind: "edit", running: "Appending to", done: "Appended to" },
  write: { kind: "edit", running: "Writing", done: "Wrote" },
  read: { kind: "read", running: "Reading", done: "Read" },
  list: { kind: "search", running: "Listing", done: "Listed" },
  ls: { kind: "search", running: "Listing", done: "Listed" },
  grep: { kind: "search", running: "Searching", done: "Searched" },
  glob: { kind: "search", running: "Searching", done: "Searched" },
  webfetch: { kind: "fetch", running: "Fetching", done: "Fetched" },
  task: { kind: "other", running: "Delegating", done: "Delegated" },
};

/** In what words to tell a tool call. Tools of unknown names are told by their name. */
export function describeTool(tool: ToolContent): { kind: ToolKind; verb: string } {
  const known = own(TOOLS, tool.name);
  if (known === undefined) return { kind: "other", verb: tool.name };
  return { kind: known.kind, verb: tool.state.type === "running" ? known.running : known.done };
}

/** Whether a tool call went wrong: it failed, or its command did. */
export function toolFailed(tool: ToolContent): boolean {
  const { state } = tool;
  return state.type === "failed" || (state.type === "completed" && (state.exitCode ?? 0) !== 0);
}

/** The turn that runs. */
export function runningTurn(snapshot: SessionSnapshot): Turn | undefined {
  return snapshot.turns.findLast((turn) => turn.end === undefined);
}

/** The prompt that the session takes next and that nothing holds up but the sandbox; it stands in the timeline already. */
export function nextPrompt(snapshot: KnownSnapshot): Prompt | undefined {
  if (runningTurn(snapshot) !== undefined) return undefined;
  return snapshot.prompts.find((prompt) => prompt.id === snapshot.queue[0]);
}

/** Prompts that wait behind something else, in the order in which they will run. */
export function queuedPrompts(snapshot: KnownSnapshot): Prompt[] {
  const waiting = runningTurn(snapshot) === undefined ? snapshot.queue.slice(1) : snapshot.queue;
  const byId = new Map(snapshot.prompts.map((prompt) => [prompt.id, prompt]));
  return waiting.flatMap((id) => byId.get(id) ?? []);
}

/** Whether a waiting prompt is on its way into the running turn; one that somebody gave a place waits there for its own. */
export function isSteering(snapshot: KnownSnapshot, prompt: Prompt): boolean {
  return prompt.delivery === "steer" && runningTurn(snapshot) !== undefined;
}

/** What stands in the timeline: a turn, a fact that stands for itself, or a prompt that was taken back. */
export type Entry =
  | { type: "turn"; id: string; at: number; turn: Turn }
  | { type: "notice"; id: string; at: number; record: EventRecord }
  | { type: "cancelled"; id: string; at: number; prompt: Prompt };

/** Turns in their order, and what happened beside them after the turn that had begun by then. */
export function timelineEntries(
  turns: readonly Turn[],
  prompts: readonly Prompt[],
  notices: readonly EventRecord[],
): Entry[] {
  const beside: Entry[] = [
    ...notices.map((record): Entry => ({ type: "notice", id: `${record.seq}`, at: record.at, record })),
    ...prompts
      .filter((prompt) => prompt.state === "cancelled")
      .map((prompt): Entry => ({ type: "cancelled", id: prompt.id, at: prompt.submittedAt, prompt })),
  ].sort((one, other) => one.at - other.at);
  const entries: Entry[] = [];
  let next = 0;
  for (const turn of turns) {
    for (let one = beside[next]; one !== undefined && one.at < turn.startedAt; one = beside[next]) {
      entries.push(one);
      next += 1;
    }
    entries.push({ type: "turn", id: turn.id, at: turn.startedAt, turn });
  }
  return [...entries, ...beside.slice(next)];
}

/** The facts that stand for themselves, in words. */
export function noticeText({ event }: EventRecord): { level: "info" | "warning" | "error"; text: string } {
  if (event.type === "effect_failed") return { level: "error", text: `${event.what}: ${event.reason}` };
  if (event.type === "egress_denied") return { level: "warning", text: denialText(event.denial) };
  if (event.type === "pull_request_changed")
    return { level: "info", text: `Pull request #${event.number} ${pullStates[event.state]}.` };
  if (event.type === "review_added")
    return { level: reviewLevel(event.review), text: reviewText(event.review) };
  if (event.type !== "conversation_restored") return { level: "info", text: "" };
  switch (event.from.type) {
    case "snapshot":
      return { level: "info", text: "The session goes on in a new sandbox. The agent remembers everything." };
    case "earlier_snapshot":
      return {
        level: "warning",
        text: `The session goes on in a new sandbox. The agent remembers all but the last ${event.from.turns === 1 ? "turn" : turnsOf(event.from.turns)}, of which it was given a summary.`,
      };
    case "digest":
      return {
        level: "warning",
        text: `The session goes on in a new sandbox from the files of its branch. The agent was given a summary of ${turnsOf(event.from.turns)}.`,
      };
    default:
      return { level: "info", text: "The session goes on in a new sandbox." };
  }
}

/**
 * A refused place is shown as it was written: the sandbox chose the letters, so they stand between quotes. Port 0 is none: what
 * was refused at many places is counted together.
 */
function denialText({ host, port, reason, count }: EgressDenial): string {
  const why = own(denialReasons, reason) ?? `was refused (${reason})`;
  const place = port === 0 ? host : `${host}:${port}`;
  return `“${place}” ${why}${count > 1 ? `, ${count} times so far` : ""}.`;
}

/** What would have to be allowed for a refused connection: `HOST`, or `HOST:PORT` where another port than the usual ones was meant. */
export function deniedHost(event: SessionEvent): string | undefined {
  if (event.type !== "egress_denied") return undefined;
  const { host, port, reason } = event.denial;
  if (reason !== "host_not_allowed" && reason !== "port_not_allowed") return undefined;
  return [0, 80, 443].includes(port) ? host : `${host}:${port}`;
}

const denialReasons: Record<string, string> = {
  host_not_allowed: "is not among the hosts that this sandbox may reach",
  port_not_allowed: "is reachable on other ports only",
  address_not_name: "is an address; sandboxes reach hosts by name only",
  address_not_public: "leads to a private address, where sandboxes may not go",
  host_unknown: "has no address",
  host_unreachable: "did not answer",
  read_only: "may only be read from",
  secret_elsewhere: "was sent a secret that belongs to another host",
};

const pullStates: Record<PullState, string> = {
  open: "was opened again",
  closed: "was closed",
  merged: "was merged",
  unknown: "has changed",
};

const verdicts: Record<Verdict, string> = {
  approved: "approved",
  changes_requested: "asked for changes",
  dismissed: "took a review back",
  comment: "commented",
  unknown: "reviewed",
};

function reviewLevel({ verdict }: Review): "info" | "warning" {
  return verdict === "changes_requested" ? "warning" : "info";
}

/** What somebody said at the code host, as plain text: it is as foreign as an agent's. */
function reviewText({ author, verdict, path, line, text }: Review): string {
  const place = path === undefined ? "" : ` on ${path}${line === undefined ? "" : `:${line}`}`;
  const said = text.trim();
  return `${author} ${verdicts[verdict]}${place}${said === "" ? "." : `: ${said}`}`;
}

function turnsOf(count: number): string {
  return count === 1 ? "one turn" : `${count} turns`;
}

type ArtifactOf<T extends Artifact["content"]["type"]> = Extract<Artifact["content"], { type: T }>;

/** The session's one artifact of this kind. */
export function artifactOf<T extends Artifact["content"]["type"]>(
  snapshot: SessionSnapshot,
  type: T,
): { turnId: string; content: ArtifactOf<T> } | undefined {
  const found = snapshot.artifacts.findLast((artifact) => artifact.content.type === type);
  return found === undefined ? undefined : { turnId: found.turnId, content: found.content as ArtifactOf<T> };
}
