/** A runner of one session's sandbox, as far as the Worker can see it: announces itself, reports numbered events. */

import { prompt } from "./edge.mjs";

/** Starts a session with a prompt and attaches a runner to the sandbox it orders. */
export async function startRunner(edge, client, text = "Do it") {
  const created = await client.post("/api/sessions", { repository: "acme/shop", prompt: prompt(text) });
  if (created.status !== 201) throw new Error(JSON.stringify(created));
  const sessionId = created.body.sessionId;
  const order = await edge.bridge.request(
    ({ body }) => body?.sessionId === sessionId,
    "the order of a sandbox",
  );
  const sandboxId = order.path.split("/")[2];
  const { generation } = order.body;
  const runner = {
    sessionId,
    sandboxId,
    generation,
    seq: 0,
    attach: () =>
      edge.report(sessionId, "attached", {
        sandboxId,
        generation,
        bridgeUrl: edge.bridge.url,
        runnerVersion: "test",
      }),
    /** A batch that begins at `from`. */
    batch: (events, from = runner.seq + 1) => ({
      sandboxId,
      generation,
      events: events.map((event, index) => ({ seq: from + index, at: Date.now(), event })),
    }),
    /** Reports events after those reported before. */
    async report(...events) {
      const answer = await edge.report(sessionId, "events", runner.batch(events));
      runner.seq += events.length;
      return answer;
    },
    /** The next order of a turn that the session gives to the runner. */
    async turn(isNext = () => true) {
      const command = await edge.bridge.request(
        ({ path, body }) =>
          path.startsWith(`/sandboxes/${sandboxId}/commands/`) &&
          body.command.type === "start_turn" &&
          isNext(body.command.turn),
        "the order of a turn",
      );
      return command.body.command.turn;
    },
  };
  return runner;
}

/** A text item of a turn. */
export const textItem = (turnId, id, text, done = false) => ({
  type: "item_changed",
  item: { id, turnId, startedAt: Date.now(), content: { type: "text", text, done } },
});

/** The end of a turn that changed one file. */
export const turnEnded = (turn, more = {}) => ({
  type: "turn_ended",
  turnId: turn.turnId,
  attempt: turn.attempt,
  outcome: { type: "completed" },
  files: [],
  usage: { inputTokens: 10, outputTokens: 5, cachedTokens: 0, costUsd: 0.01 },
  ...more,
});
