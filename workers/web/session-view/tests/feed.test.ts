/**
 * What a client shows follows from the events alone: any schedule of losses, gaps, repeats, snapshots and pages ends in the state of a
 * client that was never away. And what else the feed keeps: presence, typing, refusals.
 */
import type { EventRecord, HistoryPage, PromptRequest, ServerMessage } from "@farhand/protocol";
import { unwrap } from "solid-js/store";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createFeed, type Missing } from "../src/feed.js";
import { createHistory, joinEarlier } from "../src/history.js";
import { Outbox } from "../src/outbox.js";
import { applyEvent, emptyState, type KnownSnapshot, type SessionState } from "../src/reducer.js";
import { createTypingSignal } from "../src/typing.js";
import { randomHistory } from "./random-history.js";
import { AT, emptySnapshot, numbered, queued, seededRandom, textItem, toolItem } from "./support.js";

function memory() {
  const map = new Map<string, string>();
  return {
    getItem: (key: string) => map.get(key) ?? null,
    setItem: (key: string, value: string) => void map.set(key, value),
    removeItem: (key: string) => void map.delete(key),
  };
}

/** Through JSON, as on the wire, so that nobody shares objects. */
function wire<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

/** A session that answers as the real one does, and a client that asks as the real one does. */
class Played {
  readonly feed = createFeed(new Outbox("ses_1", memory()));
  readonly truth: SessionState = { ...emptyState(), snapshot: emptySnapshot() };
  readonly #log: EventRecord[] = [];
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  record(record: EventRecord): void {
    this.#log.push(record);
    applyEvent(this.truth, wire(record));
  }

