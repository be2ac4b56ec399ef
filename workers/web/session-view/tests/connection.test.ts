/** The connection comes back from everything but an end, and what was not acknowledged is sent again. */
import type { ClientMessage, ServerMessage } from "@farhand/protocol";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { backoffMs, type ConnectionStatus, SessionConnection, TicketRefused } from "../src/connection.js";
import { Outbox } from "../src/outbox.js";

class FakeSocket extends EventTarget {
  sent: string[] = [];
  closed = false;
  constructor(readonly protocols: string[]) {
    super();
  }
  send(data: string): void {
    this.sent.push(data);
  }
  close(): void {
    this.closed = true;
  }
  opens(): void {
    this.dispatchEvent(new Event("open"));
  }
  says(message: ServerMessage | `pong${string}`): void {
    const data = typeof message === "string" ? message : JSON.stringify(message);
    this.dispatchEvent(Object.assign(new Event("message"), { data }));
  }
  drops(code: number): void {
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }
  messages(): ClientMessage[] {
    return this.sent.filter((one) => one !== "ping").map((one) => JSON.parse(one) as ClientMessage);
  }
}

function setUp(options: { ticket?: () => Promise<string>; since?: number | undefined } = {}) {
  const sockets: FakeSocket[] = [];
  const statuses: ConnectionStatus[] = [];
  const received: ServerMessage[] = [];
  let tickets = 0;
  let live = 0;
  const connection = new SessionConnection({
    url: "wss://farhand.test/api/sessions/ses_1/socket",
    fetchTicket: options.ticket ?? (async () => `t${++tickets}`),
    since: () => options.since,
    onMessage: (message) => received.push(message),
    onStatus: (status) => statuses.push(status),
    onLive: () => {
      live += 1;
    },
    openSocket: (_, protocols) => {
      const socket = new FakeSocket(protocols);
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
    random: () => 1,
  });
  const newest = (): FakeSocket => sockets.at(-1) as FakeSocket;
  const status = (): ConnectionStatus | undefined => statuses.at(-1);
  const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
  const goLive = async (): Promise<FakeSocket> => {
    await settle();
    newest().opens();
    newest().says({ type: "caught_up", seq: 7 });
    return newest();
  };
  return { connection, sockets, statuses, received, newest, status, settle, goLive, lives: () => live };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a connection", () => {
  it("takes a ticket, subscribes and is live with the first answer", async () => {
    const t = setUp({ since: 41 });
    t.connection.start();
    await t.settle();
    expect(t.newest().protocols).toEqual(["farhand.v1", "ticket.t1"]);
    t.newest().opens();
    expect(t.newest().messages()).toEqual([{ type: "subscribe", since: 41 }]);
    expect(t.status()).toEqual({ state: "connecting" });
    t.newest().says({ type: "caught_up", seq: 41 });
    expect(t.status()).toEqual({ state: "live" });
    expect(t.lives()).toBe(1);
  });

  it("subscribes to everything when nothing is known", async () => {
    const t = setUp();
    t.connection.start();
    await t.settle();
    t.newest().opens();
    expect(t.newest().messages()).toEqual([{ type: "subscribe" }]);
  });

  it("comes back after a loss, ever later, without end, with a new ticket", async () => {
    const t = setUp();
    t.connection.start();
    await t.goLive();
    for (const delay of [10_000, 20_000, 30_000, 30_000, 30_000]) {
      const count = t.sockets.length;
      t.newest().drops(1006);
      expect(t.status()).toEqual({ state: "waiting" });
      await t.settle(delay - 1);
      expect(t.sockets.length).toBe(count);
      await t.settle(1);
      expect(t.sockets.length).toBe(count + 1);
      expect(t.newest().protocols[1]).toBe(`ticket.t${count + 1}`);
    }
    await t.goLive();
    t.newest().drops(1006);
    const count = t.sockets.length;
    await t.settle(10_000);
    expect(t.sockets.length).toBe(count + 1);
  });

  it("gets a new ticket at once when the old one was refused, then waits", async () => {
    const t = setUp();
    t.connection.start();
    await t.settle();
    t.newest().drops(4001);
    await t.settle();
    expect(t.sockets.length).toBe(2);
    t.newest().drops(4001);
    await t.settle();
    expect(t.sockets.length).toBe(2);
    await t.settle(10_000);
    expect(t.sockets.length).toBe(3);
  });

  it("stops when the session is gone", async () => {
    const t = setUp();
    t.connection.start();
    await t.goLive();
    t.newest().drops(4004);
    await t.settle(600_000);
    expect(t.status()).toEqual({ state: "stopped", reason: "gone" });
    expect(t.sockets.length).toBe(1);
  });

  it.each([
    ["sign_in_required", "signed_out"],
    ["not_found", "gone"],
    ["forbidden", "forbidden"],
  ] as const)("stops when a ticket is refused with %s", async (code, reason) => {
    const t = setUp({ ticket: async () => Promise.reject(new TicketRefused(code)) });
    t.connection.start();
    await t.settle(600_000);
    expect(t.status()).toEqual({ state: "stopped", reason });
    expect(t.sockets.length).toBe(0);
  });

  it("goes on when the edge does not answer", async () => {
    let tries = 0;
    const t = setUp({
      ticket: async () => {
        tries += 1;
        if (tries < 3) throw tries === 1 ? new TypeError("no network") : new TicketRefused("unavailable");
        return "t";
      },
    });
    t.connection.start();
    await t.settle(10_000 + 20_000);
    expect(tries).toBe(3);
    expect(t.sockets.length).toBe(1);
  });

  it("pings every 25 s and hangs up when no pong comes within 10 s", async () => {
    const t = setUp();
    t.connection.start();
    const socket = await t.goLive();
    await t.settle(25_000);
    expect(socket.sent.at(-1)).toBe("ping");
    await t.settle(9_999);
    socket.says("pong");
    await t.settle(25_000);
    expect(socket.sent.filter((one) => one === "ping").length).toBe(2);
    expect(t.status()).toEqual({ state: "live" });
    await t.settle(10_000);
    expect(socket.closed).toBe(true);
    expect(t.status()).toEqual({ state: "waiting" });
    expect(t.received).toEqual([{ type: "caught_up", seq: 7 }]);
  });

  it("gives up an attempt that never answers", async () => {
    const t = setUp();
    t.connection.start();
    await t.settle(15_000);
    expect(t.sockets[0]?.closed).toBe(true);
    expect(t.status()).toEqual({ state: "waiting" });
    await t.settle(10_000);
    expect(t.sockets.length).toBe(2);
  });

  it("connects at once when the network is back, and tests a socket that seems alive", async () => {
    const t = setUp();
    t.connection.start();
    await t.goLive();
    t.connection.wake();
    expect(t.newest().sent.at(-1)).toBe("ping");
    t.newest().drops(1006);
    t.connection.wake();
    await t.settle();
    expect(t.sockets.length).toBe(2);
  });

  it("hears nothing from an attempt that is over", async () => {
    const t = setUp();
    t.connection.start();
    const first = await t.goLive();
    first.drops(1006);
    await t.settle(10_000);
    first.says({ type: "caught_up", seq: 9 });
    first.drops(4004);
    expect(t.status()).toEqual({ state: "connecting" });
    expect(t.received.length).toBe(1);
  });

  it("says how far it has read, each 128 KiB", async () => {
    const options = { since: 7 };
    const t = setUp(options);
    t.connection.start();
    const socket = await t.goLive();
    const text = "x".repeat(60 * 1024);
    const frame = (seq: number): ServerMessage => ({
      type: "event",
      seq,
      at: 0,
      event: { type: "title_changed", title: text },
    });
    for (const seq of [8, 9]) socket.says(frame(seq));
    expect(socket.messages().filter((one) => one.type === "ack")).toEqual([]);
    options.since = 10;
    socket.says(frame(10));
    expect(socket.messages().at(-1)).toEqual({ type: "ack", seq: 10 });
    for (const seq of [11, 12]) socket.says(frame(seq));
    expect(socket.messages().filter((one) => one.type === "ack").length).toBe(1);
  });

  it("subscribes again from what it has when the session skipped frames", async () => {
    const options = { since: 7 };
    const t = setUp(options);
    t.connection.start();
    const socket = await t.goLive();
    options.since = 12;
    socket.says({ type: "lagging" });
    expect(socket.messages().at(-1)).toEqual({ type: "subscribe", since: 12 });
    expect(t.status()).toEqual({ state: "live" });
  });

  it("asks for what a pong tells of and what does not come", async () => {
    const options = { since: 7 };
    const t = setUp(options);
    t.connection.start();
    const socket = await t.goLive();
    socket.says("pong 7");
    socket.says("pong garbled");
    await t.settle(5000);
    expect(socket.messages()).toEqual([{ type: "subscribe", since: 7 }]);
    socket.says("pong 9");
    await t.settle(1000);
    options.since = 9;
    await t.settle(5000);
    expect(socket.messages().length).toBe(1);
    socket.says("pong 11");
    await t.settle(2000);
    expect(socket.messages().at(-1)).toEqual({ type: "subscribe", since: 9 });
  });

  it.each([
    [4009, 10_000],
    [4029, 15_000],
    [4008, 15_000],
  ])("comes back after close code %i, and not before its time", async (code, delay) => {
    const t = setUp();
    t.connection.start();
    await t.goLive();
    t.newest().drops(code);
    expect(t.status()).toEqual({ state: "waiting" });
    if (delay > 10_000) t.connection.wake();
    await t.settle(delay - 1);
    expect(t.sockets.length).toBe(1);
    await t.settle(1);
    expect(t.sockets.length).toBe(2);
  });

  it("is silent after its end", async () => {
    const t = setUp();
    t.connection.start();
    const socket = await t.goLive();
    t.connection.close();
    await t.settle(600_000);
    expect(socket.closed).toBe(true);
    expect(t.sockets.length).toBe(1);
    expect(t.connection.send({ type: "stop", turnId: "trn_1" })).toBe(false);
  });
});

