/** The reducer gives the same state however the events arrive: from the start, from a snapshot in between, doubled. */
import type { SessionEvent } from "@farhand/protocol";
import { describe, expect, it } from "vitest";
import { applyEvent, emptyState, type SessionState } from "../src/reducer.js";
import { AT, emptySnapshot, NO_USAGE, randomHistory, seededRandom, textItem, toolItem } from "./support.js";

function start(): SessionState {
  return { ...emptyState(), snapshot: emptySnapshot() };
}

function applyAll(state: SessionState, events: SessionEvent[]): void {
  for (const event of events) {
    expect(applyEvent(state, state.seq + 1, AT, structuredClone(event))).toBe("applied");
  }
}

describe("a random history", () => {
  for (let seed = 1; seed <= 25; seed += 1) {
    it(`ends the same from any snapshot (seed ${seed})`, () => {
      const events = randomHistory(seed, 80);
      const whole = start();
      const snapshots: SessionState[] = [structuredClone(whole)];
      for (const event of events) {
        applyAll(whole, [event]);
        snapshots.push(structuredClone(whole));
      }
      for (const [at, snapshot] of snapshots.entries()) {
        applyAll(snapshot, events.slice(at));
        expect(snapshot).toEqual(whole);
      }
    });

    it(`ignores what it has already (seed ${seed})`, () => {
      const random = seededRandom(seed);
      const events = randomHistory(seed, 80);
      const once = start();
      applyAll(once, events);
      const doubled = start();
      for (const [index, event] of events.entries()) {
        expect(applyEvent(doubled, index + 1, AT, structuredClone(event))).toBe("applied");
        const old = Math.floor(random() * (index + 1));
        expect(applyEvent(doubled, old + 1, AT, structuredClone(events[old] as SessionEvent))).toBe(
          "duplicate",
        );
      }
      expect(doubled).toEqual(once);
    });
  }
});

describe("what is missing", () => {
  it("is a gap, and nothing changes", () => {
    const state = start();
    expect(applyEvent(state, 2, AT, { type: "title_changed", title: "x" })).toBe("gap");
    expect(state).toEqual(start());
  });

  it("is a gap before the first snapshot", () => {
    expect(applyEvent(emptyState(), 1, AT, { type: "title_changed", title: "x" })).toBe("gap");
  });

  it("is a hole when text in front is missing, and nothing changes", () => {
    const state = start();
    applyAll(state, [{ type: "item_changed", item: textItem("itm_1", "trn_1", "abc") }]);
    const before = structuredClone(state);
    expect(applyEvent(state, 2, AT, { type: "item_appended", itemId: "itm_1", offset: 4, text: "x" })).toBe(
      "hole",
    );
    expect(state).toEqual(before);
  });
});

it("growth of an item that was left out changes nothing", () => {
  const state = start();
  applyAll(state, [{ type: "item_appended", itemId: "itm_2", offset: 5, text: "x" }]);
  expect(state).toEqual({ ...start(), seq: 1 });
});

describe("appended text", () => {
  const append = (have: string, offset: number, text: string): string => {
    const state = start();
    applyAll(state, [
      { type: "item_changed", item: textItem("itm_1", "trn_1", have) },
      { type: "item_appended", itemId: "itm_1", offset, text },
    ]);
    const content = state.snapshot?.items[0]?.content;
    return content?.type === "text" ? content.text : "";
  };

  it("takes only what is new", () => {
    expect(append("abc", 3, "def")).toBe("abcdef");
    expect(append("abcd", 3, "def")).toBe("abcdef");
    expect(append("abcdef", 0, "abc")).toBe("abcdef");
  });

  it("counts in UTF-16 units", () => {
    expect(append("😀", 2, "!")).toBe("😀!");
    expect(append("a😀b", 3, "bc")).toBe("a😀bc");
  });

  it("grows the output of a tool", () => {
    const state = start();
    applyAll(state, [
      { type: "item_changed", item: toolItem("itm_1", "trn_1", "ok\n") },
      { type: "item_appended", itemId: "itm_1", offset: 3, text: "more" },
    ]);
    expect(state.snapshot?.items[0]?.content).toMatchObject({ output: "ok\nmore" });
  });
});

describe("a turn", () => {
  it("moves its prompt, clears the wish to stop, and adds to the usage", () => {
    const state = start();
    applyAll(state, [
      {
        type: "prompt_queued",
        prompt: { id: "prm_1", author: "usr_1", origin: "web", text: "x", submittedAt: AT, state: "queued" },
      },
      { type: "turn_started", turn: { id: "trn_1", promptId: "prm_1", attempt: 1, startedAt: AT } },
      { type: "stop_requested", turnId: "trn_1", by: "usr_2" },
    ]);
    expect(state.snapshot?.prompts[0]?.state).toBe("running");
    expect(state.stopRequested).toEqual({ turnId: "trn_1", by: "usr_2" });
    const end = {
      endedAt: AT,
      outcome: { type: "stopped" as const },
      usage: { ...NO_USAGE, inputTokens: 7 },
    };
    applyAll(state, [{ type: "turn_ended", turnId: "trn_1", end, promptState: "done" }]);
    expect(state.snapshot?.prompts[0]?.state).toBe("done");
    expect(state.snapshot?.turns[0]?.end).toEqual(end);
    expect(state.stopRequested).toBeNull();
    expect(state.snapshot?.usage.inputTokens).toBe(7);
  });
});

it("an event of a newer session keeps the count", () => {
  const state = start();
  applyAll(state, [{ type: "from_the_future" } as unknown as SessionEvent]);
  expect(state).toEqual({ ...start(), seq: 1 });
});

it("keeps the objects of an item that is replaced", () => {
  const state = start();
  applyAll(state, [{ type: "item_changed", item: toolItem("itm_1", "trn_1", "") }]);
  const item = state.snapshot?.items[0];
  const done = toolItem("itm_1", "trn_1", "ok");
  if (done.content.type === "tool") done.content.state = { type: "completed", durationMs: 5, exitCode: 0 };
  applyAll(state, [{ type: "item_changed", item: structuredClone(done) }]);
  expect(state.snapshot?.items[0]).toBe(item);
  expect(item).toEqual(done);
});
