/** A runner of one session's sandbox, as far as the Worker can see it: announces itself, reports numbered events. */

import { prompt } from "./edge.mjs";

/** Starts a session with a prompt and attaches a runner to the sandbox it orders. */
export async function startRunner(edge, client, text = "Do it") {
  const created = await client.post("/api/sessions", { repository: "acme/shop", prompt: prompt(text) });
  if (created.status !== 201) throw new Error(JSON.stringify(created));
  return findRunner(edge, created.body.sessionId, 1);
}

/** The runner of the sandbox of this generation, once the session orders it. */
export async function findRunner(edge, sessionId, generation) {
  const order = await edge.bridge.request(
    ({ path, body }) =>
      /^\/sandboxes\/[^/]+$/.test(path) && body.sessionId === sessionId && body.generation === generation,
    "the order of a sandbox",
  );
  return Object.assign(runnerOf(edge, sessionId, order.path.split("/")[2], generation), {
    order: order.body,
  });
}

/** The runner of a sandbox that the session has. */
export function runnerOf(edge, sessionId, sandboxId, generation) {
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
    /** A command of this kind that the session gives to the runner. */
    async command(type, fits = () => true) {
      const request = await edge.bridge.request(
        ({ path, body }) =>
          path.startsWith(`/sandboxes/${sandboxId}/commands/`) &&
          body.command.type === type &&
          fits(body.command),
        `the command ${type}`,
      );
      return request.body.command;
    },
    /** The order of a turn. */
    turn: async (fits = () => true) => (await runner.command("start_turn", ({ turn }) => fits(turn))).turn,
    /** Says that it has a turn. */
    receive: ({ turnId, attempt }) => runner.report({ type: "turn_received", turnId, attempt }),
  };
  return runner;
}

/** The same with its first turn running. */
export async function startTurn(edge, client, text) {
  const runner = await startRunner(edge, client, text);
  await runner.attach();
  await runner.report({ type: "ready", agent: "scripted 1" });
  const turn = await runner.turn();
  await runner.receive(turn);
  return { runner, turn, sessionId: runner.sessionId };
}

/** A tool call of a turn that has answered. */
export const toolItem = (turnId, id, output, more = {}) => ({
  type: "item_changed",
  item: {
    id,
    turnId,
    startedAt: Date.now(),
    content: {
      type: "tool",
      name: "bash",
      title: "make",
      input: "make",
      state: { type: "completed", durationMs: 1, exitCode: 0 },
      output,
      omittedBytes: 0,
      ...more,
    },
  },
});

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
