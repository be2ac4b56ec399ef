/**
 * One WebSocket to a session that comes back by itself: ticket, subscribe, heartbeat, reconnect with full jitter and no limit. Says
 * how far it has read, and asks again when the session skipped frames or knows more than arrived.
 * Knows nothing about the state of the session; `session-store.ts` tells it where to resume and gets every frame.
 */
import type { ClientMessage, ErrorCode, ServerMessage } from "@farhand/protocol";

const SOCKET_PROTOCOL = "farhand.v1";
const PING_EVERY_MS = 25_000;
const PONG_WITHIN_MS = 10_000;
const OPEN_WITHIN_MS = 15_000;
/**
 * A deployment cuts all sockets of a session in the same moment, also those of a thousand people, and none of them knows that it is
 * not alone: over this time they come back evenly, at most a fifth of them in any second.
 */
const BACKOFF_FIRST_MS = 10_000;
const BACKOFF_MAX_MS = 30_000;
/** How long an event that a pong told of may be on its way. */
const PONG_AHEAD_MS = 2000;
/** The limit of the wire: how much is read before the session is told so. */
export const VIEWER_ACK_BYTES = 128 * 1024;
/** What a session that found us too fast, too slow or not understandable is spared at least. */
const BACKOFF_REFUSED_MS = 5000;
const CLOSE_TICKET_INVALID = 4001;
const CLOSE_SESSION_GONE = 4004;
const CLOSE_FRAME_REFUSED = 4008;
const CLOSE_RATE_LIMITED = 4029;
/** A close code of our own choosing for "I hang up"; the session does not look at it. */
const CLOSE_HANG_UP = 4900;

/** Why a connection ended for good. */
export type StopReason = "gone" | "forbidden" | "signed_out";

/** What a connection is doing. */
export type ConnectionStatus =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "waiting" }
  | { state: "stopped"; reason: StopReason };

/** A ticket request that was answered with an error. */
export class TicketRefused extends Error {
  constructor(readonly code: ErrorCode) {
    super(`ticket refused: ${code}`);
  }
}

/** What a connection needs from its surroundings. */
export interface ConnectionOptions {
  /** Address of the session's socket, `wss://…`. */
  url: string;
  /** Gets a ticket; throws `TicketRefused` when the answer is an error, anything else when there was no answer. */
  fetchTicket(signal: AbortSignal): Promise<string>;
  /** Number of the newest event the client has, absent when it has none. */
  since(): number | undefined;
  onMessage(message: ServerMessage): void;
  onStatus(status: ConnectionStatus): void;
  /** Up to date: the moment to send again what was not acknowledged. */
  onLive(): void;
  openSocket?(url: string, protocols: string[]): WebSocket;
  random?(): number;
}

/** How long to wait before attempt `attempt + 1`: anywhere between nothing and a bound that doubles up to 30 s. */
export function backoffMs(attempt: number, random: number): number {
  return Math.round(random * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10)));
}

export class SessionConnection {
  readonly #options: ConnectionOptions;
  #status: ConnectionStatus = { state: "waiting" };
  #socket: WebSocket | null = null;
  /** Everything of one attempt hangs on this signal; aborting it makes late callbacks harmless. */
  #attempt: AbortController | null = null;
  #failures = 0;
  #ticketRefusals = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #pingTimer: ReturnType<typeof setTimeout> | undefined;
  #pongTimer: ReturnType<typeof setTimeout> | undefined;
  #aheadTimer: ReturnType<typeof setTimeout> | undefined;
  /** Not to be disturbed before this moment, whoever wakes us. */
  #notBefore = 0;
  #unacknowledged = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Connects, and keeps connected until `close`. */
  start(): void {
    void this.#connect();
  }

