/**
 * What the worker leaves for the panel of a window: captures, whether somebody selects just now, why nothing came. In the browser's memory,
 * because the worker ends whenever it is idle and the panel may open later. Content scripts cannot read it.
 */
import { type ContextCapture, parseCapture } from "./capture/capture.js";
import type { SelectionProblem } from "./messages.js";

export interface Picture {
  mediaType: "image/webp";
  /** Base64. */
  data: string;
  width: number;
  height: number;
}

export interface Delivery {
  capture: ContextCapture;
  picture?: Picture;
}

/** What goes on in a window. */
export interface Selecting {
  /** The tab in which somebody selects. */
  tabId?: number;
  problem?: SelectionProblem;
}

const captureKey = (windowId: number): string => `capture.${windowId}.`;
const stateKey = (windowId: number): string => `selecting.${windowId}`;

export async function deliver(windowId: number, delivery: Delivery): Promise<void> {
  await chrome.storage.session.set({
    [`${captureKey(windowId)}${crypto.randomUUID()}`]: { ...delivery, at: Date.now() },
  });
}

export async function setSelecting(windowId: number, state: Selecting): Promise<void> {
  await chrome.storage.session.set({ [stateKey(windowId)]: state });
}

export async function getSelecting(windowId: number): Promise<Selecting> {
  const key = stateKey(windowId);
  const stored = await chrome.storage.session.get(key);
  return (stored[key] as Selecting | undefined) ?? {};
}

/** Calls for what is there and for what comes, once for each, until the signal. */
export function receive(
  windowId: number,
  signal: AbortSignal,
  on: { delivery(delivery: Delivery): void; selecting(state: Selecting): void },
): void {
  const taken = new Set<string>();
  const take = (entries: Record<string, unknown>): void => {
    const mine = Object.entries(entries)
      .filter(
        ([key, value]) => key.startsWith(captureKey(windowId)) && value !== undefined && !taken.has(key),
      )
      .sort(([, one], [, other]) => (one as { at: number }).at - (other as { at: number }).at);
    for (const [key, value] of mine) {
      taken.add(key);
      void chrome.storage.session.remove(key);
      const { picture, capture: raw } = value as Delivery;
      const capture = parseCapture(raw);
      if (capture !== null) on.delivery(picture === undefined ? { capture } : { capture, picture });
    }
  };
  const listener = (changes: Record<string, chrome.storage.StorageChange>, area: string): void => {
    if (area !== "session") return;
    take(Object.fromEntries(Object.entries(changes).map(([key, change]) => [key, change.newValue])));
    const state = changes[stateKey(windowId)];
    if (state !== undefined) on.selecting((state.newValue as Selecting | undefined) ?? {});
  };
  chrome.storage.onChanged.addListener(listener);
  signal.addEventListener("abort", () => chrome.storage.onChanged.removeListener(listener));
  void chrome.storage.session.get(null).then(take);
  void getSelecting(windowId).then(on.selecting);
}
