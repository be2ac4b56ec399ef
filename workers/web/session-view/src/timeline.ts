/**
 * Arranges a session's state for reading: which prompts stand in the timeline, which wait below it, which tool calls fold into one
 * row, and in what words a tool call is told. Pure.
 */
import type { Artifact, Item, ItemContent, Prompt, SessionSnapshot, Turn } from "@farhand/protocol";

export type ToolContent = Extract<ItemContent, { type: "tool" }>;

/** A row of a turn: one item, or several reads and searches folded into one. */
export type Row = { type: "item"; id: string; item: Item } | { type: "explored"; id: string; items: Item[] };

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
  const known = TOOLS[tool.name];
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
export function nextPrompt(snapshot: SessionSnapshot): Prompt | undefined {
  if (runningTurn(snapshot) !== undefined) return undefined;
  return snapshot.prompts.find((prompt) => prompt.state === "queued");
}

/** Prompts that wait behind something else, in order. */
export function queuedPrompts(snapshot: SessionSnapshot): Prompt[] {
  const next = nextPrompt(snapshot);
  return snapshot.prompts.filter((prompt) => prompt.state === "queued" && prompt.id !== next?.id);
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
