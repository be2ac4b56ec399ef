/**
 * Turns frames of a session into the state that its views read: a Solid store and a few signals. Also settles the outbox, because the
 * same frames say which prompts have arrived. Decides when something is missing; asking for it is the connection's business.
 */
import type { EventRecord, PromptRequest, ServerMessage } from "@farhand/protocol";
import { batch, createSignal } from "solid-js";
import { createStore, produce, reconcile } from "solid-js/store";
import { createAudience } from "./audience.js";
import type { History } from "./history.js";
import type { Outbox } from "./outbox.js";
import type { Places } from "./places.js";
import { type Applied, applyEvent, emptyState, knownSnapshot, type SessionState } from "./reducer.js";
import { createRefusals } from "./refusals.js";

/** What to ask for: the events after the newest one known, or everything. */
export type Missing = "since" | "all";

type EventMessage = Extract<ServerMessage, { type: "event" | "events" }>;

/** `pages` hear of what was applied, because they stand before the snapshot; so do `places`. */
export function createFeed(
  outbox: Outbox,
  pages?: Pick<History, "align" | "apply">,
  places?: Pick<Places, "addPart" | "note">,
) {
  const [state, setState] = createStore<SessionState>(emptyState());
  const [unsent, setUnsent] = createSignal(outbox.list());
  const refusals = createRefusals();
  const audience = createAudience();
  const resume = new Resume();

  const settle = (promptId: string): PromptRequest | undefined => {
    const prompt = outbox.settle(promptId);
    if (prompt !== undefined) setUnsent(outbox.list());
    return prompt;
  };
  /** Many events go into one draft: after a long absence there are thousands. */
  const applyEvents = (records: readonly EventRecord[]): Missing | null => {
    if (records.length === 0) return null;
    let missing: Missing | null = null;
    const applied: EventRecord[] = [];
    setState(
      produce((draft) => {
        for (const record of records) {
          const outcome = applyEvent(draft, record);
          if (outcome === "applied") applied.push(record);
          missing = resume.note(outcome) ?? missing;
        }
      }),
    );
    pages?.apply(applied);
    for (const record of applied) {
      const { event } = record;
      places?.note(record);
      refusals.noted(event);
      if (event.type !== "prompt_queued") continue;
      settle(event.prompt.id);
      audience.sent(event.prompt.author);
    }
    return missing;
  };
  const applyOther = (message: Exclude<ServerMessage, EventMessage>): Missing | null => {
    switch (message.type) {
      case "snapshot": {
        resume.answered();
        const snapshot = knownSnapshot(message.snapshot);
        setState("snapshot", reconcile(snapshot));
        setState("seq", message.seq);
        places?.addPart(message.snapshot);
        pages?.align(snapshot.earlier);
        for (const prompt of snapshot.prompts) settle(prompt.id);
        return null;
      }
      case "caught_up":
        resume.answered();
        // Everything missed is said to be here and is not: the events between were lost as well.
        return message.seq > state.seq ? resume.note("hole") : null;
      case "presence":
      case "presence_changed":
      case "typing":
        audience.apply(message);
        return null;
      case "prompt_accepted":
        settle(message.promptId);
        return null;
      case "rejected": {
        const prompt = message.promptId === undefined ? undefined : settle(message.promptId);
        refusals.refused(message.error, message.promptId, prompt);
        return null;
      }
      case "lagging":
      case "unknown":
        return null;
      default:
        // A frame of a newer session.
        return null;
    }
  };

  return {
    state,
    present: audience.present,
    typing: audience.typing,
    unsent,
    refusals,
    /** Applies frames in order; says what is missing. */
    apply(messages: readonly ServerMessage[]): Missing | null {
      let missing: Missing | null = null;
      batch(() => {
        let records: EventRecord[] = [];
        for (const message of messages) {
          if (message.type === "event") {
            records.push(message);
          } else if (message.type === "events") {
            for (const record of message.events) records.push(record);
          } else {
            missing = applyEvents(records) ?? missing;
            records = [];
            missing = applyOther(message) ?? missing;
          }
        }
        missing = applyEvents(records) ?? missing;
      });
      return missing;
    },
    /** Puts a prompt into the outbox. */
    add(prompt: PromptRequest): void {
      outbox.add(prompt);
      setUnsent(outbox.list());
      refusals.dismiss("composer");
    },
    /** Without a connection nobody knows who is there, and nobody answers what was asked. */
    disconnected(): void {
      audience.clear();
      refusals.forgetAsked();
      resume.answered();
    },
    close: audience.clear,
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
