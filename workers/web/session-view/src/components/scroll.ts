/**
 * Keeps what one reads in its place: at the end the timeline follows what comes; anywhere else the first visible entry stays where it
 * is, whatever grows or is put in above it. By hand, because not every browser does it and none does both.
 */
import { type Accessor, createSignal, onCleanup, onMount } from "solid-js";

/** How near to its end the timeline must be to follow it. */
const FOLLOW_WITHIN_PX = 80;

export interface Scroll {
  atEnd: Accessor<boolean>;
  toEnd(): void;
  /** Leaves the end and shows an element of the content, in the middle where there is room. */
  to(element: HTMLElement): void;
  scroller(element: HTMLElement): void;
  content(element: HTMLElement): void;
}

export function createScroll(): Scroll {
  let scroller: HTMLElement | undefined;
  let content: HTMLElement | undefined;
  /** What is visible, from the top, and where it stands: several, because one may go away. */
  let anchors: { element: Element; top: number }[] = [];
  const [atEnd, setAtEnd] = createSignal(true);
  const distance = (box: HTMLElement): number => box.scrollHeight - box.scrollTop - box.clientHeight;
  const toEnd = (): void => {
    setAtEnd(true);
    scroller?.scrollTo({ top: scroller.scrollHeight });
  };
  onMount(() => {
    if (scroller === undefined || content === undefined) return;
    const box = scroller;
    const column = content;
    const listeners = new AbortController();
    let lastTop = 0;
    const remember = (): void => {
      const { top: edge, bottom: end } = box.getBoundingClientRect();
      anchors = [];
      for (const element of column.children) {
        if (element.hasAttribute("data-no-anchor")) continue;
        const { top, bottom } = element.getBoundingClientRect();
        if (top > end) break;
        if (bottom > edge) anchors.push({ element, top: top - edge });
      }
    };
    const restore = (): void => {
      const anchor = anchors.find((one) => one.element.isConnected);
      if (anchor === undefined) return;
      const top = anchor.element.getBoundingClientRect().top - box.getBoundingClientRect().top;
      if (Math.abs(top - anchor.top) >= 1) box.scrollBy({ top: top - anchor.top });
    };
    box.addEventListener(
      "scroll",
      () => {
        const top = box.scrollTop;
        // Growing content also moves the end away; only a move upwards is a person's.
        if (distance(box) <= FOLLOW_WITHIN_PX) setAtEnd(true);
        else if (top < lastTop) setAtEnd(false);
        lastTop = top;
        remember();
      },
      { passive: true, signal: listeners.signal },
    );
    const observer = new ResizeObserver(() => {
      if (atEnd()) box.scrollTo({ top: box.scrollHeight });
      else restore();
      lastTop = box.scrollTop;
    });
    observer.observe(box);
    observer.observe(column);
    onCleanup(() => {
      listeners.abort();
      observer.disconnect();
    });
  });
  return {
    atEnd,
    toEnd,
    to: (element) => {
      setAtEnd(false);
      const tall = element.offsetHeight > (scroller?.clientHeight ?? 0) / 2;
      element.scrollIntoView({ block: tall ? "start" : "center" });
    },
    scroller: (element) => {
      scroller = element;
    },
    content: (element) => {
      content = element;
    },
  };
}
