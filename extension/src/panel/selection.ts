/** Selections in this window: what waits in the composer, whether somebody selects just now, and why nothing came. */
import { type Accessor, createSignal, onCleanup } from "solid-js";
import {
  type Chip,
  createChip,
  evaluateRoom,
  type PromptAttachment,
  withAttachments,
} from "../attachment.js";
import { receive, type Selecting, setSelecting } from "../inbox.js";
import type { PanelMessage, SelectionProblem } from "../messages.js";
import type { PageState } from "./page.js";

export interface Selection {
  chips: Accessor<readonly Chip[]>;
  selecting: Accessor<boolean>;
  /** Words, or null. */
  problem: Accessor<string | null>;
  /** Whether the next selection brings a picture. */
  picture: Accessor<boolean>;
  setPicture(on: boolean): void;
  toggle(): void;
  remove(id: string): void;
  dismiss(): void;
  /** What a prompt with these words is sent as; the chips are gone afterwards. */
  take(text: string): { text: string; attachments?: PromptAttachment[] };
}

const PROBLEMS: Record<SelectionProblem, string> = {
  refused:
    "The browser did not let us read this page. Press the Farhand button in the toolbar while the page is in front, then select again.",
  navigated: "The page went away before the selection was read. Select again.",
  empty: "Nothing of the page is in that area. Draw it around what you mean.",
  failed: "This page could not be read. Reload it, then select again.",
};
const RELAYED = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Enter", "Escape"]);

export function createSelection(
  windowId: number,
  page: Accessor<PageState>,
  takesCaptures: () => boolean,
  onChip: () => void,
): Selection {
  const [chips, setChips] = createSignal<readonly Chip[]>([]);
  const [state, setState] = createSignal<Selecting>({});
  const [full, setFull] = createSignal<string | null>(null);
  const [picture, setPicture] = createSignal(localStorage.getItem("farhand.picture") === "on");
  const life = new AbortController();
  onCleanup(() => life.abort());
  receive(windowId, life.signal, {
    delivery: (delivery) => {
      const chip = createChip(crypto.randomUUID(), delivery);
      const problem = evaluateRoom(chips(), chip);
      setFull(problem);
      if (problem === null) setChips([...chips(), chip]);
      onChip();
    },
    selecting: setState,
  });
  const say = (message: PanelMessage): void => void chrome.runtime.sendMessage(message);
  const selecting = (): boolean => state().tabId !== undefined;
  // The keyboard is the panel's until somebody presses into the page.
  addEventListener(
    "keydown",
    (event) => {
      const { tabId } = state();
      if (tabId === undefined || !RELAYED.has(event.key)) return;
      if (
        event.key !== "Escape" &&
        event.target instanceof Element &&
        event.target.matches("input, textarea, select")
      )
        return;
      event.preventDefault();
      say({ type: "SELECTION_KEY", tabId, key: event.key });
    },
    { signal: life.signal, capture: true },
  );
  return {
    chips,
    selecting,
    problem: () =>
      full() ?? (state().problem === undefined ? null : PROBLEMS[state().problem as SelectionProblem]),
    picture,
    setPicture: (on) => {
      setPicture(on);
      localStorage.setItem("farhand.picture", on ? "on" : "off");
    },
    toggle: () => {
      const { tabId } = state();
      setFull(null);
      if (tabId !== undefined) {
        say({ type: "CANCEL_SELECTION", tabId });
        return;
      }
      const now = page();
      if (now.state === "readable" || now.state === "locked") {
        say({ type: "SELECT_AREA", tabId: now.tabId, picture: picture() });
      }
    },
    remove: (id) => {
      setChips(chips().filter((chip) => chip.id !== id));
      setFull(null);
    },
    dismiss: () => {
      setFull(null);
      void setSelecting(windowId, {});
    },
    take: (text) => {
      const content = withAttachments(text, chips(), takesCaptures());
      setChips([]);
      setFull(null);
      return content;
    },
  };
}
