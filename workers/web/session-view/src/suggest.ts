/** Which files and commands complete what is being written, the best first. Pure; loaded with the list that shows them. */
import type { Item, SessionSnapshot } from "@farhand/protocol";
import { describeTool } from "./timeline.js";
import type { Command, Suggest, Trigger } from "./trigger.js";

/** One line of the list. */
export type Suggestion =
  | { kind: "file"; key: string; path: string }
  | { kind: "command"; key: string; command: Command };

/** More are not looked through by anybody. */
const SUGGESTIONS_MAX = 8;

export function suggestionsFor({ kind, query }: Trigger, suggest: Suggest): Suggestion[] {
  if (kind === "command") {
    const words = query.toLowerCase().split(/\s+/);
    return suggest
      .commands()
      .filter(({ name }) => startsInOrder(name.toLowerCase(), words))
      .slice(0, SUGGESTIONS_MAX)
      .map((command) => ({ kind, key: command.name, command }));
  }
  const wanted = query.toLowerCase();
  const { state, history } = suggest.session;
  return knownFiles(state.snapshot, history.earlier.items)
    .map((path) => ({ path, rank: rankOf(path.toLowerCase(), wanted) }))
    .filter(({ rank }) => rank < NO_MATCH)
    .sort((one, other) => one.rank - other.rank)
    .slice(0, SUGGESTIONS_MAX)
    .map(({ path }) => ({ kind, key: path, path }));
}

/** `mo son` finds `model claude-sonnet`: the first word begins the name, the others stand anywhere behind it. */
function startsInOrder(name: string, [first = "", ...others]: readonly string[]): boolean {
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const word of others) {
    const found = name.indexOf(word, at);
    if (found < 0) return false;
    at = found + word.length;
  }
  return true;
}

const NO_MATCH = 3;

/** The beginning of a file's name counts most, then the name, then the folders. */
function rankOf(path: string, wanted: string): number {
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (name.startsWith(wanted)) return 0;
  if (name.includes(wanted)) return 1;
  return path.includes(wanted) ? 2 : NO_MATCH;
}

/** Files of the repository that the session knows: those that its branch changes, then those that the agent touched, newest first. */
export function knownFiles(
  snapshot: Pick<SessionSnapshot, "artifacts" | "items"> | null,
  earlier: readonly Item[],
): string[] {
  if (snapshot === null) return [];
  const changed = snapshot.artifacts.flatMap(({ content }) =>
    content.type === "diff"
      ? content.files.filter(({ status }) => status !== "deleted").map(({ path }) => path)
      : [],
  );
  const touched = [...earlier, ...snapshot.items].flatMap(({ content }) => {
    if (content.type !== "tool") return [];
    const { kind } = describeTool(content);
    const isFile = (kind === "read" || kind === "edit") && isInside(content.title);
    return isFile ? [content.title] : [];
  });
  return [...new Set([...changed, ...touched.reverse()])];
}

/** A path below the repository's root, as `@` can name it. */
function isInside(path: string): boolean {
  return path !== "" && !/^(?:[/~]|\.\.)|\s/.test(path);
}
