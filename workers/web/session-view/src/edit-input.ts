/**
 * Reads the input of an editing tool as lines to draw: fields of the known agents, or plain text that was written.
 * Agents differ and the input may be cut, so whatever is not understood is `null`.
 * Pure; the input is foreign text.
 */
import type { NumberedLine } from "./diff-lines.js";

const LINES_MAX = 400;

/** What the call removed and added, as far as its input says; `null` when it does not. */
export function editedLines(input: string): NumberedLine[] | null {
  if (input !== "" && !/^\s*[{["]/.test(input)) return within(toLines(input, "added"));
  const fields = parseFields(input);
  const removed = firstText(fields, ["oldString", "old_string"]);
  const added = firstText(fields, ["newString", "new_string", "content"]);
  if (removed === null && added === null) return null;
  return within([...toLines(removed, "removed"), ...toLines(added, "added")]);
}

function within(lines: NumberedLine[]): NumberedLine[] | null {
  return lines.length === 0 || lines.length > LINES_MAX ? null : lines;
}

function parseFields(input: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(input);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function firstText(fields: Record<string, unknown>, names: string[]): string | null {
  for (const name of names) {
    const value = fields[name];
    if (typeof value === "string") return value;
  }
  return null;
}

function toLines(text: string | null, kind: "removed" | "added"): NumberedLine[] {
  if (text === null || text === "") return [];
  return text
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => ({ kind, oldNumber: null, newNumber: null, pieces: [{ text: line, marked: false }] }));
}
