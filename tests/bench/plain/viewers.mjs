/**
 * WebSockets of the plain object: each asleep with it, fed with the same frame each, at most twenty frames a second, within a window
 * of what the client has acknowledged. Knows nothing of turns.
 */

const FRAME_EVERY_MS = 50;
const WINDOW_BYTES = 1024 * 1024;
const FRAME_EVENTS_MAX = 1000;

export class Viewers {
  #ctx;
  /** Subscribed sockets with what they acknowledged; `null` in a fresh object, where the runtime still has them. */
  #watchers = null;
  /** Connections of each user; `null` in a fresh object. */
  #present = null;
  #pending = [];
  #presence = { joined: new Set(), left: new Set() };
  #timer = null;
  #sentAt = 0;
  /** Bytes of all frames so far, and the seq up to which they go: where an acknowledged seq stands in the stream. */
  #streamed = 0;
  #marks = [];

  constructor(ctx) {
    this.#ctx = ctx;
  }

  accept(socket, userId) {
    this.present();
    this.#ctx.acceptWebSocket(socket, [userId]);
    socket.serializeAttachment({ userId, subscribed: false });
    const connections = this.#present.get(userId) ?? 0;
    this.#present.set(userId, connections + 1);
    if (connections === 0) this.#changePresence(userId, "joined", "left");
  }

  close(socket) {
    const { userId } = socket.deserializeAttachment();
    // In a fresh object the runtime still counts the closing socket.
    const connections = (this.present().get(userId) ?? 1) - 1;
    this.#watchers?.delete(socket);
    if (connections > 0) return this.#present.set(userId, connections);
    this.#present.delete(userId);
    this.#changePresence(userId, "left", "joined");
  }

  /** Everything recorded so far was sent to this socket; from now on it gets every frame. */
  subscribe(socket) {
    this.#flushPending();
    const attachment = socket.deserializeAttachment();
    socket.serializeAttachment({ ...attachment, subscribed: true });
    this.#all().set(socket, { acked: this.#streamed, lagging: false });
    send(socket, `{"type":"presence","users":${JSON.stringify([...this.present().keys()])}}`);
  }

  /** The client has read everything up to this event. */
  acknowledge(socket, seq) {
    const watcher = this.#all().get(socket);
    const mark = this.#marks.findLast((known) => known.seq <= seq);
    if (watcher && mark) watcher.acked = Math.max(watcher.acked, mark.streamed);
  }

  /** Sends recorded events, `{seq, at, data}` each: at once when nothing was sent lately, else with the next frame. */
  publish(events) {
    this.#pending.push(...events);
    this.#schedule();
  }

  /** Sends what is not recorded to everyone but its author. */
  tell(message, but) {
    const frame = JSON.stringify(message);
    for (const socket of this.#all().keys()) if (socket !== but) send(socket, frame);
  }

  present() {
    if (!this.#present) {
      this.#present = new Map();
      for (const socket of this.#ctx.getWebSockets()) {
        const { userId } = socket.deserializeAttachment();
        this.#present.set(userId, (this.#present.get(userId) ?? 0) + 1);
      }
    }
    return this.#present;
  }

  #all() {
    if (!this.#watchers) {
      const subscribed = this.#ctx
        .getWebSockets()
        .filter((socket) => socket.deserializeAttachment().subscribed);
      this.#watchers = new Map(subscribed.map((socket) => [socket, { acked: 0, lagging: false }]));
    }
    return this.#watchers;
  }

  #changePresence(userId, how, other) {
    if (!this.#presence[other].delete(userId)) this.#presence[how].add(userId);
    this.#schedule();
  }

  #schedule() {
    if (this.#timer !== null) return;
    const wait = this.#sentAt + FRAME_EVERY_MS - Date.now();
    if (wait <= 0) return this.#flush();
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#flush();
    }, wait);
  }

  #flush() {
    this.#sentAt = Date.now();
    this.#flushPending();
    const { joined, left } = this.#presence;
    if (joined.size + left.size === 0) return;
    this.#presence = { joined: new Set(), left: new Set() };
    this.#send(JSON.stringify({ type: "presence_changed", joined: [...joined], left: [...left] }));
  }

  #flushPending() {
    while (this.#pending.length > 0) {
      const events = this.#pending.splice(0, FRAME_EVENTS_MAX);
      const records = events.map(({ seq, at, data }) => `{"seq":${seq},"at":${at},"event":${data}}`);
      const frame =
        records.length === 1
          ? `{"type":"event",${records[0].slice(1)}`
          : `{"type":"events","events":[${records.join(",")}]}`;
      this.#send(frame, events.at(-1).seq);
    }
  }

  /** Sends one frame to every watcher that keeps up. */
  #send(frame, seq) {
    this.#streamed += frame.length;
    if (seq !== undefined) {
      this.#marks.push({ seq, streamed: this.#streamed });
      if (this.#marks.length > 4096) this.#marks.splice(0, 2048);
    }
    for (const [socket, watcher] of this.#all()) {
      if (watcher.lagging) continue;
      if (this.#streamed - watcher.acked > WINDOW_BYTES) {
        watcher.lagging = true;
        send(socket, '{"type":"lagging"}');
      } else {
        send(socket, frame);
      }
    }
  }
}

/** A socket that cannot be sent to is closing; its close comes by itself. */
export function send(socket, frame) {
  try {
    socket.send(frame);
  } catch {}
}
