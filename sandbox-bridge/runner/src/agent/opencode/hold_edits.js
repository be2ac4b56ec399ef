/**
 * Holds every tool back that may change the workspace until the runner has opened its door, in sub-agents too.
 *
 * A plugin that OpenCode loads in a warm sandbox. It tells the runner that it is there, asks for each call, and never again after
 * the first yes. Without an answer the tool fails: nothing is changed that the runner has not heard of.
 */
const READING = new Set([
  "glob",
  "grep",
  "invalid",
  "list",
  "lsp",
  "question",
  "read",
  "skill",
  // The tools of a sub-agent come through here one by one.
  "task",
  "todoread",
  "todowrite",
  "webfetch",
  "websearch",
]);

export const HoldEdits = async (_, { door }) => {
  let isOpen = false;
  await fetch(`${door}/attended`);
  return {
    "tool.execute.before": async ({ tool }) => {
      if (isOpen || READING.has(tool)) return;
      const answer = await fetch(`${door}/pass`, { signal: AbortSignal.timeout(600_000) });
      if (!answer.ok) throw new Error(await answer.text());
      isOpen = true;
    },
  };
};
