/**
 * The session object as one would write it in plain JavaScript: what the benchmarks compare the Rust object with.
 *
 * It does the same job over the same calls and frames (`session::call`, `protocol::client`, `protocol::bridge`) as far as the
 * benchmarks reach: create, prompt, sandbox, turns with their items, resumable viewers, presence, acknowledged windows, outbox, index,
 * lease. Roles, queue editing, steering, snapshots, archive and tool output beyond its limit are left out, and its requests to the
 * bridge are not signed.
 */

import { DurableObject } from "cloudflare:workers";
import { Refusal, readBatch, readPrompt } from "./input.mjs";
import { openItems, translate } from "./items.mjs";
import { Store } from "./store.mjs";
import { send, Viewers } from "./viewers.mjs";

const LEASE_MS = 60_000;
const CLIENT_FRAME_BYTES_MAX = 256 * 1024;

const UPSERT_INDEX = `
INSERT INTO sessions (session_id, title, repository, created_by, created_by_name, created_at, updated_at, activity, seq)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (session_id) DO UPDATE SET title = excluded.title,
updated_at = excluded.updated_at, activity = excluded.activity, seq = excluded.seq WHERE excluded.seq >= sessions.seq`;

export class SessionObject extends DurableObject {
  #store;
  #viewers;
  /** What SQLite has, as of the last commit; `undefined` in a fresh object. */
  #session;
  #snapshot = { seq: -1, frame: "" };
  #draining = false;
  #alarmAt = 0;

