/** Shortcuts of the whole client. One-key ones rest while somebody types or a dialog is open. */
import { createSignal, onCleanup } from "solid-js";

const ONE_KEY = "farhand.one-key-shortcuts";
const [oneKey, setOneKey] = createSignal(localStorage.getItem(ONE_KEY) !== "off");

/** Whether shortcuts of a single key are on (WCAG 2.2, 2.1.4 asks for a way to turn them off). */
export const oneKeyShortcuts = oneKey;

export function setOneKeyShortcuts(on: boolean): void {
  setOneKey(on);
  if (on) localStorage.removeItem(ONE_KEY);
  else localStorage.setItem(ONE_KEY, "off");
}

export interface Shortcuts {
  newSession(): void;
  next(): void;
  previous(): void;
  search(): void;
  toggleRail(): void;
  toggleInspector(): void;
  help(): void;
  /** Archives the session in the list that has the focus, else the open one. */
  archive(): void;
  /** Goes to the next change of the diff that is shown, or with -1 to the one before. */
  change(step: 1 | -1): void;
  /** Closes the top layer. */
  escape(): void;
}

/** What the help shows. */
export const SHORTCUT_HELP: readonly [keys: string, meaning: string][] = [
  ["C", "New session"],
  ["E", "Archive the session"],
  ["J / K", "Next or previous session"],
  ["N / P", "Next or previous change of the diff"],
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
  if (isTyping(event.target) || !oneKey()) return undefined;
  return {
    c: shortcuts.newSession,
    e: shortcuts.archive,
    j: shortcuts.next,
    k: shortcuts.previous,
    n: () => shortcuts.change(1),
    p: () => shortcuts.change(-1),
    "?": shortcuts.help,
  }[key];
}

const TYPED_INTO = "input:not([type=checkbox], [type=radio]), textarea, select";

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches(TYPED_INTO));
}
