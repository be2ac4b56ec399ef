/** A session in miniature for tests: builders for its facts, and random sequences of events as a session would record them. */
import type {
  EventRecord,
  Item,
  Prompt,
  PromptState,
  SessionEvent,
  SessionSnapshot,
} from "@farhand/protocol";
import { type KnownSnapshot, knownSnapshot } from "../src/reducer.js";

export const AT = 1_795_000_000_000;
export const NO_USAGE = { inputTokens: 0, outputTokens: 0, cachedTokens: 0, costUsd: 0 };

export function emptySnapshot(): KnownSnapshot {
  return knownSnapshot({
    session: {
      id: "ses_1",
      title: "",
      repository: "acme/shop",
      defaultBranch: "main",
      branch: "farhand/ses_1",
      model: "demo/demo-1",
      createdBy: "usr_ada",
      createdAt: AT,
    },
    participants: [],
    prompts: [],
    turns: [],
    items: [],
    artifacts: [],
    sandbox: { state: "none" },
    usage: { ...NO_USAGE },
  } satisfies SessionSnapshot);
}

export function queued(id: string, more: Partial<Prompt> = {}): Prompt {
  return { id, author: "usr_1", origin: "web", text: `Do ${id}`, submittedAt: AT, state: "queued", ...more };
}

/** The same events with their numbers. */
export function numbered(events: readonly SessionEvent[], from = 1): EventRecord[] {
  return events.map((event, index) => ({ seq: from + index, at: AT + from + index, event }));
}

export function ended(turnId: string, promptState: PromptState, inputTokens = 0): SessionEvent {
  return {
    type: "turn_ended",
    turnId,
    promptState,
    end: {
      endedAt: AT,
      outcome: promptState === "done" ? { type: "completed" } : { type: "failed", reason: "lost" },
      usage: { ...NO_USAGE, inputTokens },
    },
  };
}

export function textItem(id: string, turnId: string, text: string, done = false): Item {
  return { id, turnId, startedAt: AT, content: { type: "text", text, done } };
}

export function toolItem(id: string, turnId: string, output: string): Item {
  return {
    id,
    turnId,
    startedAt: AT,
    content: {
      type: "tool",
      name: "bash",
      title: "npm test",
      input: "{}",
      state: { type: "running" },
      output,
      omittedBytes: 0,
    },
  };
}

/** Small, seeded, good enough for tests (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
