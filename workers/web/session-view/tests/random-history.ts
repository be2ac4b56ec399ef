/** Random but believable histories: what a session would record while people and a runner do things to it. */
import type { Item, Restoration, Role, SessionEvent } from "@farhand/protocol";
import { AT, ended, queued, seededRandom, textItem, toolItem } from "./support.js";

const PEOPLE = ["usr_0", "usr_1", "usr_2"] as const;
const PIECES = ["more ", "😀", "\n\n", "**bold** ", "x", "α"] as const;

class Recorder {
  readonly events: SessionEvent[] = [
    { type: "session_created", repository: "acme/shop", createdBy: "usr_0" },
  ];
  readonly #random: () => number;
  #count = 0;
  #turn: { id: string; promptId: string; steered: string[] } | null = null;
  #queue: string[] = [];
  readonly #growing = new Map<string, Item>();

  get queue(): readonly string[] {
    return this.#queue;
  }

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  step(): void {
    this.#count += 1;
    const acts = [
      this.#people,
      this.#session,
      this.#order,
      this.#turns,
      this.#turns,
      this.#items,
      this.#items,
    ];
    for (const event of this.#pick(acts).call(this)) this.events.push(event);
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)] as T;
  }

  #people(): SessionEvent[] {
    const userId = this.#pick(PEOPLE);
    const role = this.#pick<Role>(["owner", "driver", "viewer"]);
    const name = `Name ${this.#count}`;
    return [
      this.#pick<SessionEvent>([
        { type: "participant_joined", participant: { userId, login: "x", name, joinedAt: AT } },
        { type: "role_changed", userId, role, by: "usr_0" },
      ]),
    ];
  }

  #session(): SessionEvent[] {
    const count = this.#count;
    const from = this.#pick<Restoration>([
      { type: "snapshot", snapshotId: "snp_1" },
      { type: "earlier_snapshot", snapshotId: "snp_1", turns: 2 },
      { type: "digest", turns: 3 },
    ]);
    return [
      this.#pick<SessionEvent>([
        { type: "title_changed", title: `Title ${count}`, by: "usr_1" },
        { type: "session_archived", by: "usr_0" },
        { type: "session_unarchived", by: "usr_0" },
        { type: "effect_failed", what: "Opening the pull request", reason: `No ${count}` },
        {
          type: "egress_denied",
          denial: { host: `host${count}.example`, port: 443, reason: "host_not_allowed", count: 1 },
        },
        { type: "conversation_restored", sandboxId: `sbx_${count}`, from },
        { type: "snapshot_taken", snapshotId: `snp_${count}` },
        { type: "sandbox_changed", status: { state: "none" } },
        { type: "sandbox_changed", status: { state: "starting", sandboxId: "sbx_1", step: `step ${count}` } },
        {
          type: "artifact_changed",
          artifact: {
            id: "art_branch",
            turnId: "trn_1",
            changedAt: AT + count,
            content: {
              type: "pull_request",
              number: count,
              url: "https://example.com",
              title: "x",
              author: "usr_1",
              base: "main",
            },
          },
        },
        { type: "from_the_future" } as unknown as SessionEvent,
      ]),
    ];
  }

  #order(): SessionEvent[] {
    const by = this.#pick(PEOPLE);
    const promptId = this.#queue.length > 0 ? this.#pick(this.#queue) : undefined;
    const act = this.#random();
    if (act < 0.4 || promptId === undefined) return this.#submit(by);
    if (act < 0.6) return [{ type: "prompt_edited", promptId, text: `Edited ${this.#count}`, by }];
    const rest = this.#queue.filter((one) => one !== promptId);
    if (act < 0.75) {
      this.#queue = rest;
      return [{ type: "prompt_cancelled", promptId, by }];
    }
    const at = Math.floor(this.#random() * (rest.length + 1));
    const before = rest[at];
    this.#queue = [...rest.slice(0, at), promptId, ...rest.slice(at)];
    return [{ type: "prompt_moved", promptId, by, ...(before === undefined ? {} : { before }) }];
  }

  #submit(by: string): SessionEvent[] {
    const id = `prm_${this.#count}`;
    const steer = this.#turn !== null && this.#random() < 0.5;
    const delivery = steer ? { delivery: "steer" as const } : {};
    const event: SessionEvent = {
      type: "prompt_queued",
      prompt: queued(id, { author: by, submittedAt: AT + this.#count, ...delivery }),
    };
    const [before] = this.#queue;
    if (!steer || before === undefined) {
      this.#queue.push(id);
      return [event];
    }
    this.#queue.unshift(id);
    return [event, { type: "prompt_moved", promptId: id, before, by }];
  }

  #turns(): SessionEvent[] {
    const turn = this.#turn;
    if (turn === null) {
      const promptId = this.#queue.shift();
      if (promptId === undefined) return [];
      this.#turn = { id: `trn_${this.#count}`, promptId, steered: [] };
      const started = { id: this.#turn.id, promptId, attempt: 1, startedAt: AT + this.#count };
      return [{ type: "turn_started", turn: started }];
    }
    const act = this.#random();
    if (act < 0.3) return [{ type: "stop_requested", turnId: turn.id, by: this.#pick(PEOPLE) }];
    const [next] = this.#queue;
    if (act < 0.6 && next !== undefined) {
      this.#queue.shift();
      turn.steered.push(next);
      return [{ type: "prompt_steered", promptId: next, turnId: turn.id }];
    }
    this.#turn = null;
    this.#growing.clear();
    const state = this.#pick(["done", "done", "queued", "failed"] as const);
    // Lost prompts wait again in the order of submission; their ids count it.
    turn.steered.sort((one, other) => Number(one.slice(4)) - Number(other.slice(4)));
    if (state !== "done") this.#queue.unshift(...turn.steered);
    if (state === "queued") this.#queue.unshift(turn.promptId);
    return [ended(turn.id, state, this.#count)];
  }

  #items(): SessionEvent[] {
    if (this.#turn === null) return [];
    const open = [...this.#growing.values()];
    if (open.length === 0 || this.#random() < 0.2) {
      const make = this.#pick([textItem, toolItem]);
      const item = make(`itm_${this.#count}`, this.#turn.id, "α😀 ".slice(0, this.#pick([0, 1, 3, 4])));
      this.#growing.set(item.id, item);
      return [{ type: "item_changed", item: structuredClone(item) }];
    }
    const item = this.#pick(open);
    return this.#random() < 0.2 ? this.#finish(item) : this.#grow(item);
  }

  #grow(item: Item): SessionEvent[] {
    const text = this.#pick(PIECES);
    const { content } = item;
    let offset = 0;
    if (content.type === "text") {
      offset = content.text.length;
      content.text += text;
    } else if (content.type === "tool") {
      offset = content.output.length;
      content.output += text;
    }
    return [{ type: "item_appended", itemId: item.id, offset, text }];
  }

  #finish(item: Item): SessionEvent[] {
    this.#growing.delete(item.id);
    const done = structuredClone(item);
    if (done.content.type === "tool") {
      done.content.state = { type: "completed", durationMs: this.#count };
      done.content.output = "";
    } else if (done.content.type === "text") {
      done.content.done = true;
      done.content.text = "";
    }
    return [{ type: "item_revised", item: done }];
  }
}

/** A history of at least this many events, and the ids of the prompts that wait at its end, in order. */
export function randomHistory(
  seed: number,
  length: number,
): { events: SessionEvent[]; queue: readonly string[] } {
  const recorder = new Recorder(seed);
  while (recorder.events.length < length) recorder.step();
  return { events: recorder.events, queue: recorder.queue };
}
