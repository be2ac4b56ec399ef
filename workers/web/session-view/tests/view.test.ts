/** Small pure parts: ids, numbers for people, diff lines, folded rows, the reading of editing tools. */
import type { EventRecord, Item, Restoration, Role } from "@farhand/protocol";
import { describe, expect, it } from "vitest";
import { placeAt } from "../src/components/queue-drag.js";
import { numberLines, pairLines } from "../src/diff-lines.js";
import { editedLines } from "../src/edit-input.js";
import {
  formatAge,
  formatBytes,
  formatCost,
  formatCount,
  formatDuration,
  hueOf,
  initials,
  presenceText,
  typingText,
} from "../src/format.js";
import { highlightLine, languageOf } from "../src/highlight.js";
import { newPromptId } from "../src/ids.js";
import { evaluatePermission, roleOf } from "../src/policy.js";
import { applyEvent } from "../src/reducer.js";
import {
  describeTool,
  exploredSummary,
  foldRows,
  isSteering,
  nextPrompt,
  noticeText,
  queuedPrompts,
  timelineEntries,
  turnRows,
} from "../src/timeline.js";
import { AT, emptySnapshot, queued, textItem } from "./support.js";

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
  expect([1, 950, 12_300, 1_400_000].map(formatBytes)).toEqual(["1 byte", "950 bytes", "12.3 kB", "1.4 MB"]);
  expect([0, 0.004, 0.74].map(formatCost)).toEqual(["", "< $0.01", "$0.74"]);
  expect([0, 5, 180, 4000].map((minutes) => formatAge(AT - minutes * 60_000, AT))).toEqual([
    "just now",
    "5m",
    "3h",
    "2d",
  ]);
  expect(["Jo Reyes", "ada", "", "Grace Hopper 😀", "😀", "Élan", "𝒜da"].map(initials)).toEqual([
    "JR",
    "AD",
    "?",
    "GH",
    "?",
    "ÉL",
    "𝒜D",
  ]);
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

it("lines of a hunk stand beside what took their place", () => {
  const kinds = ["context", "removed", "removed", "added", "context", "added", "removed", "context"] as const;
  const lines = kinds.map((kind, index) => ({ kind, text: `${index}` }));
  const pairs = pairLines(numberLines({ oldStart: 1, newStart: 1, heading: "", lines }));
  const text = (line: (typeof pairs)[number]["before"]): string => line?.pieces[0]?.text ?? "";
  expect(pairs.map(({ before, after }) => [text(before), text(after)])).toEqual([
    ["0", "0"],
    ["1", "3"],
    ["2", ""],
    ["4", "4"],
    ["", "5"],
    ["6", ""],
    ["7", "7"],
  ]);
});

it("words that every object has are no words of ours", () => {
  for (const word of ["constructor", "__proto__", "toString"]) {
    expect(languageOf(`src/${word}`)).toBeUndefined();
    expect(highlightLine("x", languageOf(word))).toEqual([{ text: "x", kind: "plain" }]);
    const tool = {
      type: "tool",
      name: word,
      title: "",
      input: "",
      state: { type: "running" },
      output: "",
      omittedBytes: 0,
    } as const;
    expect(describeTool(tool)).toEqual({ kind: "other", verb: word });
    const denial = { host: "x", port: 1, reason: word, count: 1 };
    const record: EventRecord = { seq: 1, at: AT, event: { type: "egress_denied", denial } };
    expect(noticeText(record).text).toBe(`“x:1” was refused (${word}).`);
  }
});

