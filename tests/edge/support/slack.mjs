/** The stand-in for Slack that the whole stack uses, as a program of its own, and what tests look for in it. */

import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { startEdge } from "./edge.mjs";
import { findRunner } from "./runner.mjs";
import { until } from "./wait.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const program = join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug/slack-workspace");

export const TEAM = "T0FARHAND";
export const BOT = "U0BOT";
export const TOKEN = "xoxb-token-of-the-edge-tests";
export const SIGNING_SECRET = "signing-secret-of-the-edge-tests";
/** Machines with other things to do take their time. */
const WAIT_MS = 60_000;

/** Starts a workspace; `listenTo` says where its events go. With `refreshToken` the bot's tokens rotate. */
export async function startSlack({ refreshToken } = {}) {
  const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.write(
    `${JSON.stringify({ token: TOKEN, signingSecret: SIGNING_SECRET, target: "", refreshToken })}\n`,
  );
  const failed = new Promise((_, reject) => {
    child.once("error", (cause) =>
      reject(new Error(`cannot start ${program}: build it with cargo build -p fakes`, { cause })),
    );
    child.once("exit", (code) => reject(new Error(`the stand-in ended with ${code}`)));
  });
  failed.catch(() => {});
  const first = new Promise((resolve) => createInterface(child.stdout).once("line", resolve));
  const { listening, api } = JSON.parse(await Promise.race([first, failed]));
  const tell = async (order) => {
    const answer = await fetch(`${listening}/control`, {
      method: "POST",
      headers: [["content-type", "application/json"]],
      body: JSON.stringify(order),
    });
    const value = await answer.json();
    if (value.error) throw new Error(value.error);
    return value;
  };
  const slack = {
    url: listening,
    api,
    /** An order to its other side. */
    tell,
    listenTo: (origin) => tell({ do: "send_to", target: `${origin}/api/slack` }),
    write: (user, text, more = {}) => tell({ do: "write", channel: "C0GENERAL", user, text, ...more }),
    script: (method, more) => tell({ do: "script", method, ...more }),
    messages: () => tell({ do: "messages" }),
    calls: async (method) => (await tell({ do: "calls" })).filter((call) => call.method === method),
    /** What the bot said in a thread, ephemeral words included. */
    said: async (thread) =>
      (await slack.messages()).filter(
        (message) => message.bot_id && (message.thread_ts === thread || thread === undefined),
      ),
    /** The bot's message in a thread whose text fits, once it is there. */
    hears: (thread, pattern) =>
      until(
        async () => (await slack.said(thread)).find((message) => pattern.test(JSON.stringify(message))),
        Boolean,
        `${pattern} in ${JSON.stringify(thread)}`,
        WAIT_MS,
      ),
    click: (user, message, action, more = {}) =>
      tell({ do: "click", user, channel: message.channel, ts: message.ts, action, ...more }),
    /** Ids of the threads' objects are made of this. */
    threadOf: (ts, channel = "C0GENERAL") => `${TEAM}/${channel}/${ts}`,
    /** The session of a thread, once its card is there. */
    async sessionOf(thread) {
      const card = await slack.hears(thread, /Open session/);
      return urlOf(card, "Open session").split("/").at(-1);
    },
    async close() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.stdin.end();
      await ended;
    },
  };
  return slack;
}

/** What a Worker for this workspace is configured with. */
export const configured = (workspace, { vars = {}, secrets = {} } = {}) => ({
  vars: {
    IMAGES: "off",
    SLACK_TEAM_ID: TEAM,
    SLACK_API_URL: workspace.api,
    SLACK_FILES_URL: workspace.url,
    ...vars,
  },
  secrets: { SLACK_SIGNING_SECRET: SIGNING_SECRET, SLACK_BOT_TOKEN: TOKEN, ...secrets },
});

/** Both of them; `link` says whose Slack account is whose. */
export async function startSlackEdge({ refreshToken, ...more } = {}) {
  const slack = await startSlack({ refreshToken });
  const edge = await startEdge(configured(slack, more));
  await slack.listenTo(edge.origin);
  return {
    slack,
    edge,
    link: (user, id) =>
      edge.rows(
        "INSERT OR REPLACE INTO slack_links (team_id, slack_user_id, user_id, linked_at) VALUES (?, ?, ?, 1)",
        TEAM,
        user,
        id,
      ),
    /** The runner of a thread's session, with its first turn running. */
    async runTurn(thread) {
      const runner = await findRunner(edge, await slack.sessionOf(thread), 1);
      await runner.attach();
      await runner.report({ type: "ready", agent: "scripted 1" });
      const turn = await runner.turn();
      await runner.receive(turn);
      return { runner, turn };
    },
    logs: () => JSON.stringify(edge.server.getLogs()),
    async close() {
      await edge.close();
      await slack.close();
    },
  };
}

export const mention = (text) => `<@${BOT}> ${text}`;

/** Where a button of a message leads. */
export function urlOf(message, label) {
  const elements = message.blocks.flatMap((block) => block.elements ?? []);
  return elements.find((element) => element.text?.text === label)?.url;
}
