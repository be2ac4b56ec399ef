/**
 * Moves a row of the queue with the pointer: it follows, the others make room, and where it is let go is its place. Escape and a lost
 * pointer put it back. Works with mouse, pen and finger.
 */
import { type Accessor, createSignal, onCleanup } from "solid-js";

/** How a row is shown while one is dragged: how far from its place, and whether it is the dragged one. */
export interface RowShift {
  y: number;
  held: boolean;
}

interface Drag {
  id: string;
  from: number;
  to: number;
  y: number;
  /** Upper edges and heights of the rows when the drag began. */
  rows: { id: string; top: number; height: number }[];
}

export function createRowDrag(
  list: Accessor<HTMLElement | undefined>,
  onPlace: (id: string, to: number) => void,
) {
  const [drag, setDrag] = createSignal<Drag | null>(null);
  let listeners = new AbortController();
  const end = (drop: boolean): void => {
    const now = drag();
    listeners.abort();
    setDrag(null);
    if (drop && now !== null && now.to !== now.from) onPlace(now.id, now.to);
  };
  onCleanup(() => listeners.abort());
  return {
    grab(id: string, event: PointerEvent): void {
      const box = list();
      if (box === undefined || event.button !== 0) return;
      const rows = [...box.querySelectorAll<HTMLElement>("[data-prompt]")].map((row) => ({
        id: row.dataset.prompt ?? "",
        top: row.offsetTop,
        height: row.offsetHeight,
      }));
      const from = rows.findIndex((row) => row.id === id);
      if (from < 0 || rows.length < 2) return;
      const startY = event.clientY + box.scrollTop;
      listeners.abort();
      listeners = new AbortController();
      const { signal } = listeners;
      const pointer = event.pointerId;
      const follow = (next: PointerEvent): void => {
        if (next.pointerId !== pointer) return;
        const y = next.clientY + box.scrollTop - startY;
        setDrag({ id, from, to: placeAt(rows, from, y), y, rows });
        scrollNear(box, next.clientY);
      };
      window.addEventListener("pointermove", follow, { signal });
      window.addEventListener("pointerup", (next) => next.pointerId === pointer && end(true), { signal });
      window.addEventListener("pointercancel", () => end(false), { signal });
      window.addEventListener(
        "keydown",
        (key) => {
          if (key.key !== "Escape") return;
          key.preventDefault();
          key.stopPropagation();
          end(false);
        },
        { signal, capture: true },
      );
    },
    /** Absent while nothing is dragged. */
    shift(id: string): RowShift | undefined {
      const now = drag();
      if (now === null) return undefined;
      if (now.id === id) return { y: now.y, held: true };
      const at = now.rows.findIndex((row) => row.id === id);
      const height = now.rows[now.from]?.height ?? 0;
      if (at > now.from && at <= now.to) return { y: -height, held: false };
      if (at < now.from && at >= now.to) return { y: height, held: false };
      return { y: 0, held: false };
    },
  };
}

/** The place whose middle the dragged row's middle has passed. */
export function placeAt(rows: readonly { top: number; height: number }[], from: number, y: number): number {
  const held = rows[from];
  if (held === undefined) return from;
  const middle = held.top + held.height / 2 + y;
  let to = from;
  for (const [index, row] of rows.entries()) {
    const rowMiddle = row.top + row.height / 2;
    if (index > from && middle > rowMiddle) to = index;
    if (index < from && middle < rowMiddle) return index;
  }
  return to;
}

const SCROLL_WITHIN_PX = 24;

/** A long list scrolls when the pointer comes near its edge. */
function scrollNear(box: HTMLElement, y: number): void {
  const { top, bottom } = box.getBoundingClientRect();
  if (y < top + SCROLL_WITHIN_PX) box.scrollBy(0, -8);
  else if (y > bottom - SCROLL_WITHIN_PX) box.scrollBy(0, 8);
}