it("waits anywhere between nothing and the bound", () => {
  expect([backoffMs(0, 0), backoffMs(0, 1), backoffMs(1, 0.5), backoffMs(50, 1)]).toEqual([
    0, 10_000, 10_000, 30_000,
  ]);
});

describe("a thousand clients that lose their sockets in the same moment", () => {
  const CLIENTS = 1000;
  /** Numbers that are the same each time (mulberry32). */
  const random = (seed: number) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  /** The moments of all tries, when the edge is away for so long. */
  const tries = (awayMs: number, seed: number): number[] => {
    const next = random(seed);
    const moments: number[] = [];
    for (let client = 0; client < CLIENTS; client += 1) {
      let at = 0;
      for (let attempt = 0; attempt === 0 || at < awayMs; attempt += 1) {
        at += backoffMs(attempt, next());
        moments.push(at);
      }
    }
    return moments.sort((a, b) => a - b);
  };
  /** The largest number of tries in any second, wherever it begins. */
  const peak = (moments: number[]): number => {
    let most = 0;
    for (let first = 0, last = 0; last < moments.length; last += 1) {
      while ((moments[last] as number) - (moments[first] as number) >= 1000) first += 1;
      most = Math.max(most, last - first + 1);
    }
    return most;
  };

  it.each([0, 100, 500, 1000, 2000, 5000, 10_000, 30_000, 120_000])(
    "come at most a fifth at a time when the edge is back after %i ms",
    (awayMs) => {
      for (let seed = 1; seed <= 20; seed += 1) {
        expect(peak(tries(awayMs, seed)), `seed ${seed}`).toBeLessThanOrEqual(CLIENTS / 5);
      }
    },
  );
});

