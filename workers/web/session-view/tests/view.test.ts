/** Small pure parts: ids, numbers for people, diff lines, folded rows, the reading of editing tools. */
import type { Item } from "@farhand/protocol";
import { describe, expect, it } from "vitest";
import { numberLines } from "../src/diff-lines.js";
import { editedLines } from "../src/edit-input.js";
import { formatAge, formatCost, formatCount, formatDuration, hueOf, initials } from "../src/format.js";
import { highlightLine, languageOf } from "../src/highlight.js";
import { newPromptId } from "../src/ids.js";
import { exploredSummary, foldRows, nextPrompt, queuedPrompts } from "../src/timeline.js";
import { AT, emptySnapshot, textItem } from "./support.js";

it("writes prompt ids as the Rust side does", () => {
  expect(newPromptId(new Uint8Array(16).fill(0xff))).toBe("prm_7zzzzzzzzzzzzzzzzzzzzzzzzz");
  expect(newPromptId()).toMatch(/^prm_[0-9a-hjkmnp-tv-z]{26}$/);
  expect(newPromptId()).not.toBe(newPromptId());
});

it("tells numbers briefly", () => {
  expect([20, 400, 6_400, 42_000, 185_000, 3_840_000].map(formatDuration)).toEqual([
    "0.1 s",
    "0.4 s",
    "6.4 s",
    "42 s",
    "3 min 5 s",
    "1 h 4 min",
  ]);
  expect([950, 12_300, 182_400, 1_400_000].map(formatCount)).toEqual(["950", "12.3k", "182k", "1.4M"]);
  expect([0, 0.004, 0.74].map(formatCost)).toEqual(["", "< $0.01", "$0.74"]);
  expect([0, 5, 180, 4000].map((minutes) => formatAge(AT - minutes * 60_000, AT))).toEqual([
    "just now",
    "5m",
    "3h",
    "2d",
  ]);
  expect([initials("Jo Reyes"), initials("ada"), initials("")]).toEqual(["JR", "AD", "?"]);
  expect(hueOf("usr_1")).toBe(hueOf("usr_1"));
});

describe("diff lines", () => {
  const lines = numberLines({
    oldStart: 20,
    newStart: 18,
    heading: "f",
    lines: [
      { kind: "context", text: "{" },
      { kind: "removed", text: "  cart.discount = rule.amount(cart)" },
      { kind: "removed", text: "  gone" },
      { kind: "added", text: "  cart.total = rule.amount(cart)" },
      { kind: "context", text: "}" },
    ],
  });

  it("number both sides", () => {
    expect(lines.map((line) => [line.oldNumber, line.newNumber])).toEqual([
      [20, 18],
      [21, null],
      [22, null],
      [null, 19],
      [23, 20],
    ]);
  });

  it("mark the words that differ and lose nothing", () => {
    const marked = lines.map((line) =>
      line.pieces
        .filter((piece) => piece.marked)
        .map((piece) => piece.text)
        .join(""),
    );
    expect(marked).toEqual(["", "discount", "", "total", ""]);
    expect(lines.map((line) => line.pieces.map((piece) => piece.text).join(""))[1]).toBe(
      "  cart.discount = rule.amount(cart)",
    );
  });

  it("do not mark lines that share little", () => {
    const two = numberLines({
      oldStart: 1,
      newStart: 1,
      heading: "",
      lines: [
        { kind: "removed", text: "export default function main() {" },
        { kind: "added", text: "import { x } from './y';" },
      ],
    });
    expect(two.every((line) => line.pieces.every((piece) => !piece.marked))).toBe(true);
  });
});

describe("highlightLine", () => {
  const kinds = (text: string, path: string) =>
    highlightLine(text, languageOf(path))
      .filter((token) => token.kind !== "plain")
      .map((token) => [token.kind, token.text.trim()]);

  it("finds key words, calls and comments", () => {
    expect(kinds("const off = sumRules(cart) // new", "a.ts")).toEqual([
      ["keyword", "const"],
      ["function", "sumRules"],
      ["comment", "// new"],
    ]);
    expect(kinds("  # total", "a.py")).toEqual([["comment", "# total"]]);
  });

  it("is not fooled by strings, and loses nothing", () => {
    const line = 'x = "return // no" * y;';
    expect(kinds(line, "a.ts")).toEqual([]);
    expect(
      highlightLine(line, languageOf("a.ts"))
        .map((token) => token.text)
        .join(""),
    ).toBe(line);
  });

  it("leaves unknown languages alone", () => {
    expect(highlightLine("const x", languageOf("LICENSE"))).toEqual([{ text: "const x", kind: "plain" }]);
  });
});

describe("rows", () => {
  const tool = (id: string, name: string): Item => ({
    id,
    turnId: "trn_1",
    startedAt: AT,
    content: {
      type: "tool",
      name,
      title: id,
      input: "",
      state: { type: "completed", durationMs: 1 },
      output: "",
      omittedBytes: 0,
    },
  });

  it("fold neighbouring reads and searches, and nothing else", () => {
    const rows = foldRows([
      tool("1", "read"),
      tool("2", "grep"),
      tool("3", "read"),
      tool("4", "bash"),
      tool("5", "read"),
      textItem("6", "trn_1", "x"),
    ]);
    expect(rows.map((row) => [row.type, row.id])).toEqual([
      ["explored", "1"],
      ["item", "4"],
      ["item", "5"],
      ["item", "6"],
    ]);
    expect(rows[0]?.type === "explored" && exploredSummary(rows[0].items)).toBe("2 files, 1 search");
  });
});

describe("waiting prompts", () => {
  const snapshot = emptySnapshot();
  snapshot.prompts = ["prm_1", "prm_2"].map((id) => ({
    id,
    author: "usr_1",
    origin: "web",
    text: id,
    submittedAt: AT,
    state: "queued",
  }));

  it("the first stands in the timeline when nothing runs", () => {
    expect(nextPrompt(snapshot)?.id).toBe("prm_1");
    expect(queuedPrompts(snapshot).map((prompt) => prompt.id)).toEqual(["prm_2"]);
  });

  it("all wait while a turn runs", () => {
    const busy = { ...snapshot, turns: [{ id: "trn_1", promptId: "prm_0", attempt: 1, startedAt: AT }] };
    expect(nextPrompt(busy)).toBeUndefined();
    expect(queuedPrompts(busy).map((prompt) => prompt.id)).toEqual(["prm_1", "prm_2"]);
  });
});

it("reads what an editing tool changed, and gives up on what it does not know", () => {
  expect(
    editedLines(JSON.stringify({ filePath: "a", oldString: "a\nb\n", newString: "c" }))?.map(
      (line) => line.kind,
    ),
  ).toEqual(["removed", "removed", "added"]);
  expect(editedLines(JSON.stringify({ path: "a", content: "x\ny\n" }))?.length).toBe(2);
  expect(editedLines("plain\ntext")?.map((line) => line.kind)).toEqual(["added", "added"]);
  for (const input of ["", "{cut", "[]", '{"oldString":3}', JSON.stringify({ content: "x\n".repeat(500) })]) {
    expect(editedLines(input)).toBeNull();
  }
});
