/**
 * One session, live, for its views: a connection whose frames go through the feed, once for each picture, and the pages before them.
 * Views read `state` and the signals, and call what people can do. What is done shows up as an event, what is refused at its place.
 */
import type {
  Attachment,
  ClientMessage,
  Effort,
  PromptId,
  PromptRequest,
  Role,
  ServerMessage,
  TurnId,
  UserId,
} from "@farhand/protocol";
import { type Accessor, createSignal, onCleanup } from "solid-js";
import type { ArtifactSource } from "./artifact-source.js";
import { type ConnectionOptions, type ConnectionStatus, SessionConnection } from "./connection.js";
import { createFeed } from "./feed.js";
import { createHistory, type FetchHistory, type History } from "./history.js";
import { newPromptId } from "./ids.js";
import { type KeyValueStore, Outbox } from "./outbox.js";
import { createPlaces, type Places } from "./places.js";
import type { SessionState } from "./reducer.js";
import type { Place, Refusal } from "./refusals.js";
import { createTypingSignal } from "./typing.js";

/** What a session needs from the application around it. */
export interface SessionOptions extends Pick<ConnectionOptions, "fetchTicket" | "openSocket" | "random"> {
  sessionId: string;
  socketUrl: string;
  fetchHistory: FetchHistory;
  artifacts: ArtifactSource;
  /** Where a host that a sandbox was refused can be allowed; absent where there is no such page. */
  allowHostUrl?: (repository: string, host: string) => string;
  /** The address of a place in the conversation; absent where it has none that could be given to others. */
  placeUrl?: (place: number) => string;
  storage: KeyValueStore;
  /** Where prompts written here come from. */
  origin: "web" | "extension";
}

export interface Session {
  id: string;
  state: SessionState;
  history: History;
  places: Places;
  status: Accessor<ConnectionStatus>;
  /** Who looks at the session now. */
  present: Accessor<readonly UserId[]>;
  /** Who writes now; may contain this user, who has another window. */
  typing: Accessor<readonly UserId[]>;
  /** Written here, not yet acknowledged. */
  unsent: Accessor<readonly PromptRequest[]>;
  artifacts: ArtifactSource;
  /** Where a host that a sandbox was refused can be allowed. */
  allowHostUrl(host: string): string | undefined;
  /** The address of a place in the conversation; absent where links cannot be given to others. */
  placeUrl: ((place: number) => string) | undefined;
  refusal(place: Place): Refusal | undefined;
  dismissRefusal(place: Place): void;
  /** `attachments` are what the application around the session lets prompts carry; they are sent as they are. */
  submit(prompt: {
    text: string;
    model?: string | undefined;
    effort?: Effort | undefined;
    steer?: boolean;
    attachments?: readonly Attachment[];
  }): void;
  /** This user pressed a key in the composer. */
  typed(): void;
  loadEarlier(): Promise<void>;
  /** The following are false when there is no connection to send them on. */
  cancel(promptId: PromptId): boolean;
  edit(promptId: PromptId, text: string): boolean;
  /** Puts a waiting prompt before another, or at the end. */
  move(promptId: PromptId, before: PromptId | undefined): boolean;
  setRole(userId: UserId, role: Role): boolean;
  rename(title: string): boolean;
  stop(turnId: TurnId): boolean;
}

/** How often what was not acknowledged is sent again over a connection that lives. */
const SEND_AGAIN_MS = 15_000;

/** Opens a session. Lives as long as the Solid owner that it is called in. */
export function openSession(options: SessionOptions): Session {
  const outbox = new Outbox(options.sessionId, options.storage);
  const places = createPlaces();
  const history = createHistory(async (before, signal) => {
    const page = await options.fetchHistory(before, signal);
    places.addPart(page);
    return page;
  });
  const feed = createFeed(outbox, history, places);
  const [status, setStatus] = createSignal<ConnectionStatus>({ state: "connecting" });
  const frames = oncePerPicture((messages) => {
    const missing = feed.apply(messages);
    if (missing !== null) connection.resubscribe(missing === "since" ? feed.state.seq : undefined);
  });
  const sendUnsent = (): void => {
    for (const prompt of outbox.list()) connection.send({ type: "prompt", prompt });
  };
  const connection: SessionConnection = new SessionConnection({
    ...options,
    url: options.socketUrl,
    since: () => {
      frames.flush();
      return feed.state.snapshot === null ? undefined : feed.state.seq;
    },
    onMessage: frames.add,
    onStatus: (next) => {
      if (next.state !== "live" && status().state === "live") {
        frames.flush();
        feed.disconnected();
      }
      setStatus(next);
    },
    onLive: () => {
      frames.flush();
      sendUnsent();
    },
  });
  // A session that was asked too much looks at nothing for a while; sending again is safe.
  const sendAgain = setInterval(sendUnsent, SEND_AGAIN_MS);
  listenForReturn(() => connection.wake());
  onCleanup(() => {
    clearInterval(sendAgain);
    frames.stop();
    connection.close();
    feed.close();
    history.close();
  });
  connection.start();

  const typing = createTypingSignal(() => connection.send({ type: "typing" }));
  const ask = (place: Place, message: ClientMessage): boolean => {
    if (!connection.send(message)) return false;
    feed.refusals.asked(place);
    return true;
  };
  return {
    id: options.sessionId,
    state: feed.state,
    history,
    places,
    status,
    present: feed.present,
    typing: feed.typing,
    unsent: feed.unsent,
    artifacts: options.artifacts,
    allowHostUrl(host) {
      const repository = feed.state.snapshot?.session.repository;
      return repository === undefined ? undefined : options.allowHostUrl?.(repository, host);
    },
    placeUrl: options.placeUrl,
    refusal: feed.refusals.at,
    dismissRefusal: feed.refusals.dismiss,
    submit: ({ text, model, effort, steer, attachments }) => {
      const prompt: PromptRequest = { id: newPromptId(), text, origin: options.origin };
      if (attachments !== undefined && attachments.length > 0) prompt.attachments = [...attachments];
      if (model !== undefined) prompt.model = model;
      if (effort !== undefined) prompt.effort = effort;
      if (steer === true) prompt.delivery = "steer";
      feed.add(prompt);
      connection.send({ type: "prompt", prompt });
      typing.stopped();
    },
    typed: typing.typed,
    loadEarlier: async () => {
      if (feed.state.snapshot !== null) await history.load(feed.state.snapshot);
    },
    cancel: (promptId) => ask(`prompt:${promptId}`, { type: "cancel_prompt", promptId }),
    edit: (promptId, text) => ask(`prompt:${promptId}`, { type: "edit_prompt", promptId, text }),
    move: (promptId, before) =>
      ask(
        `prompt:${promptId}`,
        before === undefined ? { type: "move_prompt", promptId } : { type: "move_prompt", promptId, before },
      ),
    setRole: (userId, role) => ask(`role:${userId}`, { type: "set_role", userId, role }),
    rename: (title) => ask("title", { type: "rename", title }),
    stop: (turnId) => ask("stop", { type: "stop", turnId }),
  };
}

/** Removes what the browser keeps of a session that is no more: its draft, and prompts that were not sent. */
export function forgetSession(sessionId: string, storage: KeyValueStore): void {
  for (const key of [`farhand.draft.${sessionId}`, `farhand.outbox.${sessionId}`]) {
    try {
      storage.removeItem(key);
    } catch {
      // A forbidden storage has nothing of it.
    }
  }
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