describe("the outbox", () => {
  const memory = () => {
    const map = new Map<string, string>();
    return {
      getItem: (key: string) => map.get(key) ?? null,
      setItem: (key: string, value: string) => void map.set(key, value),
      removeItem: (key: string) => void map.delete(key),
    };
  };
  const prompt = (id: string) => ({ id, text: `text of ${id}`, origin: "web" as const });

  it("keeps prompts over a reload until they are acknowledged, each once", () => {
    const store = memory();
    const outbox = new Outbox("ses_1", store);
    outbox.add(prompt("prm_1"));
    outbox.add(prompt("prm_1"));
    outbox.add(prompt("prm_2"));
    const reloaded = new Outbox("ses_1", store);
    expect(reloaded.list()).toEqual([prompt("prm_1"), prompt("prm_2")]);
    expect(reloaded.settle("prm_1")).toEqual(prompt("prm_1"));
    expect(reloaded.settle("prm_1")).toBeUndefined();
    expect(new Outbox("ses_1", store).list()).toEqual([prompt("prm_2")]);
    expect(new Outbox("ses_2", store).list()).toEqual([]);
  });

  it("survives a storage that is broken or full", () => {
    const store = {
      getItem: () => "{not json",
      setItem: () => {
        throw new Error("full");
      },
      removeItem: () => undefined,
    };
    const outbox = new Outbox("ses_1", store);
    outbox.add(prompt("prm_1"));
    expect(outbox.list()).toEqual([prompt("prm_1")]);
  });

  it("is sent again with the same ids after a loss", async () => {
    const store = memory();
    const outbox = new Outbox("ses_1", store);
    const sockets: FakeSocket[] = [];
    const connection: SessionConnection = new SessionConnection({
      url: "wss://farhand.test/x",
      fetchTicket: async () => "t",
      since: () => undefined,
      onMessage: (message) => {
        if (message.type === "prompt_accepted") outbox.settle(message.promptId);
      },
      onStatus: () => undefined,
      onLive: () => {
        for (const one of outbox.list()) connection.send({ type: "prompt", prompt: one });
      },
      openSocket: (_, protocols) => {
        const socket = new FakeSocket(protocols);
        sockets.push(socket);
        return socket as unknown as WebSocket;
      },
      random: () => 1,
    });
    connection.start();
    outbox.add(prompt("prm_1"));
    await vi.advanceTimersByTimeAsync(0);
    sockets[0]?.opens();
    sockets[0]?.says({ type: "caught_up", seq: 0 });
    expect(sockets[0]?.messages().at(-1)).toEqual({ type: "prompt", prompt: prompt("prm_1") });
    sockets[0]?.drops(1006);
    await vi.advanceTimersByTimeAsync(10_000);
    sockets[1]?.opens();
    sockets[1]?.says({ type: "caught_up", seq: 0 });
    expect(sockets[1]?.messages().at(-1)).toEqual({ type: "prompt", prompt: prompt("prm_1") });
    sockets[1]?.says({ type: "prompt_accepted", promptId: "prm_1", seq: 1 });
    sockets[1]?.drops(1006);
    await vi.advanceTimersByTimeAsync(10_000);
    sockets[2]?.opens();
    sockets[2]?.says({ type: "caught_up", seq: 1 });
    expect(sockets[2]?.messages()).toEqual([{ type: "subscribe" }]);
  });
});
