/**
 * The way of a selection: put the script beside the page, let somebody choose, read it, check what came, take a picture if wanted, leave it
 * for the panel. Believes nothing of a page but its shape.
 */

import { nameComponents } from "virtual:page-function";
import { type Box, parseCapture } from "../capture/capture.js";
import type { NameRequest } from "../framework/request.js";
import { deliver, getSelecting, setSelecting } from "../inbox.js";
import type { PageMessage, SelectionProblem } from "../messages.js";
import { takePicture } from "./picture.js";

/** Whether the next selection comes with a picture; chosen in the panel. */
export const PICTURE_KEY = "picture";
/** The page's world may be kept busy by the page; its names are then done without. */
const NAMES_WITHIN_MS = 1500;

export async function startSelection(tab: chrome.tabs.Tab): Promise<void> {
  const { id: tabId, windowId } = tab;
  if (tabId === undefined) return;
  const before = await getSelecting(windowId);
  if (before.tabId !== undefined && before.tabId !== tabId) cancelSelection(before.tabId);
  try {
    await chrome.scripting.executeScript({ target: { tabId }, files: ["page.js"] });
    await setSelecting(windowId, { tabId });
    if ((await toPage(tabId, { type: "START_SELECTION" })) !== true) await fail(windowId, "failed");
  } catch {
    await fail(windowId, "refused");
  }
}

/** The script says that it has ended, which settles the rest. */
export function cancelSelection(tabId: number): void {
  void toPage(tabId, { type: "CANCEL_SELECTION" }).catch(() => undefined);
}

export async function toPage(tabId: number, message: PageMessage): Promise<unknown> {
  return chrome.tabs.sendMessage(tabId, message, { frameId: 0 });
}

/** Somebody has chosen in a tab. */
export async function finishSelection(tab: chrome.tabs.Tab, box: Box): Promise<void> {
  const { id: tabId, windowId } = tab;
  if (tabId === undefined) return;
  try {
    const answer = await toPage(tabId, { type: "EXTRACT_SELECTION" });
    const capture = parseCapture(answer);
    if (capture === null) {
      await fail(windowId, answer === null ? "empty" : "failed");
      return;
    }
    const stored = await chrome.storage.local.get(PICTURE_KEY);
    const picture = stored[PICTURE_KEY] === true ? await takePicture(windowId, box, capture.page) : null;
    await setSelecting(windowId, {});
    await deliver(windowId, picture === null ? { capture } : { capture, picture });
  } catch {
    await fail(windowId, "navigated");
  }
}

/** The page of a tab went away, or the person gave up. */
export async function endSelection(
  windowId: number,
  tabId: number,
  problem?: SelectionProblem,
): Promise<void> {
  const { tabId: selecting } = await getSelecting(windowId);
  if (selecting !== tabId) return;
  await setSelecting(windowId, problem === undefined ? {} : { problem });
}

/** What the page's own world says; the script that asked checks it. */
export async function askPage(tabId: number, request: NameRequest): Promise<unknown> {
  const running = chrome.scripting.executeScript({
    target: { tabId },
    world: "MAIN",
    func: nameComponents,
    args: [request],
  });
  const timeout = new Promise<never>((_, reject) => setTimeout(reject, NAMES_WITHIN_MS));
  try {
    const [result] = await Promise.race([running, timeout]);
    return result?.result ?? null;
  } catch {
    return null;
  }
}

async function fail(windowId: number, problem: SelectionProblem): Promise<void> {
  await setSelecting(windowId, { problem });
}
