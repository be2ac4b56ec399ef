/**
 * Prepares a hunk for drawing: line numbers of both sides, and which words of a changed line changed.
 * Pure. The hunks themselves come from the session.
 */
import type { Hunk } from "@farhand/protocol";

/** A stretch of a line; `marked` when it differs from the other side's line. */
export interface LinePiece {
  text: string;
  marked: boolean;
}

export interface NumberedLine {
  kind: "context" | "added" | "removed";
  oldNumber: number | null;
  newNumber: number | null;
  pieces: LinePiece[];
}

/** Changes longer than this are not compared word by word: nobody reads them so, and it costs time. */
const PAIRED_LINES_MAX = 40;

export function numberLines(hunk: Hunk): NumberedLine[] {
  const lines: NumberedLine[] = [];
  let oldNumber = hunk.oldStart;
  let newNumber = hunk.newStart;
  for (const { kind, text } of hunk.lines) {
    lines.push({
      kind,
      oldNumber: kind === "added" ? null : oldNumber,
      newNumber: kind === "removed" ? null : newNumber,
      pieces: [{ text, marked: false }],
    });
    if (kind !== "added") oldNumber += 1;
    if (kind !== "removed") newNumber += 1;
  }
  markWords(lines);
  return lines;
}

/** Two lines beside each other; one side is absent where the other has no counterpart. */
export interface LinePair {
  before: NumberedLine | undefined;
  after: NumberedLine | undefined;
}

/** The lines of a hunk side by side: what was there, and what took its place. */
export function pairLines(lines: readonly NumberedLine[]): LinePair[] {
  const pairs: LinePair[] = [];
  let index = 0;
  while (index < lines.length) {
    const removed = runOf(lines, index, "removed");
    const added = runOf(lines, index + removed.length, "added");
    for (let row = 0; row < Math.max(removed.length, added.length); row += 1) {
      pairs.push({ before: removed[row], after: added[row] });
    }
    index += removed.length + added.length;
    const line = lines[index];
    if (line?.kind !== "context") continue;
    pairs.push({ before: line, after: line });
    index += 1;
  }
  return pairs;
}

/** Pairs the first removed line of each change with its first added line, and so on, and marks what differs. */
function markWords(lines: NumberedLine[]): void {
  let index = 0;
  while (index < lines.length) {
    const removed = runOf(lines, index, "removed");
    const added = runOf(lines, index + removed.length, "added");
    const pairs = Math.min(removed.length, added.length);
    if (pairs <= PAIRED_LINES_MAX) {
      for (let pair = 0; pair < pairs; pair += 1) {
        const before = removed[pair];
        const after = added[pair];
        if (before !== undefined && after !== undefined) markPair(before, after);
      }
    }
    index += Math.max(1, removed.length + added.length);
  }
}

function runOf(lines: readonly NumberedLine[], from: number, kind: NumberedLine["kind"]): NumberedLine[] {
  let end = from;
  while (lines[end]?.kind === kind) end += 1;
  return lines.slice(from, end);
}

function markPair(before: NumberedLine, after: NumberedLine): void {
  const old = words(before.pieces[0]?.text ?? "");
  const now = words(after.pieces[0]?.text ?? "");
  const shortest = Math.min(old.length, now.length);
  let head = 0;
  while (head < shortest && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < shortest - head && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  const same = [...old.slice(0, head), ...old.slice(old.length - tail)].join("").trim().length;
  const longest = Math.max(old.join("").trim().length, now.join("").trim().length);
  // Lines that share little are two different lines; marks on nearly all of both would say nothing.
  if (same * 3 < longest) return;
  before.pieces = split(old, head, tail);
  after.pieces = split(now, head, tail);
}

function words(text: string): string[] {
  return text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) ?? [];
}

function split(parts: string[], head: number, tail: number): LinePiece[] {
  const pieces = [
    { text: parts.slice(0, head).join(""), marked: false },
    { text: parts.slice(head, parts.length - tail).join(""), marked: true },
    { text: parts.slice(parts.length - tail).join(""), marked: false },
  ];
  return pieces.filter((piece) => piece.text !== "");
}