describe("waiting prompts", () => {
  const snapshot = emptySnapshot();
  snapshot.prompts = [queued("prm_1"), queued("prm_2"), queued("prm_3", { delivery: "steer" })];
  snapshot.queue = ["prm_3", "prm_2", "prm_1"];

  it("the first stands in the timeline when nothing runs", () => {
    expect(nextPrompt(snapshot)?.id).toBe("prm_3");
    expect(queuedPrompts(snapshot).map((prompt) => prompt.id)).toEqual(["prm_2", "prm_1"]);
    expect(queuedPrompts(snapshot).some((prompt) => isSteering(snapshot, prompt))).toBe(false);
  });

  it("all wait while a turn runs, and those in front that are meant for it are on their way", () => {
    const busy = { ...snapshot, turns: [{ id: "trn_1", promptId: "prm_0", attempt: 1, startedAt: AT }] };
    expect(nextPrompt(busy)).toBeUndefined();
    expect(queuedPrompts(busy).map((prompt) => prompt.id)).toEqual(["prm_3", "prm_2", "prm_1"]);
    const steering = () => queuedPrompts(busy).filter((prompt) => isSteering(busy, prompt));
    expect(steering().map((prompt) => prompt.id)).toEqual(["prm_3"]);
  });

  it("a prompt that somebody gave a place is not on its way into the turn", () => {
    const now = {
      ...structuredClone(snapshot),
      turns: [{ id: "trn_1", promptId: "prm_0", attempt: 1, startedAt: AT }],
    };
    const event = { type: "prompt_moved", promptId: "prm_3", by: "usr_1", delivery: "queue" } as const;
    expect(applyEvent({ seq: 0, snapshot: now }, { seq: 1, at: AT, event })).toBe("applied");
    expect(queuedPrompts(now).map((prompt) => prompt.id)).toEqual(["prm_2", "prm_1", "prm_3"]);
    expect(queuedPrompts(now).some((prompt) => isSteering(now, prompt))).toBe(false);
  });

  it("are dropped where the dragged one's middle lies", () => {
    const rows = [0, 36, 72].map((top) => ({ top, height: 36 }));
    expect([-200, -40, -17, 0, 17, 19, 40, 200].map((y) => placeAt(rows, 1, y))).toEqual([
      0, 0, 1, 1, 1, 1, 2, 2,
    ]);
    expect(placeAt(rows, 0, 80)).toBe(2);
    expect(placeAt(rows, 2, -80)).toBe(0);
  });
});

describe("a refused connection", () => {
  const text = (reason: string, count: number) =>
    noticeText({
      seq: 1,
      at: AT,
      event: { type: "egress_denied", denial: { host: "example.net", port: 443, reason, count } },
    });

  it("is told with its place and reason", () => {
    expect(text("host_not_allowed", 1)).toEqual({
      level: "warning",
      text: "“example.net:443” is not among the hosts that this sandbox may reach.",
    });
  });

  it("at many places together is told without a port", () => {
    const denial = { host: "other hosts", port: 0, reason: "host_not_allowed", count: 7 };
    expect(noticeText({ seq: 1, at: AT, event: { type: "egress_denied", denial } }).text).toBe(
      "“other hosts” is not among the hosts that this sandbox may reach, 7 times so far.",
    );
  });

  it("is told with the word of a newer bridge, and how often", () => {
    expect(text("moon_phase", 100).text).toBe(
      "“example.net:443” was refused (moon_phase), 100 times so far.",
    );
  });
});

