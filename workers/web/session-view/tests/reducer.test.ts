/** The reducer gives the same state however the events arrive: from the start, from a snapshot in between, doubled. */
import type { SessionEvent } from "@farhand/protocol";
import { describe, expect, it } from "vitest";
import { applyEvent, emptyState, type KnownSnapshot, type SessionState } from "../src/reducer.js";
import { randomHistory } from "./random-history.js";
import { AT, emptySnapshot, ended, numbered, queued, seededRandom, textItem, toolItem } from "./support.js";

function start(): SessionState {
  return { ...emptyState(), snapshot: emptySnapshot() };
}

function apply(state: SessionState, seq: number, event: SessionEvent) {
  return applyEvent(state, { seq, at: AT + seq, event: structuredClone(event) });
}

function applyAll(state: SessionState, events: SessionEvent[]): void {
  for (const event of events) expect(apply(state, state.seq + 1, event)).toBe("applied");
}

describe("a random history", () => {
  for (let seed = 1; seed <= 25; seed += 1) {
    it(`ends the same from any snapshot (seed ${seed})`, () => {
      const { events, queue } = randomHistory(seed, 120);
      const whole = start();
      const snapshots: SessionState[] = [structuredClone(whole)];
      for (const event of events) {
        applyAll(whole, [event]);
        snapshots.push(structuredClone(whole));
      }
      expect(whole.snapshot?.queue).toEqual(queue);
      for (const [at, snapshot] of snapshots.entries()) {
        for (const record of numbered(events).slice(at)) applyEvent(snapshot, structuredClone(record));
        expect(snapshot).toEqual(whole);
      }
    });

    it(`ignores what it has already (seed ${seed})`, () => {
      const random = seededRandom(seed);
      const { events } = randomHistory(seed, 120);
      const once = start();
      applyAll(once, events);
      const doubled = start();
      for (const [index, event] of events.entries()) {
        expect(apply(doubled, index + 1, event)).toBe("applied");
        const old = Math.floor(random() * (index + 1));
        expect(apply(doubled, old + 1, events[old] as SessionEvent)).toBe("duplicate");
      }
      expect(doubled).toEqual(once);
    });
  }
});

