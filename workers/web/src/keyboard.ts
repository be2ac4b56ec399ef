/** Shortcuts of the whole client. One-key ones rest while somebody types or a dialog is open. */
import { onCleanup } from "solid-js";

export interface Shortcuts {
  newSession(): void;
  next(): void;
  previous(): void;
  search(): void;
  toggleRail(): void;
  toggleInspector(): void;
  help(): void;
  /** Closes the top layer. */
  escape(): void;
}

/** What the help shows. */
export const SHORTCUT_HELP: readonly [keys: string, meaning: string][] = [
  ["C", "New session"],
  ["J / K", "Next or previous session"],
  ["⌘K", "Search sessions"],
  ["⌘↵", "Send the prompt, as chosen beside it"],
  ["⌥↵", "While a turn runs: the other of Queue and Steer"],
  ["⌘B", "Show or hide the session list"],
  ["⌘.", "Show or hide the changes"],
  ["Esc", "Close what is open"],
  ["?", "This help"],
];

export function listenForShortcuts(shortcuts: Shortcuts): void {
  const listeners = new AbortController();
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.defaultPrevented || event.isComposing) return;
      const action = actionFor(event, shortcuts);
      if (action === undefined) return;
      event.preventDefault();
      action();
    },
    { signal: listeners.signal },
  );
  onCleanup(() => listeners.abort());
}

function actionFor(event: KeyboardEvent, shortcuts: Shortcuts): (() => void) | undefined {
  const key = event.key.toLowerCase();
  if (document.querySelector("dialog[open]") !== null) return undefined;
  if (key === "escape") return shortcuts.escape;
  if (event.altKey) return undefined;
  if (event.metaKey || event.ctrlKey) {
    return { k: shortcuts.search, b: shortcuts.toggleRail, ".": shortcuts.toggleInspector }[key];
  }
  if (isTyping(event.target)) return undefined;
  return { c: shortcuts.newSession, j: shortcuts.next, k: shortcuts.previous, "?": shortcuts.help }[key];
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"))
  );
}