describe("the timeline", () => {
  const turn = (id: string, at: number) => ({ id, promptId: `prm_${id}`, attempt: 1, startedAt: AT + at });
  const notice = (seq: number, at: number): EventRecord => ({
    seq,
    at: AT + at,
    event: { type: "effect_failed", what: "Opening", reason: "no" },
  });

  it("puts what happened beside the turns after the turn that had begun by then", () => {
    const entries = timelineEntries(
      [turn("1", 10), turn("2", 20)],
      [queued("prm_a", { state: "cancelled", submittedAt: AT + 15 }), queued("prm_b")],
      [notice(1, 5), notice(2, 25), notice(3, 12)],
    );
    expect(entries.map((entry) => entry.id)).toEqual(["1", "1", "3", "prm_a", "2", "2"]);
    expect(entries.map((entry) => entry.type)).toEqual([
      "notice",
      "turn",
      "notice",
      "cancelled",
      "turn",
      "notice",
    ]);
  });

  it("shows a steered prompt before what began after it, and folds nothing across it", () => {
    const at = (item: Item, ms: number): Item => ({ ...item, startedAt: AT + ms });
    const items = [
      at(textItem("1", "t", "x"), 1),
      at(textItem("2", "t", "x"), 5),
      at(textItem("3", "t", "x"), 9),
    ];
    const ids = (...times: number[]) =>
      turnRows(
        items,
        times.map((ms) => queued(`prm_${ms}`, { submittedAt: AT + ms })),
      ).map((row) => row.id);
    expect(ids()).toEqual(["1", "2", "3"]);
    expect(ids(3, 5)).toEqual(["1", "prm_3", "2", "prm_5", "3"]);
    expect(ids(0, 20)).toEqual(["prm_0", "1", "2", "3", "prm_20"]);
  });

  it("says from what a conversation was restored", () => {
    const from = (restoration: Restoration) =>
      noticeText({
        seq: 1,
        at: AT,
        event: { type: "conversation_restored", sandboxId: "sbx_1", from: restoration },
      });
    expect(from({ type: "snapshot", snapshotId: "s" }).level).toBe("info");
    expect(from({ type: "earlier_snapshot", snapshotId: "s", turns: 1 }).text).toContain(
      "but the last turn,",
    );
    expect(from({ type: "earlier_snapshot", snapshotId: "s", turns: 4 }).text).toContain("last 4 turns");
    expect(from({ type: "digest", turns: 3 }).text).toContain("a summary of 3 turns");
    expect(noticeText(notice(1, 1))).toEqual({ level: "error", text: "Opening: no" });
  });
});

it("tells who writes, comes and goes", () => {
  expect([["A"], ["A", "B"], ["A", "B", "C"]].map(typingText)).toEqual([
    "A is writing",
    "A and B are writing",
    "A and 2 others are writing",
  ]);
  expect(presenceText(["A", "B"], ["C"])).toBe("A and B joined, C left");
  expect(presenceText(["A", "B", "C"], [])).toBe("3 people joined");
  expect(presenceText([], [])).toBe("");
});

it("offers what the session's table allows", () => {
  const actions = [
    "prompt",
    "order_queue",
    "stop_turn",
    "rename",
    "change_role",
    "archive",
    "delete",
  ] as const;
  const allowed = (role: Role) => actions.filter((action) => evaluatePermission(role, action));
  expect(allowed("owner")).toEqual(actions);
  expect(allowed("driver")).toEqual(["prompt", "order_queue", "stop_turn", "rename"]);
  expect(allowed("viewer")).toEqual([]);
  expect(allowed("unknown")).toEqual([]);
  const snapshot = emptySnapshot();
  expect([roleOf(snapshot, "usr_ada"), roleOf(snapshot, "usr_new")]).toEqual(["owner", "driver"]);
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

describe("a pull request in the timeline", () => {
  const told = (event: EventRecord["event"]) => noticeText({ seq: 1, at: AT, event });
  const review = { id: "review-1", author: "grace", url: "https://code.example", updatedAt: AT };

  it("says what became of it", () => {
    expect(told({ type: "pull_request_changed", number: 7, state: "merged" })).toEqual({
      level: "info",
      text: "Pull request #7 was merged.",
    });
  });

  it("says who said what, where, as plain text", () => {
    const text = " <b>No</b>\n";
    expect(
      told({ type: "review_added", number: 7, review: { ...review, verdict: "changes_requested", text } }),
    ).toEqual({ level: "warning", text: "grace asked for changes: <b>No</b>" });
    expect(
      told({ type: "review_added", number: 7, review: { ...review, verdict: "approved", text: "" } }).text,
    ).toBe("grace approved.");
    const line = { ...review, verdict: "comment", text: "why?", path: "src/total.js", line: 12 } as const;
    expect(told({ type: "review_added", number: 7, review: line }).text).toBe(
      "grace commented on src/total.js:12: why?",
    );
  });
});