  /** Ends it for good. */
  close(): void {
    this.#hangUp();
    clearTimeout(this.#retryTimer);
  }

  /** The network or the page came back: connect at once, or find out at once whether the socket still lives. */
  wake(): void {
    if (this.#status.state === "waiting" && this.#retryTimer !== undefined) {
      if (Date.now() < this.#notBefore) return;
      this.#failures = 0;
      void this.#connect();
    } else if (this.#status.state === "live") {
      this.#ping();
    }
  }

  /** Whether the frame was handed to a live socket. */
  send(message: ClientMessage): boolean {
    if (this.#status.state !== "live") return false;
    return this.#sendFrame(message);
  }

  /** Asks again for what is missing: since an event, or everything. */
  resubscribe(since: number | undefined): void {
    this.#sendFrame(subscribe(since));
  }

  #sendFrame(message: ClientMessage): boolean {
    this.#socket?.send(JSON.stringify(message));
    return this.#socket !== null;
  }

  async #connect(): Promise<void> {
    this.#hangUp();
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#setStatus({ state: "connecting" });
    // Also bounds the time to the first frame, so that a half-open network cannot hold us.
    this.#pongTimer = setTimeout(() => this.#lost(), OPEN_WITHIN_MS);
    let ticket: string;
    try {
      ticket = await this.#options.fetchTicket(attempt.signal);
    } catch (error) {
      if (attempt.signal.aborted) return;
      const reason = error instanceof TicketRefused ? stopReason(error.code) : null;
      if (reason === null) this.#lost();
      else this.#stop(reason);
      return;
    }
    if (!attempt.signal.aborted) this.#open(ticket, attempt.signal);
  }

  #open(ticket: string, signal: AbortSignal): void {
    const open = this.#options.openSocket ?? ((url, protocols) => new WebSocket(url, protocols));
    const socket = open(this.#options.url, [SOCKET_PROTOCOL, `ticket.${ticket}`]);
    this.#socket = socket;
    socket.addEventListener("open", () => socket.send(JSON.stringify(subscribe(this.#options.since()))), {
      signal,
    });
    socket.addEventListener("message", (event) => this.#receive(event.data), { signal });
    socket.addEventListener("close", (event) => this.#closed(event.code), { signal });
  }

  #receive(data: unknown): void {
    this.#heard();
    if (typeof data !== "string" || data === "pong") return;
    if (data.startsWith("pong ")) {
      this.#compare(Number(data.slice("pong ".length)));
      return;
    }
    const message = JSON.parse(data) as ServerMessage;
    this.#options.onMessage(message);
    this.#acknowledge(data.length);
    if (message.type === "lagging") {
      // What was sent before is applied first, so that only what is missing comes.
      this.resubscribe(this.#options.since());
    } else if (
      this.#status.state !== "live" &&
      (message.type === "snapshot" || message.type === "caught_up")
    ) {
      this.#failures = 0;
      this.#ticketRefusals = 0;
      this.#setStatus({ state: "live" });
      this.#options.onLive();
    }
  }

  /** Counts UTF-16 units: even where each stands for three bytes, the session's window is wider than what is left unsaid. */
  #acknowledge(units: number): void {
    this.#unacknowledged += units;
    if (this.#unacknowledged < VIEWER_ACK_BYTES) return;
    const seq = this.#options.since();
    if (seq === undefined) return;
    this.#unacknowledged = 0;
    this.#sendFrame({ type: "ack", seq });
  }

  /** A quiet session tells its newest number. Events below it that do not come were lost on the way. */
  #compare(newest: number): void {
    clearTimeout(this.#aheadTimer);
    const before = this.#options.since() ?? 0;
    if (!(newest > before)) return;
    this.#aheadTimer = setTimeout(() => {
      const since = this.#options.since() ?? 0;
      if (since >= newest) return;
      if (since > before) this.#compare(newest);
      else this.resubscribe(since);
    }, PONG_AHEAD_MS);
  }

  #closed(code: number): void {
    if (code === CLOSE_SESSION_GONE) {
      this.#stop("gone");
    } else if (code === CLOSE_TICKET_INVALID && this.#ticketRefusals === 0) {
      this.#ticketRefusals += 1;
      void this.#connect();
    } else {
      this.#lost(code === CLOSE_RATE_LIMITED || code === CLOSE_FRAME_REFUSED ? BACKOFF_REFUSED_MS : 0);
    }
  }

  /** Any frame proves that the other side lives. */
  #heard(): void {
    clearTimeout(this.#pongTimer);
    clearTimeout(this.#pingTimer);
    this.#pongTimer = undefined;
    this.#pingTimer = setTimeout(() => this.#ping(), PING_EVERY_MS);
  }

  #ping(): void {
    if (this.#socket === null || this.#pongTimer !== undefined) return;
    this.#socket.send("ping");
    this.#pongTimer = setTimeout(() => this.#lost(), PONG_WITHIN_MS);
  }

  #lost(atLeastMs = 0): void {
    this.#hangUp();
    this.#notBefore = Date.now() + atLeastMs;
    const delay = atLeastMs + backoffMs(this.#failures, (this.#options.random ?? Math.random)());
    this.#failures += 1;
    this.#retryTimer = setTimeout(() => void this.#connect(), delay);
    this.#setStatus({ state: "waiting" });
  }

  #stop(reason: StopReason): void {
    this.#hangUp();
    this.#setStatus({ state: "stopped", reason });
  }

  #hangUp(): void {
    clearTimeout(this.#pingTimer);
    clearTimeout(this.#pongTimer);
    clearTimeout(this.#aheadTimer);
    this.#pingTimer = undefined;
    this.#pongTimer = undefined;
    this.#unacknowledged = 0;
    this.#attempt?.abort();
    this.#attempt = null;
    this.#socket?.close(CLOSE_HANG_UP);
    this.#socket = null;
  }

  #setStatus(status: ConnectionStatus): void {
    this.#status = status;
    this.#options.onStatus(status);
  }
}

function subscribe(since: number | undefined): ClientMessage {
  return since === undefined ? { type: "subscribe" } : { type: "subscribe", since };
}

function stopReason(code: ErrorCode): StopReason | null {
  if (code === "sign_in_required") return "signed_out";
  if (code === "not_found") return "gone";
  if (code === "forbidden") return "forbidden";
  return null;
}
