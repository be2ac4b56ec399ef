/**
 * The service worker: toolbar, context menu, shortcut, and the switchboard between panel and page. Keeps nothing in memory, because the
 * browser ends it whenever it is idle. Talks to no server.
 */
import type { Clicked, PanelMessage, ScriptMessage } from "../messages.js";
import {
  askPage,
  cancelSelection,
  endSelection,
  finishSelection,
  PICTURE_KEY,
  startSelection,
  toPage,
} from "./selection.js";

const MENU_SELECT = "select-area";

chrome.runtime.onInstalled.addListener(() => {
  chrome.contextMenus.removeAll(() => {
    chrome.contextMenus.create({
      id: MENU_SELECT,
      title: "Select an area for Farhand",
      contexts: ["page", "selection", "link", "image", "video", "editable", "frame"],
      documentUrlPatterns: ["http://*/*", "https://*/*", "file:///*"],
    });
  });
});
// The panel's keys and drafts are none of a page's business.
void chrome.storage.local.setAccessLevel({ accessLevel: "TRUSTED_CONTEXTS" });

/** Opens the panel; must come first in whatever answers a gesture, because a gesture is forgotten at the first wait. */
function openPanel(tab: chrome.tabs.Tab): void {
  chrome.sidePanel.open({ windowId: tab.windowId }).catch(() => undefined);
}

chrome.action.onClicked.addListener((tab) => {
  openPanel(tab);
  // The click has just let us see this tab; a panel that is open does not hear of it by itself.
  const clicked: Clicked = { tabId: tab.id, readable: tab.url !== undefined, at: Date.now() };
  void chrome.storage.session.set({ clicked });
});

chrome.contextMenus.onClicked.addListener((info, tab) => {
  if (info.menuItemId !== MENU_SELECT || tab === undefined) return;
  openPanel(tab);
  void startSelection(tab);
});

chrome.commands.onCommand.addListener((command, tab) => {
  if (command !== MENU_SELECT || tab === undefined) return;
  openPanel(tab);
  void startSelection(tab);
});

chrome.tabs.onUpdated.addListener((tabId, change, tab) => {
  if (change.status === "loading") void endSelection(tab.windowId, tabId, "navigated");
});

chrome.tabs.onRemoved.addListener((tabId, { windowId }) => void endSelection(windowId, tabId));

chrome.runtime.onMessage.addListener((message: PanelMessage | ScriptMessage, sender, answer) => {
  if (sender.id !== chrome.runtime.id) return false;
  const own = sender.url?.startsWith(chrome.runtime.getURL("")) === true;
  if (own) {
    void fromPanel(message as PanelMessage);
    return false;
  }
  if (sender.tab?.id === undefined || sender.frameId !== 0) return false;
  return fromPage(message as ScriptMessage, sender.tab, sender.tab.id, answer);
});

async function fromPanel(message: PanelMessage): Promise<void> {
  switch (message.type) {
    case "SELECT_AREA": {
      await chrome.storage.local.set({ [PICTURE_KEY]: message.picture });
      const tab = await chrome.tabs.get(message.tabId).catch(() => null);
      if (tab !== null) await startSelection(tab);
      return;
    }
    case "CANCEL_SELECTION":
      cancelSelection(message.tabId);
      return;
    case "SELECTION_KEY":
      await toPage(message.tabId, { type: "SELECTION_KEY", key: message.key }).catch(() => undefined);
      return;
    default:
      return;
  }
}

/** True when the answer comes later. */
function fromPage(
  message: ScriptMessage,
  tab: chrome.tabs.Tab,
  tabId: number,
  answer: (value: unknown) => void,
): boolean {
  switch (message.type) {
    case "NAME_COMPONENTS":
      void askPage(tabId, message.request).then(answer);
      return true;
    case "SELECTION_PICKED":
      void finishSelection(tab, message.box);
      return false;
    case "SELECTION_CANCELLED":
      void endSelection(tab.windowId, tabId);
      return false;
    default:
      return false;
  }
}
