/**
 * Turns frames of a session into the state that its views read: a Solid store and a few signals. Also settles the outbox, because the
 * same frames say which prompts have arrived. Decides when something is missing; asking for it is the connection's business.
 */
import type { ErrorBody, PromptRequest, ServerMessage, UserId } from "@farhand/protocol";
import { batch, createSignal } from "solid-js";
import { createStore, produce, reconcile } from "solid-js/store";
import type { Outbox } from "./outbox.js";
import { type Applied, applyEvent, emptyState, type SessionState } from "./reducer.js";

/** A refusal to show: the words of the session, and the prompt that it gives back. */
export interface Refusal {
  error: ErrorBody;
  prompt?: PromptRequest;
}

/** What to ask for: the events after the newest one known, or everything. */
export type Missing = "since" | "all";

type EventMessage = Extract<ServerMessage, { type: "event" }>;

export function createFeed(outbox: Outbox) {
  const [state, setState] = createStore<SessionState>(emptyState());
  const [present, setPresent] = createSignal<readonly UserId[]>([]);
  const [unsent, setUnsent] = createSignal(outbox.list());
  const [refusal, setRefusal] = createSignal<Refusal | null>(null);
  const resume = new Resume();

  const settle = (promptId: string): PromptRequest | undefined => {
    const prompt = outbox.settle(promptId);
    if (prompt !== undefined) setUnsent(outbox.list());
    return prompt;
  };
  /** Many events go into one draft: after a long absence there are thousands. */
  const applyEvents = (messages: readonly EventMessage[]): Missing | null => {
    let missing: Missing | null = null;
    setState(
      produce((draft) => {
        for (const { seq, at, event } of messages)
          missing = resume.note(applyEvent(draft, seq, at, event)) ?? missing;
      }),
    );
    for (const { event } of messages) if (event.type === "prompt_queued") settle(event.prompt.id);
    return missing;
  };
  const applyOther = (message: Exclude<ServerMessage, EventMessage>): void => {
    switch (message.type) {
      case "snapshot":
        resume.answered();
        setState("snapshot", reconcile(message.snapshot));
        setState("seq", message.seq);
        for (const prompt of message.snapshot.prompts) settle(prompt.id);
        break;
      case "caught_up":
        resume.answered();
        break;
      case "presence":
        setPresent(message.users);
        break;
      case "prompt_accepted":
        settle(message.promptId);
        break;
      case "rejected": {
        const prompt = message.promptId === undefined ? undefined : settle(message.promptId);
        setRefusal(prompt === undefined ? { error: message.error } : { error: message.error, prompt });
        break;
      }
      case "unknown":
        break;
    }
  };

  return {
    state,
    present,
    unsent,
    refusal,
    /** Applies frames in order; says what is missing. */
    apply(messages: readonly ServerMessage[]): Missing | null {
      let missing: Missing | null = null;
      batch(() => {
        let events: EventMessage[] = [];
        for (const message of messages) {
          if (message.type === "event") {
            events.push(message);
            continue;
          }
          missing = applyEvents(events) ?? missing;
          events = [];
          applyOther(message);
        }
        missing = applyEvents(events) ?? missing;
      });
      return missing;
    },
    /** Puts a prompt into the outbox. */
    add(prompt: PromptRequest): void {
      outbox.add(prompt);
      setUnsent(outbox.list());
      setRefusal(null);
    },
    dismissRefusal: () => setRefusal(null),
    /** Without a connection nobody knows who is there. */
    forgetPresence: () => setPresent([]),
  };
}

/** Asks first only for what is missing, and when that cannot help, for everything. Asks once until an answer is there. */
class Resume {
  #asked: Missing | null = null;

  answered(): void {
    this.#asked = null;
  }

  note(applied: Applied): Missing | null {
    const wanted = applied === "hole" ? "all" : applied === "gap" ? "since" : null;
    if (wanted === null || this.#asked === "all" || this.#asked === wanted) return null;
    this.#asked = wanted;
    return wanted;
  }
}
