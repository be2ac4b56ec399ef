/**
 * SQL of the plain object. Bulk writes are one statement with one JSON parameter; what clients missed is put together by SQLite and
 * never parsed here. Decides nothing.
 */

import { SCHEMA } from "./schema.mjs";

/** A frame of missed events: at most this many … */
const FRAME_EVENTS_MAX = 1000;
/** … and this large, unless it is a single event. */
const FRAME_BYTES_MAX = 1024 * 1024;

const SNAPSHOT = `
SELECT json_object(
  'session', json(session.info),
  'participants', (SELECT json_group_array(json_object(
    'userId', user_id, 'login', login, 'name', name, 'joinedAt', joined_at)) FROM participants),
  'prompts', (SELECT json_group_array(json(data)) FROM (SELECT
    json_set(data, '$.state', state) AS data FROM prompts ORDER BY seq)),
  'queue', (SELECT json_group_array(prompt_id) FROM (SELECT
    prompt_id FROM prompts WHERE state = 'queued' ORDER BY seq)),
  'turns', (SELECT json_group_array(json(data)) FROM (SELECT
    iif(turn_end IS NULL, data, json_set(data, '$.end', json(turn_end))) AS data FROM turns ORDER BY position)),
  'items', (SELECT json_group_array(json_object('id', item_id, 'turnId', turn_id, 'startedAt', started_at,
    'content', json(content))) FROM (SELECT item_id, turn_id, started_at, CASE content ->> 'type'
      WHEN 'tool' THEN json_set(content, '$.output', text)
      WHEN 'text' THEN json_set(content, '$.text', text)
      WHEN 'reasoning' THEN json_set(content, '$.text', text) ELSE content END AS content
    FROM items ORDER BY position)),
  'artifacts', json('[]'),
  'sandbox', json(session.sandbox -> '$.status'),
  'usage', json('{"inputTokens":0,"outputTokens":0,"cachedTokens":0,"costUsd":0}')
) AS snapshot FROM session`;

export class Store {
  #storage;
  #sql;

  constructor(storage) {
    this.#storage = storage;
    this.#sql = storage.sql;
  }

  migrate() {
    this.#sql.exec(SCHEMA);
  }

  transaction(work) {
    return this.#storage.transactionSync(work);
  }

  /** Everything that the object keeps in memory; `null` where there is no session. */
  load() {
    if (!this.#first("SELECT 1 FROM sqlite_master WHERE name = 'session'")) return null;
    const row = this.#first("SELECT * FROM session");
    if (!row) return null;
    const turn = this.#first("SELECT data, prompt_id FROM turns WHERE turn_end IS NULL");
    return {
      info: JSON.parse(row.info),
      sandbox: JSON.parse(row.sandbox),
      runnerSeq: row.runner_seq,
      heardAt: row.heard_at,
      seq: this.#first("SELECT COALESCE(MAX(seq), 0) AS seq FROM events").seq,
      users: new Map(this.#sql.exec("SELECT * FROM participants").toArray().map(toUser)),
      queue: this.#sql
        .exec("SELECT data FROM prompts WHERE state = 'queued' ORDER BY seq")
        .toArray()
        .map((prompt) => JSON.parse(prompt.data)),
      turn: turn && { ...JSON.parse(turn.data), texts: this.#texts() },
    };
  }

  /** Each text that may still grow. */
  #texts() {
    const rows = this.#sql.exec(
      "SELECT item_id, text FROM items WHERE turn_id = (SELECT turn_id FROM turns WHERE turn_end IS NULL)",
    );
    return new Map(rows.toArray().map((row) => [row.item_id, row.text]));
  }

  #first(query, ...values) {
    return this.#sql.exec(query, ...values).toArray()[0];
  }