  /** Frames reach the client, which asks until nothing is missing. */
  deliver(messages: ServerMessage[]): void {
    let missing = this.feed.apply(wire(messages));
    for (let asked = 0; missing !== null; asked += 1) {
      expect(asked).toBeLessThan(4);
      missing = this.feed.apply(wire(this.#answer(missing)));
    }
  }

  subscribe(): void {
    this.feed.disconnected();
    const known = this.feed.state.snapshot !== null;
    // A session may have thrown old events away.
    this.deliver(this.#answer(known && this.#random() < 0.8 ? "since" : "all"));
  }

  #answer(missing: Missing): ServerMessage[] {
    if (missing === "all" || this.feed.state.snapshot === null) {
      return [{ type: "snapshot", seq: this.truth.seq, snapshot: this.truth.snapshot as KnownSnapshot }];
    }
    const missed = this.#log.filter((record) => record.seq > this.feed.state.seq);
    const frames: ServerMessage[] = [];
    while (missed.length > 0) {
      const events = missed.splice(0, 1 + Math.floor(this.#random() * 9));
      const [only] = events;
      if (events.length === 1 && only !== undefined) frames.push({ type: "event", ...only });
      else frames.push({ type: "events", events });
    }
    return [...frames, { type: "caught_up", seq: this.truth.seq }];
  }

  /** Some frames come, some are lost, some come again. */
  chance(fresh: EventRecord[]): void {
    const luck = this.#random();
    if (luck < 0.2) return;
    const events = luck < 0.4 ? this.#log.slice(-fresh.length - 5) : fresh;
    this.deliver([{ type: "events", events }]);
    if (luck > 0.9) this.subscribe();
  }
}

describe("a client that was away", () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    it(`shows what one shows that never was (seed ${seed})`, () => {
      const played = new Played(seed);
      const random = seededRandom(seed + 1000);
      const records = numbered(randomHistory(seed, 150).events);
      if (random() < 0.5) played.subscribe();
      while (records.length > 0) {
        const fresh = records.splice(0, 1 + Math.floor(random() * 6));
        for (const record of fresh) played.record(record);
        played.chance(fresh);
      }
      played.subscribe();
      expect(unwrap(played.feed.state)).toEqual(played.truth);
    });
  }

  it("asks once while it waits, and for everything when only that can help", () => {
    const feed = createFeed(new Outbox("ses_1", memory()));
    const snapshot = emptySnapshot();
    feed.apply([{ type: "snapshot", seq: 4, snapshot }]);
    const later = (seq: number): ServerMessage => ({
      type: "event",
      seq,
      at: AT,
      event: { type: "title_changed", title: `${seq}` },
    });
    expect(feed.apply([later(6)])).toBe("since");
    expect(feed.apply([later(7)])).toBeNull();
    expect(feed.apply([{ type: "caught_up", seq: 7 }])).toBe("all");
    expect(feed.apply([{ type: "snapshot", seq: 7, snapshot }])).toBeNull();
    expect(feed.apply([later(8)])).toBeNull();
    expect(feed.state.snapshot?.session.title).toBe("8");
  });
});

describe("earlier pages", () => {
  /** Cuts a whole state into a snapshot with the newest items, and pages of what it left out; cursors count items. */
  function cut(whole: KnownSnapshot, from: number, pageSize: number) {
    const part = (start: number, end: number): HistoryPage => {
      const items = whole.items.slice(start, end);
      const turnIds = new Set(items.map((item) => item.turnId));
      const turns = whole.turns.filter((turn) => turnIds.has(turn.id));
      const promptIds = new Set(turns.map((turn) => turn.promptId));
      const prompts = whole.prompts.filter((prompt) => promptIds.has(prompt.id));
      return wire({ prompts, turns, items, ...(start > 0 ? { earlier: start } : {}) });
    };
    return {
      snapshot: { ...whole, ...part(from, whole.items.length) },
      page: async (before: number) => part(Math.max(0, before - pageSize), before),
    };
  }

  it("put together give the whole, each thing once, in order, also where a turn was cut in two", async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const random = seededRandom(seed);
      const state: SessionState = { ...emptyState(), snapshot: emptySnapshot() };
      for (const record of numbered(randomHistory(seed, 200).events)) applyEvent(state, record);
      const whole = wire(state.snapshot as KnownSnapshot);
      const from = Math.floor(random() * whole.items.length);
      const { snapshot, page } = cut(whole, from, 1 + Math.floor(random() * 5));
      const asked: number[] = [];
      const history = createHistory(async (before) => {
        asked.push(before);
        return page(before);
      });
      history.align(snapshot.earlier);
      while (history.hasMore(snapshot)) await history.load(snapshot);
      expect(asked).toEqual([...asked].sort((one, other) => other - one));
      const joined = joinEarlier(unwrap(history.earlier), snapshot);
      expect(joined.items).toEqual(whole.items);
      const withItems = new Set(whole.items.map((item) => item.turnId));
      expect(joined.turns).toEqual(whole.turns.filter((turn) => withItems.has(turn.id)));
    }
  });

  it("go on with the running turn, whose oldest items they have", async () => {
    const turns = [{ id: "trn_1", promptId: "prm_1", attempt: 1, startedAt: AT }];
    const history = createHistory(async () => ({
      prompts: [],
      turns,
      items: [toolItem("itm_1", "trn_1", "ok\n"), textItem("itm_2", "trn_1", "Hello", true)],
    }));
    const feed = createFeed(new Outbox("ses_1", memory()), history);
    const snapshot = { ...emptySnapshot(), turns, items: [textItem("itm_3", "trn_1", "x")], earlier: 5 };
    feed.apply([{ type: "snapshot", seq: 10, snapshot }]);
    await history.load(snapshot);
    const done = toolItem("itm_1", "trn_1", "");
    if (done.content.type === "tool") done.content.state = { type: "completed", durationMs: 5 };
    const events = numbered(
      [
        { type: "item_appended", itemId: "itm_1", offset: 3, text: "more" },
        { type: "item_appended", itemId: "itm_3", offset: 1, text: "y" },
        { type: "item_revised", item: done },
        { type: "item_changed", item: textItem("itm_2", "trn_1", "Other", true) },
      ],
      11,
    );
    expect(feed.apply([{ type: "events", events }])).toBeNull();
    expect(feed.apply([{ type: "events", events }])).toBeNull();
    const joined = joinEarlier(unwrap(history.earlier), unwrap(feed.state).snapshot as KnownSnapshot);
    expect(joined.items).toEqual([
      { ...done, content: { ...done.content, output: "ok\nmore" } },
      textItem("itm_2", "trn_1", "Other", true),
      textItem("itm_3", "trn_1", "xy"),
    ]);
  });

  it("are forgotten when another snapshot left out something else, and a late answer too", async () => {
    let answer: (page: HistoryPage) => void = () => undefined;
    const history = createHistory(
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    const snapshot = { ...emptySnapshot(), earlier: 30 };
    history.align(30);
    const loading = history.load(snapshot);
    expect(history.loading()).toBe(true);
    history.align(50);
    expect(history.loading()).toBe(false);
    answer({ prompts: [queued("prm_1")], turns: [], items: [], earlier: 10 });
    await loading;
    expect(history.earlier.prompts).toEqual([]);
    expect(history.hasMore({ ...snapshot, earlier: 50 })).toBe(true);
  });

  it("end with a page that leads nowhere, and a failure can be tried again", async () => {
    let fails = true;
    const history = createHistory(async () => {
      if (fails) throw new Error("busy");
      return { prompts: [], turns: [], items: [], earlier: 30 };
    });
    const snapshot = { ...emptySnapshot(), earlier: 30 };
    await history.load(snapshot);
    expect([history.error(), history.hasMore(snapshot)]).toEqual(["busy", true]);
    fails = false;
    await history.load(snapshot);
    expect([history.error(), history.hasMore(snapshot)]).toEqual([null, false]);
  });
});

describe("what is not recorded", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("presence is a list and then its changes", () => {
    const feed = createFeed(new Outbox("ses_1", memory()));
    feed.apply([{ type: "presence", users: ["usr_1", "usr_2"] }]);
    feed.apply([{ type: "presence_changed", joined: ["usr_3", "usr_2"], left: ["usr_1"] }]);
    expect(feed.present()).toEqual(["usr_2", "usr_3"]);
    feed.disconnected();
    expect(feed.present()).toEqual([]);
  });

  it("typing holds for a moment, and ends with the prompt or the person", () => {
    const feed = createFeed(new Outbox("ses_1", memory()));
    feed.apply([{ type: "snapshot", seq: 0, snapshot: emptySnapshot() }]);
    feed.apply([
      { type: "typing", userId: "usr_1" },
      { type: "typing", userId: "usr_2" },
      { type: "typing", userId: "usr_3" },
    ]);
    vi.advanceTimersByTime(4000);
    feed.apply([{ type: "typing", userId: "usr_3" }]);
    feed.apply([
      { type: "event", seq: 1, at: AT, event: { type: "prompt_queued", prompt: queued("prm_1") } },
      { type: "presence_changed", joined: [], left: ["usr_2"] },
    ]);
    expect(feed.typing()).toEqual(["usr_3"]);
    vi.advanceTimersByTime(4999);
    expect(feed.typing()).toEqual(["usr_3"]);
    vi.advanceTimersByTime(1);
    expect(feed.typing()).toEqual([]);
  });

  it("of this user's typing the session is told every three seconds", () => {
    let said = 0;
    const signal = createTypingSignal(() => {
      said += 1;
      return true;
    });
    for (let second = 0; second < 7; second += 1) {
      signal.typed();
      vi.advanceTimersByTime(1000);
    }
    expect(said).toBe(3);
    signal.stopped();
    signal.typed();
    expect(said).toBe(4);
  });
});

