/**
 * One session, live, for its views: a connection whose frames go through the feed, once for each picture.
 * Views read `state` and the signals, and call `submit`, `cancel` and `stop`.
 */
import type { PromptId, PromptRequest, ServerMessage, TurnId, UserId } from "@farhand/protocol";
import { type Accessor, createSignal, onCleanup } from "solid-js";
import { type ConnectionStatus, SessionConnection } from "./connection.js";
import { createFeed, type Refusal } from "./feed.js";
import { newPromptId } from "./ids.js";
import { type KeyValueStore, Outbox } from "./outbox.js";
import type { SessionState } from "./reducer.js";

/** What a session needs from the application around it. */
export interface SessionOptions {
  sessionId: string;
  socketUrl: string;
  fetchTicket(signal: AbortSignal): Promise<string>;
  storage: KeyValueStore;
  /** Where prompts written here come from. */
  origin: "web" | "extension";
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
  const outbox = new Outbox(options.sessionId, options.storage);
  const feed = createFeed(outbox);
  const [status, setStatus] = createSignal<ConnectionStatus>({ state: "connecting" });
  const frames = oncePerPicture((messages) => {
    const missing = feed.apply(messages);
    if (missing !== null) connection.resubscribe(missing === "since" ? feed.state.seq : undefined);
  });
  const connection: SessionConnection = new SessionConnection({
    url: options.socketUrl,
    fetchTicket: options.fetchTicket,
    since: () => {
      frames.flush();
      return feed.state.snapshot === null ? undefined : feed.state.seq;
    },
    onMessage: frames.add,
    onStatus: (next) => {
      setStatus(next);
      if (next.state !== "live") feed.forgetPresence();
    },
    onLive: () => {
      frames.flush();
      for (const prompt of outbox.list()) connection.send({ type: "prompt", prompt });
    },
  });
  listenForReturn(() => connection.wake());
  onCleanup(() => {
    frames.stop();
    connection.close();
  });
  connection.start();

  return {
    id: options.sessionId,
    state: feed.state,
    status,
    present: feed.present,
    unsent: feed.unsent,
    refusal: feed.refusal,
    dismissRefusal: feed.dismissRefusal,
    submit: (text, model) => {
      const prompt: PromptRequest = { id: newPromptId(), text, origin: options.origin };
      if (model !== undefined) prompt.model = model;
      feed.add(prompt);
      connection.send({ type: "prompt", prompt });
    },
    cancel: (promptId) => connection.send({ type: "cancel_prompt", promptId }),
    stop: (turnId) => connection.send({ type: "stop", turnId }),
  };
}

/** Collects frames and hands them on together, at most once for each picture that the browser draws. */
function oncePerPicture(apply: (messages: readonly ServerMessage[]) => void) {
  let waiting: ServerMessage[] = [];
  let callOff: (() => void) | null = null;
  const flush = (): void => {
    callOff?.();
    callOff = null;
    const messages = waiting;
    waiting = [];
    if (messages.length > 0) apply(messages);
  };
  return {
    add: (message: ServerMessage): void => {
      waiting.push(message);
      callOff ??= soon(flush);
    },
    flush,
    stop: (): void => callOff?.(),
  };
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

/** The network is back, or somebody looks at the page again. */
function listenForReturn(wake: () => void): void {
  const listeners = new AbortController();
  const check = (): void => {
    if (document.visibilityState === "visible") wake();
  };
  window.addEventListener("online", check, { signal: listeners.signal });
  document.addEventListener("visibilitychange", check, { signal: listeners.signal });
  onCleanup(() => listeners.abort());
}
