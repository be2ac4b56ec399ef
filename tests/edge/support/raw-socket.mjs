/** A WebSocket below its API: sends the very bytes that a well-behaved client could not, and reads how the other side ends it. */

import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { Growing } from "./wait.mjs";

const TEXT = 0x81;
const CLOSE = 0x88;

/** Opens one with a ticket. */
export async function openRaw(edge, ticket, sessionId) {
  const attempt = request(new URL(`/api/sessions/${sessionId}/socket`, edge.origin), {
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      origin: edge.origin,
      "sec-websocket-version": "13",
      "sec-websocket-key": randomBytes(16).toString("base64"),
      "sec-websocket-protocol": `farhand.v1, ticket.${ticket}`,
    },
  });
  const socket = await new Promise((resolve, reject) => {
    attempt.on("upgrade", (_, upgraded) => resolve(upgraded));
    attempt.on("response", ({ statusCode }) => reject(new Error(`the WebSocket was refused: ${statusCode}`)));
    attempt.on("error", reject);
    attempt.end();
  });
  const pieces = new Growing();
  let over = false;
  socket.on("data", (piece) => pieces.add(piece));
  const end = () => {
    over = true;
    pieces.changed();
  };
  socket.on("close", end).on("error", end);
  return {
    /** Sends bytes as one text frame, whatever they are. */
    sendText(bytes) {
      const mask = randomBytes(4);
      const masked = bytes.map((byte, index) => byte ^ mask[index % 4]);
      socket.write(Buffer.concat([Buffer.from([TEXT, 0x80 | bytes.length]), mask, masked]));
    },
    /** The code of the close frame, the text of a refusal, or `broken` when the connection ended without either. */
    verdict: () =>
      pieces.wait(() => {
        const { code, refusal } = readFrames(Buffer.concat(pieces.list));
        return code ?? refusal ?? (over ? "broken" : undefined);
      }, "a verdict"),
    close: () => socket.destroy(),
  };
}

/** The first close code and the first refusal among unmasked frames. */
function readFrames(bytes) {
  const found = {};
  for (let at = 0; at + 2 <= bytes.length; ) {
    let length = bytes[at + 1] & 0x7f;
    let begin = at + 2;
    if (length === 126) [length, begin] = [bytes.readUInt16BE(begin), begin + 2];
    else if (length === 127) [length, begin] = [Number(bytes.readBigUInt64BE(begin)), begin + 8];
    if (begin + length > bytes.length) break;
    const payload = bytes.subarray(begin, begin + length);
    if (bytes[at] === CLOSE && length >= 2) found.code ??= payload.readUInt16BE(0);
    if (bytes[at] === TEXT && payload.includes('"rejected"'))
      found.refusal ??= JSON.parse(payload).error.code;
    at = begin + length;
  }
  return found;
}
