/** A session in miniature for tests: builders for its facts, and random sequences of events as a session would record them. */
import type { Item, SessionEvent, SessionSnapshot } from "@farhand/protocol";

export const AT = 1_795_000_000_000;
export const NO_USAGE = { inputTokens: 0, outputTokens: 0, cachedTokens: 0, costUsd: 0 };

export function emptySnapshot(): SessionSnapshot {
  return {
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

/** A believable history: prompts queue, turns run, items grow by appended pieces, artifacts change. */
export function randomHistory(seed: number, length: number): SessionEvent[] {
  const random = seededRandom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const events: SessionEvent[] = [{ type: "session_created", repository: "acme/shop", createdBy: "usr_ada" }];
  const lengths = new Map<string, number>();
  let count = 0;
  let turn: string | null = null;
  const queued: string[] = [];
  const grow: (() => SessionEvent | null)[] = [
    () => ({ type: "title_changed", title: `Title ${count}` }),
    () => ({
      type: "participant_joined",
      participant: { userId: `usr_${count % 3}`, login: "x", name: `Name ${count}`, joinedAt: AT + count },
    }),
    () => {
      queued.push(`prm_${count}`);
      return {
        type: "prompt_queued",
        prompt: {
          id: `prm_${count}`,
          author: "usr_1",
          origin: "web",
          text: `Do ${count}`,
          submittedAt: AT,
          state: "queued",
        },
      };
    },
    () => {
      const promptId = queued.length > 1 ? queued.pop() : undefined;
      return promptId === undefined ? null : { type: "prompt_cancelled", promptId, by: "usr_1" };
    },
    () => {
      const promptId = turn === null ? queued.shift() : undefined;
      if (promptId === undefined) return null;
      turn = `trn_${count}`;
      return { type: "turn_started", turn: { id: turn, promptId, attempt: 1, startedAt: AT + count } };
    },
    () => (turn === null ? null : { type: "stop_requested", turnId: turn, by: "usr_2" }),
    () => {
      if (turn === null) return null;
      const text = "α😀 ".slice(0, Math.floor(random() * 4));
      const id = `itm_${count}`;
      lengths.set(id, text.length);
      return {
        type: "item_changed",
        item: random() < 0.5 ? textItem(id, turn, text) : toolItem(id, turn, text),
      };
    },
    ...Array.from({ length: 6 }, () => (): SessionEvent | null => {
      if (lengths.size === 0) return null;
      const itemId = pick([...lengths.keys()]);
      const offset = lengths.get(itemId) ?? 0;
      const text = pick(["more ", "😀", "\n\n", "**bold** ", "x"]);
      lengths.set(itemId, offset + text.length);
      return { type: "item_appended", itemId, offset, text };
    }),
    () => {
      if (turn === null) return null;
      const turnId = turn;
      turn = null;
      return {
        type: "turn_ended",
        turnId,
        promptState: "done",
        end: {
          endedAt: AT + count,
          outcome: { type: "completed" },
          usage: { inputTokens: count, outputTokens: 1, cachedTokens: 0, costUsd: 0.5 },
        },
      };
    },
    () => ({
      type: "sandbox_changed",
      status: pick([
        { state: "none" },
        { state: "starting", sandboxId: "sbx_1", step: "cloning" },
        { state: "failed", reason: "no" },
      ] as const),
    }),
    () => ({
      type: "artifact_changed",
      artifact: {
        id: "art_diff",
        turnId: "trn_1",
        changedAt: AT + count,
        content: {
          type: "diff",
          files: [
            { path: `a${count}`, status: "added", additions: count, deletions: 0, hunks: [], omitted: true },
          ],
        },
      },
    }),
    () => ({ type: "effect_failed", what: "Opening the pull request", reason: `No ${count}` }),
    () => ({ type: "snapshot_taken", snapshotId: `snp_${count}` }),
  ];
  while (events.length < length) {
    count += 1;
    const event = pick(grow)();
    if (event !== null) events.push(event);
  }
  return events;
}