  constructor(ctx, env) {
    super(ctx, env);
    this.#store = new Store(ctx.storage);
    this.#viewers = new Viewers(ctx);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }

  async fetch(request) {
    const { pathname } = new URL(request.url);
    try {
      switch (`${request.method} ${pathname}`) {
        case "POST /create":
          return this.#create(await request.json());
        case "POST /message": {
          const { author, prompt } = await request.json();
          return Response.json(this.#submit(author, prompt), { status: 202 });
        }
        case "GET /status":
          return Response.json(this.#status());
        case "GET /socket":
          return this.#open(request);
        case "POST /attached":
          return Response.json(this.#attach(await request.json()));
        case "POST /events":
          return Response.json(this.#take(readBatch(await request.json())));
        default:
          throw new Refusal(404, "not_found", "a session has no such call");
      }
    } catch (error) {
      if (error instanceof Refusal) return Response.json(error.body, { status: error.status });
      this.#session = undefined;
      throw error;
    }
  }

  #require() {
    this.#session ??= this.#store.load();
    if (!this.#session) throw new Refusal(404, "not_found", "there is no such session");
    return this.#session;
  }

  /** Makes one change: writes its events and everything else in one transaction, then sends. */
  #commit(change) {
    const session = this.#require();
    const at = Date.now();
    const events = [];
    const record = (event) => {
      session.seq += 1;
      events.push({ seq: session.seq, at, type: event.type, data: JSON.stringify(event) });
      return session.seq;
    };
    let result;
    try {
      this.#store.transaction(() => {
        result = change(session, record, at);
        if (events.length > 0) {
          this.#store.insertEvents(events.map(({ seq, type, data, at }) => [seq, type, data, at]));
        }
      });
    } catch (error) {
      this.#session = undefined;
      throw error;
    }
    if (events.length > 0) this.#viewers.publish(events);
    return result;
  }

  #create({ sessionId, createdBy, repository, cloneUrl, defaultBranch, model, prompt }) {
    if (this.#store.load()) return Response.json({ sessionId }, { status: 201 });
    const createdAt = Date.now();
    const branch = `${this.env.BRANCH_PREFIX ?? "farhand/"}${sessionId.slice(4, 16)}`;
    const title = prompt?.text.split("\n", 1)[0].slice(0, 80) ?? repository;
    this.#store.migrate();
    this.#session = {
      info: {
        id: sessionId,
        title,
        repository,
        defaultBranch,
        branch,
        model,
        createdBy: createdBy.id,
        createdAt,
      },
      sandbox: { generation: 0, cloneUrl, status: { state: "none" } },
      runnerSeq: 0,
      heardAt: createdAt,
      seq: 0,
      users: new Map(),
      queue: [],
      turn: undefined,
    };
    this.#commit((session, record, at) => {
      record({ type: "session_created", repository, createdBy: createdBy.id });
      this.#join(session, record, at, createdBy);
      if (prompt) this.#queue(session, record, at, createdBy, readPrompt(prompt));
      this.#store.saveSession(session);
      this.#store.enqueue("index", "", {}, at);
    });
    this.#drain();
    return Response.json({ sessionId }, { status: 201 });
  }

  #join(session, record, at, user) {
    const known = session.users.get(user.id);
    if (known?.name === user.name && known.login === user.login && known.email === user.email) return;
    session.users.set(user.id, user);
    this.#store.saveParticipant(user, at);
    const participant = { userId: user.id, login: user.login, name: user.name, joinedAt: at };
    if (user.id === session.info.createdBy) participant.role = "owner";
    record({ type: "participant_joined", participant });
  }

  #submit(author, request) {
    const prompt = readPrompt(request);
    const known = this.#require() && this.#store.findPrompt(prompt.id);
    if (known) {
      if (known.prompt.text !== prompt.text || known.prompt.author !== author.id) {
        throw new Refusal(409, "id_conflict", "another prompt has this id");
      }
      return { promptId: prompt.id, seq: known.seq };
    }
    const seq = this.#commit((session, record, at) => {
      this.#join(session, record, at, author);
      const seq = this.#queue(session, record, at, author, prompt);
      this.#startNext(session, record, at);
      this.#store.enqueue("index", "", {}, at);
      return seq;
    });
    this.#drain();
    return { promptId: prompt.id, seq };
  }

  #queue(session, record, at, author, { id, text, model, origin }) {
    const prompt = { id, author: author.id, origin, text, model, submittedAt: at, state: "queued" };
    const seq = record({ type: "prompt_queued", prompt });
    this.#store.insertPrompt(prompt, seq);
    session.queue.push(prompt);
    if (session.sandbox.status.state === "none") this.#orderSandbox(session, record, at);
    return seq;
  }

  #orderSandbox(session, record, at) {
    const { info, sandbox } = session;
    sandbox.generation += 1;
    sandbox.id = `sbx_${crypto.randomUUID()}`;
    session.runnerSeq = 0;
    this.#setStatus(session, record, {
      state: "starting",
      sandboxId: sandbox.id,
      step: "creating the sandbox",
    });
    const repository = { id: info.repository, cloneUrl: sandbox.cloneUrl, defaultBranch: info.defaultBranch };
    const body = { sessionId: info.id, generation: sandbox.generation, repository, branch: info.branch };
    this.#store.enqueue("create_sandbox", `/sandboxes/${sandbox.id}`, body, at);
  }

  #setStatus(session, record, status) {
    session.sandbox.status = status;
    this.#store.saveSession(session);
    record({ type: "sandbox_changed", status });
  }

  /** Starts the next prompt's turn where a sandbox is free for it. */
  #startNext(session, record, at) {
    if (session.turn || session.sandbox.status.state !== "ready" || session.queue.length === 0) return;
    const prompt = session.queue.shift();
    const turn = { id: `trn_${crypto.randomUUID()}`, promptId: prompt.id, attempt: 1, startedAt: at };
    const seq = record({ type: "turn_started", turn });
    session.turn = { ...turn, texts: new Map() };
    this.#store.insertTurn(turn, seq);
    this.#store.setPromptState(prompt.id, "running");
    const { name, email } = session.users.get(prompt.author);
    const order = { turnId: turn.id, attempt: 1, prompt: prompt.text, author: { name, email } };
    const command = { type: "start_turn", turn: { ...order, model: prompt.model ?? session.info.model } };
    const path = `/sandboxes/${session.sandbox.id}/commands/cmd_${crypto.randomUUID()}`;
    this.#store.enqueue("start_turn", path, { generation: session.sandbox.generation, command }, at);
    this.#watch(at);
  }

  #attach({ sandboxId, generation, bridgeUrl }) {
    const { sandbox } = this.#require();
    if (generation !== sandbox.generation || sandboxId !== sandbox.id) throw stale(sandbox.generation);
    return this.#commit((session, _, at) => {
      sandbox.bridgeUrl = bridgeUrl;
      session.heardAt = at;
      this.#store.saveSession(session);
      return { acked: session.runnerSeq };
    });
  }

  /** Takes a batch: each event once, in order, all of them in one transaction. */
  #take(batch) {
    const { sandbox, runnerSeq } = this.#require();
    if (batch.generation !== sandbox.generation || batch.sandboxId !== sandbox.id)
      throw stale(sandbox.generation);
    if (batch.events[0].seq > runnerSeq + 1) {
      const message = `event ${runnerSeq + 1} must come next; send again from there`;
      throw new Refusal(409, "event_gap", message, { expected: runnerSeq + 1 });
    }
    const fresh = batch.events.filter((event) => event.seq > runnerSeq);
    if (fresh.length === 0) return { acked: runnerSeq };
    const acked = this.#commit((session, record, at) => {
      const items = openItems(session.turn, this.#store);
      for (const { event } of fresh) {
        if (!translate(event, items, record)) {
          items.save(record);
          this.#lifecycle(session, record, at, event);
        }
      }
      items.save(record);
      session.runnerSeq = fresh.at(-1).seq;
      session.heardAt = at;
      this.#store.saveProgress(session.runnerSeq, at);
      return session.runnerSeq;
    });
    this.#drain();
    return { acked };
  }

  #lifecycle(session, record, at, event) {
    switch (event.type) {
      case "setup_step":
        return this.#setStatus(session, record, { ...session.sandbox.status, step: event.step });
      case "ready": {
        const description = { provider: "local", isolation: "namespaces", agent: event.agent };
        this.#setStatus(session, record, { state: "ready", sandboxId: session.sandbox.id, description });
        return this.#startNext(session, record, at);
      }
      case "turn_ended": {
        const { turn } = session;
        if (event.turnId !== turn?.id) return;
        const { outcome, change, usage, firstTokenMs } = event;
        const end = { endedAt: at, outcome, change, usage, firstTokenMs };
        record({ type: "turn_ended", turnId: turn.id, end, promptState: "done" });
        this.#store.endTurn(turn.id, end);
        this.#store.setPromptState(turn.promptId, "done");
        session.turn = undefined;
        this.#store.enqueue("index", "", {}, at);
        return this.#startNext(session, record, at);
      }
    }
  }

  #status() {
    const { info, seq, queue, turn, sandbox } = this.#require();
    return {
      session: info,
      seq,
      activity: turn || queue.length > 0 ? "running" : "idle",
      queuedPrompts: queue.length,
      sandbox: sandbox.status,
      artifacts: [],
      usage: { inputTokens: 0, outputTokens: 0, cachedTokens: 0, costUsd: 0 },
    };
  }

  #open(request) {
    this.#require();
    const { user, ticketId, ticketExpiresAt } = JSON.parse(request.headers.get("x-farhand-socket"));
    const [client, server] = Object.values(new WebSocketPair());
    const headers = { "sec-websocket-protocol": "farhand.v1" };
    const isNew = this.#commit((session, record, at) => {
      if (!this.#store.takeTicket(ticketId, ticketExpiresAt, at)) return false;
      this.#join(session, record, at, user);
      return true;
    });
    if (isNew) {
      this.#viewers.accept(server, user.id);
    } else {
      server.accept();
      server.close(4001, "this ticket was used before");
    }
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  webSocketMessage(socket, message) {
    if (typeof message !== "string" || message.length > CLIENT_FRAME_BYTES_MAX)
      return socket.close(4008, "refused");
    let frame;
    try {
      frame = JSON.parse(message);
    } catch {
      return socket.close(4008, "the frame is not JSON");
    }
    try {
      this.#frame(socket, frame);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      send(socket, JSON.stringify({ type: "rejected", promptId: frame.prompt?.id, error: error.body }));
    }
  }

  #frame(socket, frame) {
    const { userId } = socket.deserializeAttachment();
    switch (frame?.type) {
      case "subscribe":
        return this.#subscribe(socket, frame.since);
      case "ack":
        return this.#viewers.acknowledge(socket, frame.seq);
      case "typing":
        return this.#viewers.tell({ type: "typing", userId }, socket);
      case "prompt": {
        const accepted = this.#submit(this.#require().users.get(userId), frame.prompt);
        return send(socket, JSON.stringify({ type: "prompt_accepted", ...accepted }));
      }
      default:
        throw new Refusal(400, "bad_request", "this session does not know such a frame");
    }
  }

  /** Brings a client up to date and makes it a watcher; nothing waits in between. */
  #subscribe(socket, since) {
    const { seq } = this.#require();
    if (Number.isInteger(since) && since >= 0 && since <= seq) {
      this.#store.replay(since, seq, (frame) => send(socket, frame));
      send(socket, `{"type":"caught_up","seq":${seq}}`);
    } else {
      if (this.#snapshot.seq !== seq) {
        const frame = `{"type":"snapshot","seq":${seq},"snapshot":${this.#store.snapshot()}}`;
        this.#snapshot = { seq, frame };
      }
      send(socket, this.#snapshot.frame);
    }
    this.#viewers.subscribe(socket);
  }

  webSocketClose(socket, code) {
    // 1005 and 1006 stand for "no code" and must not be sent.
    try {
      socket.close(code === 1005 || code === 1006 ? 1000 : code, "closed");
    } catch {}
    this.#viewers.close(socket);
  }

  webSocketError(socket) {
    this.#viewers.close(socket);
  }

  /** Sends what must happen outside; what fails is tried again by the alarm. */
  async #drain() {
    if (this.#draining) return;
    this.#draining = true;
    for (const row of this.#store.outbox()) {
      if (row.next_at > Date.now()) {
        this.#arm(row.next_at);
        continue;
      }
      try {
        if (row.key === "index") await this.#updateIndex();
        else await this.#put(row);
        this.#store.finish(row.key);
      } catch (error) {
        const wait = Math.min(1000 * 2 ** row.attempts, 60_000);
        console.warn(`${row.key}: ${error}; again in ${wait} ms`);
        this.#store.delay(row.key, Date.now() + wait);
        this.#arm(Date.now() + wait);
      }
    }
    this.#draining = false;
  }

  async #put({ path, body }) {
    const { sandbox } = this.#require();
    const init = { method: "PUT", body, headers: { "content-type": "application/json" } };
    const response = await fetch((sandbox.bridgeUrl ?? this.env.BRIDGE_URL) + path, init);
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`the bridge answered ${response.status}`);
  }

  async #updateIndex() {
    const { info, seq, turn, queue, users } = this.#require();
    const activity = turn || queue.length > 0 ? "running" : "idle";
    const name = users.get(info.createdBy).name;
    const values = [
      info.id,
      info.title,
      info.repository,
      info.createdBy,
      name,
      info.createdAt,
      Date.now(),
      activity,
    ];
    await this.env.DB.prepare(UPSERT_INDEX)
      .bind(...values, seq)
      .run();
  }

  /** Makes the runtime call at `at`, unless it will earlier. */
  #arm(at) {
    if (this.#alarmAt > Date.now() && this.#alarmAt <= at) return;
    this.#alarmAt = at;
    this.ctx.waitUntil(this.ctx.storage.setAlarm(at));
  }

  #watch(now) {
    this.#arm(now + LEASE_MS);
  }

  alarm() {
    this.#alarmAt = 0;
    const session = this.#require();
    const now = Date.now();
    if (session.turn && now - session.heardAt >= LEASE_MS) {
      this.#commit((current, record, at) => {
        const end = { endedAt: at, outcome: { type: "failed", reason: "the sandbox was silent" }, usage: {} };
        record({ type: "turn_ended", turnId: current.turn.id, end, promptState: "failed" });
        this.#store.endTurn(current.turn.id, end);
        this.#store.setPromptState(current.turn.promptId, "failed");
        current.turn = undefined;
      });
    } else if (session.turn) {
      this.#watch(session.heardAt);
    }
    return this.#drain();
  }
}

function stale(generation) {
  return new Refusal(409, "generation_stale", `the session's sandbox has generation ${generation}`);
}
