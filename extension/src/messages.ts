/**
 * What the parts of the extension say to each other through `chrome.runtime`. Pages cannot take part: nothing is posted to windows, nothing
 * is externally connectable, and each receiver looks at who sent.
 */
import type { Box } from "./capture/capture.js";
import type { NameRequest } from "./framework/request.js";

/** From the panel to the worker. */
export type PanelMessage =
  | { type: "SELECT_AREA"; tabId: number; picture: boolean }
  | { type: "CANCEL_SELECTION"; tabId: number }
  /** A key that was pressed in the panel while somebody selects in the page. */
  | { type: "SELECTION_KEY"; tabId: number; key: string };

/** From the worker to the script in the page. */
export type PageMessage =
  | { type: "START_SELECTION" }
  | { type: "CANCEL_SELECTION" }
  | { type: "SELECTION_KEY"; key: string }
  /** Answers a `ContextCapture`, or null when nothing is there. Without an area: the element that was picked last. */
  | { type: "EXTRACT_SELECTION"; area?: Box };

/** From the script in the page to the worker. */
export type ScriptMessage =
  /** Answers what the page's own world said, unchecked. */
  | { type: "NAME_COMPONENTS"; request: NameRequest }
  | { type: "SELECTION_PICKED"; box: Box; kind: "area" | "element" }
  | { type: "SELECTION_CANCELLED" };

/** What came of a selection that brought nothing, in words for the panel. */
export type SelectionProblem = "refused" | "navigated" | "empty" | "failed";

/** Left in the session's storage at each press of the toolbar's button. */
export interface Clicked {
  tabId: number | undefined;
  /** False where the browser lets no extension in, not even after a press. */
  readable: boolean;
  at: number;
}