describe("refusals", () => {
  const error = { code: "forbidden" as const, message: "no" };
  const prompt: PromptRequest = { id: "prm_1", text: "x", origin: "web" };

  it("of a prompt give its words back to the composer", () => {
    const feed = createFeed(new Outbox("ses_1", memory()));
    feed.add(prompt);
    expect(feed.unsent()).toEqual([prompt]);
    feed.apply([{ type: "rejected", promptId: "prm_1", error }]);
    expect(feed.unsent()).toEqual([]);
    expect(feed.refusals.at("composer")).toEqual({ error, prompt });
    feed.refusals.dismiss("composer");
    expect(feed.refusals.at("composer")).toBeUndefined();
  });

  it("of anything else stand where it was asked for, in the order of asking", () => {
    const feed = createFeed(new Outbox("ses_1", memory()));
    feed.apply([{ type: "snapshot", seq: 0, snapshot: emptySnapshot() }]);
    feed.refusals.asked("title");
    feed.refusals.asked("role:usr_2");
    feed.apply([
      { type: "event", seq: 1, at: AT, event: { type: "title_changed", title: "T", by: "usr_1" } },
    ]);
    feed.apply([{ type: "rejected", error }]);
    expect(feed.refusals.at("title")).toBeUndefined();
    expect(feed.refusals.at("role:usr_2")).toEqual({ error });
    feed.apply([{ type: "rejected", promptId: "prm_9", error }]);
    expect(feed.refusals.at("prompt:prm_9")).toEqual({ error });
    feed.refusals.asked("prompt:prm_9");
    expect(feed.refusals.at("prompt:prm_9")).toBeUndefined();
  });
});
