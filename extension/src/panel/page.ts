/** What the panel knows of the page beside it: whether it may be read, and if not, why and what helps. */
import { type Accessor, createSignal, onCleanup } from "solid-js";
import type { Clicked } from "../messages.js";

export type PageState =
  | { state: "readable"; tabId: number; host: string; path: string }
  /** The browser tells nothing about this tab until the toolbar's button is pressed in it. */
  | { state: "locked"; tabId: number }
  | { state: "forbidden"; reason: string }
  | { state: "none" };

/** Where the browser lets no extension run (its own pages, its store). */
const FORBIDDEN_HOSTS = new Set(["chromewebstore.google.com", "chrome.google.com"]);

/** Pure: what a tab's address means for us. `url` is absent where the browser does not tell it. */
export function evaluatePage(
  tab: { id?: number | undefined; url?: string | undefined } | undefined,
): PageState {
  if (tab?.id === undefined) return { state: "none" };
  if (tab.url === undefined || tab.url === "") return { state: "locked", tabId: tab.id };
  let url: URL;
  try {
    url = new URL(tab.url);
  } catch {
    return { state: "forbidden", reason: "This page cannot be read" };
  }
  if (!["http:", "https:", "file:"].includes(url.protocol)) {
    return { state: "forbidden", reason: "The browser's own pages cannot be read" };
  }
  if (FORBIDDEN_HOSTS.has(url.hostname))
    return { state: "forbidden", reason: "The browser lets no extension read its store" };
  const path = url.pathname === "/" ? "" : url.pathname;
  return { state: "readable", tabId: tab.id, host: url.host || "file", path };
}

/** The page in this panel's window, followed from tab to tab. */
export function followPage(windowId: number): Accessor<PageState> {
  const [page, setPage] = createSignal<PageState>(
    { state: "none" },
    { equals: (one, other) => JSON.stringify(one) === JSON.stringify(other) },
  );
  /** A tab that stayed closed to us after the button was pressed in it. */
  let closed: number | undefined;
  const look = async (): Promise<void> => {
    const [tab] = await chrome.tabs.query({ active: true, windowId });
    const now = evaluatePage(tab);
    setPage(
      now.state === "locked" && now.tabId === closed
        ? { state: "forbidden", reason: "The browser lets no extension read this page" }
        : now,
    );
  };
  const again = (): void => void look();
  const onUpdated = (tabId: number, change: chrome.tabs.OnUpdatedInfo, tab: chrome.tabs.Tab): void => {
    if (tabId === closed && change.status === "loading") closed = undefined;
    if (tab.windowId === windowId && (change.status !== undefined || change.url !== undefined)) again();
  };
  const onStored = (changes: Record<string, chrome.storage.StorageChange>): void => {
    const clicked = changes.clicked?.newValue as Clicked | undefined;
    if (clicked === undefined) return;
    if (!clicked.readable) closed = clicked.tabId;
    else if (clicked.tabId === closed) closed = undefined;
    again();
  };
  chrome.tabs.onActivated.addListener(again);
  chrome.tabs.onUpdated.addListener(onUpdated);
  chrome.storage.session.onChanged.addListener(onStored);
  chrome.permissions.onAdded.addListener(again);
  chrome.permissions.onRemoved.addListener(again);
  onCleanup(() => {
    chrome.tabs.onActivated.removeListener(again);
    chrome.tabs.onUpdated.removeListener(onUpdated);
    chrome.storage.session.onChanged.removeListener(onStored);
    chrome.permissions.onAdded.removeListener(again);
    chrome.permissions.onRemoved.removeListener(again);
  });
  again();
  return page;
}
