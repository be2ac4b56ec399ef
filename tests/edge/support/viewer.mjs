/** Viewers of a session: real WebSockets that keep every frame and fold the events as the web client does. */

import { randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import { applyEvent, emptyState, knownSnapshot } from "../../../workers/web/session-view/src/reducer.ts";
import { prompt, SESSION_KEY } from "./edge.mjs";
import { claims, jwt } from "./sign.mjs";
import { Growing } from "./wait.mjs";

/** `protocol::limit::VIEWER_ACK_BYTES`. */
const VIEWER_ACK_BYTES = 128 * 1024;

/** Tries a WebSocket handshake; answers its status, and its body where it was refused. */
export function handshake(origin, path, headers = {}) {
  return new Promise((resolve, reject) => {
    const attempt = httpRequest(new URL(path, origin), {
      headers: {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": Buffer.from("0123456789abcdef").toString("base64"),
        ...headers,
      },
    });
    attempt.on("upgrade", (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode, headers: response.headers });
    });
    attempt.on("response", async (response) => {
      let text = "";
      for await (const piece of response) text += piece;
      resolve({
        status: response.statusCode,
        headers: response.headers,
        body: text ? JSON.parse(text) : null,
      });
    });
    attempt.on("error", reject);
    attempt.end();
  });
}

/** A ticket as the edge would write it, for a user who need not be signed in. */
export function ticketOf(edge, user, sessionId) {
  const ticket = { jti: randomBytes(16).toString("hex"), user, session_id: sessionId, origin: edge.origin };
  return jwt(SESSION_KEY, claims("socket", ticket));
}

/** Connects a signed-in client and subscribes. */
export async function view(edge, client, sessionId, options) {
  return connect(edge, await client.ticket(sessionId), sessionId, options);
}

/**
 * Connects the holder of a ticket. `since` and `state` make it one that comes back; without `subscribes` it sends nothing by itself;
 * without `acks` it never says that it has read anything.
 */
export async function connect(edge, ticket, sessionId, options = {}) {
  const { since, state = emptyState(), subscribes = true, acks = true } = options;
  const url = new URL(`/api/sessions/${sessionId}/socket`, edge.origin.replace("http", "ws"));
  const socket = new WebSocket(url, {
    protocols: ["farhand.v1", `ticket.${ticket}`],
    headers: { origin: edge.origin },
  });
  const frames = new Growing();
  const records = [];
  const faults = [];
  let unread = 0;
  let code;

  const apply = (record) => {
    records.push(record);
    const applied = applyEvent(state, record);
    if (applied !== "applied") faults.push(`${applied} at ${record.seq}, after ${state.seq}`);
  };
  socket.addEventListener("message", ({ data }) => {
    const frame = data.startsWith("{") ? JSON.parse(data) : data;
    if (frame.type === "snapshot") {
      state.seq = frame.seq;
      // The frame is kept as it came.
      state.snapshot = structuredClone(knownSnapshot(frame.snapshot));
    }
    if (frame.type === "event") apply({ seq: frame.seq, at: frame.at, event: structuredClone(frame.event) });
    if (frame.type === "events") for (const record of frame.events) apply(structuredClone(record));
    unread += data.length;
    if (acks && unread >= VIEWER_ACK_BYTES && socket.readyState === WebSocket.OPEN) {
      unread = 0;
      viewer.send({ type: "ack", seq: state.seq });
    }
    frames.add(frame);
  });
  socket.addEventListener("close", (event) => {
    code = event.code;
    frames.changed();
  });
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", () => reject(new Error("the WebSocket did not open")));
  });

  const viewer = {
    socket,
    /** What it shows. */
    state,
    /** What went wrong when it put events together: must be nothing. */
    faults,
    /** Everything that came, in order. */
    frames: frames.list,
    /** The recorded events among them. */
    records,
    send: (frame) => socket.send(typeof frame === "string" ? frame : JSON.stringify(frame)),
    /** The first frame that fits, now or within ten seconds. */
    frame: (fits, what = "a frame") => frames.wait(() => frames.list.find(fits), what),
    /** The first event that fits, likewise. */
    record: (fits, what = "an event") => frames.wait(() => records.find(fits), what),
    /** Until it has applied this event. */
    reach: (seq) => frames.wait(() => (state.seq >= seq ? true : undefined), `event ${seq}`),
    /** The first event of this kind that fits, likewise. */
    event: async (type, fits = () => true) =>
      (await viewer.record(({ event }) => event.type === type && fits(event), type)).event,
    /** Submits a prompt and waits for the promise that it is safe. */
    async submit(text, more) {
      const sent = prompt(text, more);
      viewer.send({ type: "prompt", prompt: sent });
      await viewer.frame(({ type, promptId }) => type === "prompt_accepted" && promptId === sent.id, text);
      return sent.id;
    },
    /** Sends a frame; answers the error with which it is refused. */
    async refusal(frame) {
      const from = frames.list.length;
      viewer.send(frame);
      const isAnswer = (answer) => answer.type === "rejected" && frames.list.indexOf(answer) >= from;
      return (await viewer.frame(isAnswer, `the refusal of ${JSON.stringify(frame)}`)).error;
    },
    /** Sends a frame that changes nothing and is answered: by then everything was answered. Events may be held back a moment. */
    async settle() {
      const promptId = `prm_barrier${randomBytes(8).toString("hex")}`;
      viewer.send({ type: "cancel_prompt", promptId });
      return viewer.frame((frame) => frame.type === "rejected" && frame.promptId === promptId, "a refusal");
    },
    /** What became of a bad frame: the code of the refusal, or that of the socket's end. */
    verdict: () =>
      frames.wait(() => code ?? frames.list.find(({ type }) => type === "rejected")?.error.code, "a verdict"),
    /** The code it was closed with. */
    closed: (what = "the end of the socket") => frames.wait(() => code, what),
    async close() {
      socket.close();
      await viewer.closed();
    },
  };
  if (subscribes) {
    viewer.send(since === undefined ? { type: "subscribe" } : { type: "subscribe", since });
    await viewer.frame(({ type }) => type === "presence", "the answer to a subscription");
  }
  return viewer;
}
