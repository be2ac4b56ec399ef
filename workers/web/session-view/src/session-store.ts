/**
 * The live state of one session for its views: a Solid store fed by a connection through the reducer.
 * Owns the outbox of unsent prompts and decides when to subscribe again. Views call `submit`, `cancel`, `stop`.
 */
import type { ErrorBody, PromptId, PromptRequest, ServerMessage, TurnId, UserId } from "@farhand/protocol";
import { type Accessor, batch, createSignal, onCleanup } from "solid-js";
import { createStore, produce, reconcile } from "solid-js/store";
import { type ConnectionStatus, SessionConnection } from "./connection.js";
import { newPromptId } from "./ids.js";
import { type KeyValueStore, Outbox } from "./outbox.js";
import { type Applied, applyEvent, emptyState, type SessionState } from "./reducer.js";

/** What a session needs from the application around it. */
export interface SessionOptions {
  sessionId: string;
  socketUrl: string;
  fetchTicket(signal: AbortSignal): Promise<string>;
  storage: KeyValueStore;
  /** Where prompts written here come from. */
  origin: "web" | "extension";
}

/** A refusal to show: the words of the session, and the prompt that it gives back. */
export interface Refusal {
  error: ErrorBody;
  prompt?: PromptRequest;
}

export interface Session {
  id: string;
  state: SessionState;
  status: Accessor<ConnectionStatus>;
  /** Who looks at the session now. */
  present: Accessor<readonly UserId[]>;
  /** Written here, not yet acknowledged. */
  unsent: Accessor<readonly PromptRequest[]>;
  refusal: Accessor<Refusal | null>;
  dismissRefusal(): void;
  submit(text: string, model: string | undefined): void;
  /** False when there is no connection to send it on. */
  cancel(promptId: PromptId): boolean;
  stop(turnId: TurnId): boolean;
}

/** Opens a session. Lives as long as the Solid owner that it is called in. */
export function openSession(options: SessionOptions): Session {
  const [state, setState] = createStore<SessionState>(emptyState());
  const [status, setStatus] = createSignal<ConnectionStatus>({ state: "connecting" });
  const [present, setPresent] = createSignal<readonly UserId[]>([]);
  const outbox = new Outbox(options.sessionId, options.storage);
  const [unsent, setUnsent] = createSignal(outbox.list());
  const [refusal, setRefusal] = createSignal<Refusal | null>(null);
  const resume = new Resume();
  let received: ServerMessage[] = [];
  let scheduled: (() => void) | null = null;

  const settle = (promptId: string): PromptRequest | undefined => {
    const prompt = outbox.settle(promptId);
    if (prompt !== undefined) setUnsent(outbox.list());
    return prompt;
  };

  const applyMessage = (message: ServerMessage): Applied => {
    switch (message.type) {
      case "snapshot":
        setState("snapshot", reconcile(message.snapshot));
        setState("seq", message.seq);
        for (const prompt of message.snapshot.prompts) settle(prompt.id);
        return "applied";
      case "event": {
        let applied: Applied = "applied";
        setState(
          produce((draft) => {
            applied = applyEvent(draft, message.seq, message.at, message.event);
          }),
        );
        if (message.event.type === "prompt_queued") settle(message.event.prompt.id);
        return applied;
      }
      case "presence":
        setPresent(message.users);
        return "applied";
      case "prompt_accepted":
        settle(message.promptId);
        return "applied";
      case "rejected": {
        const prompt = message.promptId === undefined ? undefined : settle(message.promptId);
        setRefusal(prompt === undefined ? { error: message.error } : { error: message.error, prompt });
        return "applied";
      }
      default:
        return "applied";
    }
  };

  const flush = (): void => {
    scheduled?.();
    scheduled = null;
    const messages = received;
    received = [];
    batch(() => {
      for (const message of messages) {
        const missing = applyMessage(message);
        const request = resume.next(message, missing);
        if (request !== null) connection.resubscribe(request === "since" ? state.seq : undefined);
      }
    });
  };

  const connection: SessionConnection = new SessionConnection({
    url: options.socketUrl,
    fetchTicket: options.fetchTicket,
    since: () => {
      flush();
      return state.snapshot === null ? undefined : state.seq;
    },
    onMessage: (message) => {
      received.push(message);
      scheduled ??= soon(flush);
    },
    onStatus: (next) => {
      setStatus(next);
      if (next.state !== "live") setPresent([]);
    },
    onLive: () => {
      flush();
      for (const prompt of outbox.list()) connection.send({ type: "prompt", prompt });
    },
  });

  const listeners = new AbortController();
  const wake = (): void => {
    if (document.visibilityState === "visible") connection.wake();
  };
  window.addEventListener("online", wake, { signal: listeners.signal });
  document.addEventListener("visibilitychange", wake, { signal: listeners.signal });
  onCleanup(() => {
    listeners.abort();
    scheduled?.();
    connection.close();
  });
  connection.start();

  return {
    id: options.sessionId,
    state,
    status,
    present,
    unsent,
    refusal,
    dismissRefusal: () => setRefusal(null),
    submit: (text, model) => {
      const prompt: PromptRequest = { id: newPromptId(), text, origin: options.origin };
      if (model !== undefined) prompt.model = model;
      outbox.add(prompt);
      setUnsent(outbox.list());
      setRefusal(null);
      connection.send({ type: "prompt", prompt });
    },
    cancel: (promptId) => connection.send({ type: "cancel_prompt", promptId }),
    stop: (turnId) => connection.send({ type: "stop", turnId }),
  };
}

/** Decides how to get what is missing: first only that, and when this did not help, everything. Asks once until an answer is there. */
class Resume {
  #asked: "since" | "all" | null = null;

  next(message: ServerMessage, applied: Applied): "since" | "all" | null {
    if (message.type === "snapshot" || message.type === "caught_up") {
      this.#asked = null;
      return null;
    }
    if (applied === "applied" || applied === "duplicate" || this.#asked === "all") return null;
    if (applied === "gap" && this.#asked === null) {
      this.#asked = "since";
      return "since";
    }
    if (applied === "hole") {
      this.#asked = "all";
      return "all";
    }
    return null;
  }
}

/** Runs once before the next picture, or soon where the page is hidden and no pictures are made. Returns how to call it off. */
function soon(run: () => void): () => void {
  if (document.visibilityState === "visible") {
    const frame = requestAnimationFrame(run);
    return () => cancelAnimationFrame(frame);
  }
  const timer = setTimeout(run, 100);
  return () => clearTimeout(timer);
}