  saveSession({ info, sandbox, runnerSeq, heardAt }) {
    this.#sql.exec(
      "INSERT OR REPLACE INTO session (one, info, sandbox, runner_seq, heard_at) VALUES (1, ?, ?, ?, ?)",
      JSON.stringify(info),
      JSON.stringify(sandbox),
      runnerSeq,
      heardAt,
    );
  }

  saveProgress(runnerSeq, heardAt) {
    this.#sql.exec("UPDATE session SET runner_seq = ?, heard_at = ?", runnerSeq, heardAt);
  }

  /** Takes the records of one input, `[seq, type, data, at]` each. */
  insertEvents(records) {
    this.#sql.exec(
      `INSERT INTO events (seq, type, data, at)
       SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)`,
      JSON.stringify(records),
    );
  }

  /** Takes items as they stand, `[id, position, turnId, startedAt, content, text]` each. */
  saveItems(items) {
    this.#sql.exec(
      `INSERT INTO items (item_id, position, turn_id, started_at, content, text)
       SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?) WHERE true
       ON CONFLICT (item_id) DO UPDATE SET content = excluded.content, text = excluded.text`,
      JSON.stringify(items),
    );
  }

  /** Takes what texts grew by, `[id, text]` each. */
  appendTexts(texts) {
    this.#sql.exec(
      `UPDATE items SET text = text || grown.piece FROM (SELECT value ->> 0 AS id, value ->> 1 AS piece
       FROM json_each(?)) AS grown WHERE item_id = grown.id`,
      JSON.stringify(texts),
    );
  }

  saveParticipant(user, joinedAt) {
    this.#sql.exec(
      `INSERT INTO participants (user_id, login, name, email, joined_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE SET login = excluded.login, name = excluded.name, email = excluded.email`,
      user.id,
      user.login,
      user.name,
      user.email,
      joinedAt,
    );
  }

  findPrompt(id) {
    const row = this.#first("SELECT data, seq FROM prompts WHERE prompt_id = ?", id);
    return row && { prompt: JSON.parse(row.data), seq: row.seq };
  }

  insertPrompt(prompt, seq) {
    this.#sql.exec(
      "INSERT INTO prompts (prompt_id, data, state, seq) VALUES (?, ?, 'queued', ?)",
      prompt.id,
      JSON.stringify(prompt),
      seq,
    );
  }

  setPromptState(id, state) {
    this.#sql.exec("UPDATE prompts SET state = ? WHERE prompt_id = ?", state, id);
  }

  insertTurn(turn, position) {
    this.#sql.exec(
      "INSERT INTO turns (turn_id, position, prompt_id, data) VALUES (?, ?, ?, ?)",
      turn.id,
      position,
      turn.promptId,
      JSON.stringify(turn),
    );
  }

  endTurn(id, end) {
    this.#sql.exec("UPDATE turns SET turn_end = ? WHERE turn_id = ?", JSON.stringify(end), id);
  }

  takeTicket(id, expiresAt, now) {
    this.#sql.exec("DELETE FROM tickets WHERE expires_at < ?", now);
    const taken = this.#sql.exec(
      "INSERT INTO tickets (ticket_id, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1",
      id,
      expiresAt,
    );
    return taken.toArray().length > 0;
  }

  enqueue(key, path, body, now) {
    this.#sql.exec(
      "INSERT OR REPLACE INTO outbox (key, path, body, attempts, next_at) VALUES (?, ?, ?, 0, ?)",
      key,
      path,
      JSON.stringify(body),
      now,
    );
  }

  outbox() {
    return this.#sql.exec("SELECT * FROM outbox ORDER BY next_at").toArray();
  }

  finish(key) {
    this.#sql.exec("DELETE FROM outbox WHERE key = ?", key);
  }

  delay(key, nextAt) {
    this.#sql.exec("UPDATE outbox SET attempts = attempts + 1, next_at = ? WHERE key = ?", nextAt, key);
  }

  /** The whole present state as JSON text. */
  snapshot() {
    return this.#first(SNAPSHOT).snapshot;
  }

  /** Gives the frames of all events after `since` to `send`, in order. */
  replay(since, until, send) {
    let last = since;
    let rows = FRAME_EVENTS_MAX;
    while (last < until) {
      const page = this.#first(
        `SELECT COUNT(*) AS events, MAX(seq) AS last, SUM(length(data)) AS bytes
         FROM (SELECT seq, data FROM events WHERE seq > ? ORDER BY seq LIMIT ?)`,
        last,
        rows,
      );
      if (page.bytes > FRAME_BYTES_MAX && page.events > 1) {
        rows = Math.ceil(page.events / 2);
        continue;
      }
      const { records } = this.#first(
        `SELECT group_concat('{"seq":' || seq || ',"at":' || at || ',"event":' || data || '}', ',') AS records
         FROM (SELECT seq, at, data FROM events WHERE seq > ? AND seq <= ? ORDER BY seq)`,
        last,
        page.last,
      );
      send(`{"type":"events","events":[${records}]}`);
      last = page.last;
    }
  }
}

function toUser({ user_id, login, name, email }) {
  return [user_id, { id: user_id, login, name, email }];
}
