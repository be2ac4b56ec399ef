/** Whether what stands before the caret can be completed: `@` and a part of a path, or `/` at the beginning of the text. Pure. */
import type { Session } from "./session-store.js";

/** What one is writing at the caret that can be completed. */
export interface Trigger {
  kind: "file" | "command";
  /** Where it begins in the text, its sign included. */
  from: number;
  /** What stands behind the sign. */
  query: string;
}

/** Something that the session can be told to do at once. */
export interface Command {
  /** As it is written behind the `/`; may have several words. */
  name: string;
  /** What it does. */
  detail: string;
  run(): void;
}

export interface Suggest {
  /** Knows the files. */
  session: Pick<Session, "state" | "history">;
  commands(): readonly Command[];
}

export function findTrigger(text: string, caret: number): Trigger | undefined {
  const before = text.slice(0, caret);
  if (/^\/[^\n]*$/.test(before) && !text.includes("\n"))
    return { kind: "command", from: 0, query: before.slice(1) };
  const query = /(?:^|[\s([{"'`])@([^\s@]*)$/.exec(before)?.[1];
  return query === undefined ? undefined : { kind: "file", from: caret - query.length - 1, query };
}
