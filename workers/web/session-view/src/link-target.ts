/**
 * Follows a link to a place in the conversation: fetches earlier turns until it is there, opens what hides it, scrolls to it and marks it.
 * Loaded when there is such a link.
 */
import type { Folds } from "./components/item-view.jsx";
import type { Scroll } from "./components/scroll.js";
import type { Session } from "./session-store.js";

export interface LinkTarget {
  session: Session;
  place: number;
  scroller: HTMLElement;
  scroll: Scroll;
  folds: Folds;
  /** Aborted when another link is followed, or the session is left. */
  signal: AbortSignal;
}

/** What became of it; `lost` in words for people. */
export type Followed = { state: "shown" | "absent" } | { state: "lost"; message: string };

export async function followPlace(target: LinkTarget): Promise<Followed> {
  const { session, place, signal } = target;
  for (;;) {
    const element = findElement(target);
    if (element !== undefined) {
      await show(target, element);
      return { state: "shown" };
    }
    const snapshot = session.state.snapshot;
    const before = snapshot === null ? null : session.history.cursor(snapshot);
    // Everything from the cursor on is known.
    if (before === null || before <= place) return { state: "absent" };
    await session.loadEarlier();
    if (signal.aborted) return { state: "absent" };
    const message = session.history.error();
    if (message !== null) return { state: "lost", message };
  }
}

function findElement({ session, place, scroller, folds }: LinkTarget): HTMLElement | undefined {
  const id = session.places.at(place);
  if (id === undefined) return undefined;
  const find = (): HTMLElement | undefined =>
    [...scroller.querySelectorAll<HTMLElement>(`[data-things~="${CSS.escape(id)}"]`)].at(-1);
  const row = find();
  // A row of several reads has to be opened before one of them can be seen.
  const [first, ...others] = row?.dataset.things?.split(" ") ?? [];
  if (first !== undefined && others.length > 0) folds.set(`${first}+`, true);
  return find();
}

/** Corrections after the first scroll: what was never drawn gets its true height only when it comes near. */
const CORRECTIONS_MAX = 12;

async function show({ scroller, scroll, signal }: LinkTarget, element: HTMLElement): Promise<void> {
  for (const marked of scroller.querySelectorAll("[data-linked]")) marked.removeAttribute("data-linked");
  element.dataset.linked = "";
  element.tabIndex = -1;
  scroll.to(element);
  element.focus({ preventScroll: true });
  let top = Number.NaN;
  for (let round = 0; round < CORRECTIONS_MAX && !signal.aborted; round += 1) {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const now = element.getBoundingClientRect().top;
    if (Math.abs(now - top) < 1) return;
    scroll.to(element);
    top = element.getBoundingClientRect().top;
  }
}
