/** Which changed files somebody has read, kept in the browser: a file that changes again has not been read. */
import type { FileDiff } from "@farhand/protocol";
import { createSignal } from "solid-js";
import type { KeyValueStore } from "./outbox.js";

export interface ViewedFiles {
  has(file: FileDiff): boolean;
  set(file: FileDiff, viewed: boolean): void;
}

export function createViewedFiles(sessionId: string, storage: KeyValueStore): ViewedFiles {
  const key = viewedKey(sessionId);
  const [marks, setMarks] = createSignal(read(storage, key));
  return {
    has: (file) => marks()[file.path] === digest(file),
    set(file, viewed) {
      const { [file.path]: _, ...rest } = marks();
      const next = viewed ? { ...rest, [file.path]: digest(file) } : rest;
      setMarks(next);
      try {
        if (Object.keys(next).length === 0) storage.removeItem(key);
        else storage.setItem(key, JSON.stringify(next));
      } catch {
        // Without storage the marks live as long as the page.
      }
    },
  };
}

/** Where the marks of a session are kept. */
export function viewedKey(sessionId: string): string {
  return `farhand.viewed.${sessionId}`;
}

/** A number that another state of the file does not have by chance (FNV-1a). */
function digest(file: FileDiff): number {
  let hash = 2166136261;
  const add = (text: string): void => {
    for (let index = 0; index < text.length; index += 1) {
      hash = Math.imul(hash ^ text.charCodeAt(index), 16777619) >>> 0;
    }
  };
  add(`${file.status} ${file.additions} ${file.deletions} ${file.previousPath ?? ""}`);
  for (const hunk of file.hunks) for (const line of hunk.lines) add(`${line.kind} ${line.text}\n`);
  return hash;
}

function read(storage: KeyValueStore, key: string): Record<string, number> {
  try {
    const value: unknown = JSON.parse(storage.getItem(key) ?? "{}");
    if (typeof value !== "object" || value === null) return {};
    return Object.fromEntries(Object.entries(value).filter(([, mark]) => typeof mark === "number"));
  } catch {
    return {};
  }
}