describe("what is missing", () => {
  it("is a gap, and nothing changes", () => {
    const state = start();
    expect(apply(state, 2, { type: "title_changed", title: "x" })).toBe("gap");
    expect(state).toEqual(start());
  });

  it("is a gap before the first snapshot", () => {
    expect(apply(emptyState(), 1, { type: "title_changed", title: "x" })).toBe("gap");
  });

  it("is a hole when text in front is missing, and nothing changes", () => {
    const state = start();
    applyAll(state, [{ type: "item_changed", item: textItem("itm_1", "trn_1", "abc") }]);
    const before = structuredClone(state);
    expect(apply(state, 2, { type: "item_appended", itemId: "itm_1", offset: 4, text: "x" })).toBe("hole");
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

describe("the queue", () => {
  const three = ["prm_1", "prm_2", "prm_3"].map(
    (id): SessionEvent => ({ type: "prompt_queued", prompt: queued(id) }),
  );
  const started: SessionEvent = {
    type: "turn_started",
    turn: { id: "trn_1", promptId: "prm_1", attempt: 1, startedAt: AT },
  };
  const after = (...events: SessionEvent[]): KnownSnapshot => {
    const state = start();
    applyAll(state, [...three, ...events]);
    return state.snapshot as KnownSnapshot;
  };
  const prompt = (snapshot: KnownSnapshot, id: string) => snapshot.prompts.find((one) => one.id === id);

  it("grows at its end, and a prompt that was moved stands before another or last", () => {
    expect(after().queue).toEqual(["prm_1", "prm_2", "prm_3"]);
    const moved = (promptId: string, before?: string): string[] =>
      after({ type: "prompt_moved", promptId, by: "usr_1", ...(before && { before }) }).queue;
    expect(moved("prm_3", "prm_1")).toEqual(["prm_3", "prm_1", "prm_2"]);
    expect(moved("prm_1", "prm_3")).toEqual(["prm_2", "prm_1", "prm_3"]);
    expect(moved("prm_1")).toEqual(["prm_2", "prm_3", "prm_1"]);
    expect(moved("prm_2", "prm_9")).toEqual(["prm_1", "prm_3", "prm_2"]);
  });

  it("remembers who edited and who took back", () => {
    const snapshot = after(
      { type: "prompt_edited", promptId: "prm_2", text: "Better", by: "usr_1" },
      { type: "prompt_cancelled", promptId: "prm_3", by: "usr_2" },
    );
    expect(prompt(snapshot, "prm_2")).toEqual(queued("prm_2", { text: "Better", editedBy: "usr_1" }));
    expect(prompt(snapshot, "prm_3")).toEqual(queued("prm_3", { state: "cancelled", cancelledBy: "usr_2" }));
    expect(snapshot.queue).toEqual(["prm_1", "prm_2"]);
  });

  it("gives a prompt to its turn, which remembers who wants its end and adds to the usage", () => {
    const snapshot = after(started, { type: "stop_requested", turnId: "trn_1", by: "usr_2" });
    expect(snapshot.queue).toEqual(["prm_2", "prm_3"]);
    expect(prompt(snapshot, "prm_1")?.state).toBe("running");
    expect(snapshot.turns[0]?.stopRequestedBy).toBe("usr_2");
    const over = after(started, ended("trn_1", "done", 7));
    expect(prompt(over, "prm_1")?.state).toBe("done");
    expect(over.usage.inputTokens).toBe(7);
    expect(over.queue).toEqual(["prm_2", "prm_3"]);
  });

  it("gives steered prompts to the running turn, which ends them with itself", () => {
    const steered: SessionEvent[] = [
      started,
      { type: "prompt_steered", promptId: "prm_3", turnId: "trn_1" },
      { type: "prompt_steered", promptId: "prm_2", turnId: "trn_1" },
    ];
    const running = after(...steered);
    expect(running.queue).toEqual([]);
    expect(prompt(running, "prm_3")).toMatchObject({ state: "running", steeredInto: "trn_1" });
    const done = after(...steered, ended("trn_1", "done"));
    expect(done.prompts.map((one) => one.state)).toEqual(["done", "done", "done"]);
    expect(prompt(done, "prm_3")?.steeredInto).toBe("trn_1");
  });

  it("takes back in front what a lost turn had, its own prompt first, in the order of submission", () => {
    const steered: SessionEvent[] = [
      { type: "prompt_queued", prompt: queued("prm_4") },
      started,
      { type: "prompt_steered", promptId: "prm_4", turnId: "trn_1" },
      { type: "prompt_steered", promptId: "prm_2", turnId: "trn_1" },
    ];
    const again = after(...steered, ended("trn_1", "queued"));
    expect(again.queue).toEqual(["prm_1", "prm_2", "prm_4", "prm_3"]);
    expect(prompt(again, "prm_4")).toEqual(queued("prm_4"));
    const failed = after(...steered, ended("trn_1", "failed"));
    expect(failed.queue).toEqual(["prm_2", "prm_4", "prm_3"]);
    expect(prompt(failed, "prm_1")?.state).toBe("failed");
  });
});

it("roles, archive and title change, and only the newest facts that stand for themselves are kept", () => {
  const state = start();
  applyAll(state, [
    { type: "participant_joined", participant: { userId: "usr_1", login: "x", name: "X", joinedAt: AT } },
    { type: "role_changed", userId: "usr_1", role: "viewer", by: "usr_ada" },
    { type: "session_archived", by: "usr_ada" },
    { type: "title_changed", title: "Totals", by: "usr_1" },
  ]);
  expect(state.snapshot?.participants[0]?.role).toBe("viewer");
  expect(state.snapshot?.session.archivedAt).toBe(AT + 3);
  expect(state.snapshot?.session.title).toBe("Totals");
  applyAll(state, [{ type: "session_unarchived", by: "usr_ada" }]);
  expect(state.snapshot?.session).not.toHaveProperty("archivedAt");
  applyAll(
    state,
    Array.from({ length: 21 }, (): SessionEvent => ({ type: "effect_failed", what: "x", reason: "y" })),
  );
  applyAll(state, [
    { type: "conversation_restored", sandboxId: "sbx_2", from: { type: "digest", turns: 2 } },
  ]);
  expect(state.snapshot?.notices.map((notice) => notice.seq)).toEqual(
    Array.from({ length: 20 }, (_, index) => index + 8),
  );
});

describe("a revised item", () => {
  it("keeps the text that grew and takes everything else", () => {
    const state = start();
    const done = toolItem("itm_1", "trn_1", "");
    if (done.content.type === "tool") done.content.state = { type: "completed", durationMs: 5, exitCode: 0 };
    applyAll(state, [
      { type: "item_changed", item: toolItem("itm_1", "trn_1", "ok\n") },
      { type: "item_changed", item: textItem("itm_2", "trn_1", "Hello") },
      { type: "item_revised", item: done },
      { type: "item_revised", item: textItem("itm_2", "trn_1", "", true) },
      { type: "item_revised", item: textItem("itm_3", "trn_1", "", true) },
    ]);
    expect(state.snapshot?.items).toEqual([
      { ...done, content: { ...done.content, output: "ok\n" } },
      textItem("itm_2", "trn_1", "Hello", true),
    ]);
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
