/**
 * Choosing by pointer or keys: drag an area, click the nearest component, or walk through the elements. The page's own events are not
 * listened to and not disturbed; everything happens on the highlight's surface.
 */
import type { Box } from "../capture/capture.js";
import { componentChain } from "../framework/request.js";
import { shownBox } from "./collect.js";
import { roleOf } from "./describe.js";
import { attributeOf, elementAt, shownChildren, shownParent, tagOf } from "./dom.js";
import type { Target } from "./extract.js";
import { createHighlight, type Highlight } from "./highlight.js";
import { type AskPage, askNames } from "./names.js";

/** A pointer that moved less has clicked. */
const DRAG_MIN = 5;
/** A component that fills more of the viewport is hardly what somebody pointed at. */
const WHOLE_PAGE_SHARE = 0.6;
const KEYS = new Set(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Enter", "Escape", " "]);

export interface Picking {
  highlight: Highlight;
  key(key: string): void;
  cancel(): void;
  /** Ends without a word. */
  stop(): void;
}

/** Runs until something is chosen, or null is. */
export function startPicking(ask: AskPage, done: (target: Target | null) => void): Picking {
  const highlight = createHighlight();
  const { host, surface } = highlight;
  const life = new AbortController();
  const choice = createChoice(highlight, ask);
  let start: { x: number; y: number } | null = null;
  let dragged = false;

  const stop = (): void => {
    life.abort();
    highlight.remove();
    if (focused instanceof HTMLElement && focused !== document.body) focused.focus({ preventScroll: true });
  };
  const end = (target: Target | null): void => {
    if (life.signal.aborted) return;
    stop();
    done(target);
  };
  const take = (): void => {
    const element = choice.element();
    if (element !== null) end({ kind: "element", element });
  };
  const key = (name: string): void => {
    if (name === "Escape") end(null);
    else if (name === "Enter" || name === " ") take();
    else choice.walk(name);
  };
  const on = <K extends keyof DocumentEventMap>(
    type: K,
    listener: (event: DocumentEventMap[K]) => void,
  ): void => {
    surface.addEventListener(type, listener, { signal: life.signal });
  };
  on("pointerdown", (event) => {
    event.preventDefault();
    surface.body.focus();
    if (event.button !== 0) return;
    start = { x: event.clientX, y: event.clientY };
    dragged = false;
    surface.body.setPointerCapture(event.pointerId);
  });
  on("pointermove", (event) => {
    if (start === null) {
      choice.point(event.clientX, event.clientY);
      return;
    }
    const area = between(start, event, surface);
    dragged ||= Math.max(area[2], area[3]) >= DRAG_MIN;
    highlight.drawing(dragged);
    if (dragged) choice.area(area);
  });
  on("pointerup", (event) => {
    if (start === null) return;
    const area = between(start, event, surface);
    start = null;
    if (dragged) end({ kind: "area", area });
    else void choice.pointNow(event.clientX, event.clientY).then(take);
  });
  on("pointercancel", () => {
    start = null;
    highlight.drawing(false);
  });
  on("contextmenu", (event) => event.preventDefault());
  let pressed = "";
  on("keydown", (event) => {
    if (!KEYS.has(event.key)) return;
    event.preventDefault();
    // What ends the selection does so when the key is let go: that, too, is not for the page to hear.
    if (event.key.startsWith("Arrow")) key(event.key);
    else pressed = event.key;
  });
  on("keyup", (event) => {
    if (event.key === pressed) key(event.key);
  });
  // The page may scroll under a choice that was made.
  addEventListener("scroll", () => choice.again(), { signal: life.signal, capture: true, passive: true });
  // That the page goes away is for the worker to say.
  addEventListener("pagehide", stop, { signal: life.signal });
  // Takes the keys of the page only, and only once the browser gives the page any.
  const focused = document.activeElement;
  surface.body.focus({ preventScroll: true });
  host.addEventListener(
    "toggle",
    (event) => {
      if ((event as ToggleEvent).newState === "closed") end(null);
    },
    { signal: life.signal },
  );
  return { highlight, key, cancel: () => end(null), stop };
}

/** The element that would be taken, and how it came to be that. */
function createChoice(highlight: Highlight, ask: AskPage) {
  let chosen: Element | null = null;
  let label = "";
  let waiting: { x: number; y: number } | null = null;
  let busy = false;

  const show = (): void => {
    if (chosen !== null) highlight.show(shownBox(chosen), label, "element");
  };
  /** Counts choices, so that names that come late do not bring back an earlier one. */
  let turn = 0;
  const choose = async (element: Element, nearest: boolean): Promise<void> => {
    turn += 1;
    const mine = turn;
    if (!nearest) {
      chosen = element;
      label = elementLabel(element, undefined);
      show();
    }
    const names = await askNames(aboveAll(element), ask);
    if (mine !== turn) return;
    const boundary = nearest ? nearestComponent(element, names.componentOf) : element;
    chosen = boundary;
    const component = componentChain(names.answer, names.componentOf(boundary)).at(-1);
    label = component !== undefined && nearest ? component : elementLabel(boundary, component);
    show();
  };
  const pointNow = async (x: number, y: number): Promise<void> => {
    const element = elementAt(x, y, highlight.host);
    if (element !== null) await choose(element, true);
  };
  const next = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    while (waiting !== null) {
      const { x, y } = waiting;
      waiting = null;
      await pointNow(x, y);
    }
    busy = false;
  };
  return {
    element: () => chosen,
    pointNow: (x: number, y: number) => {
      waiting = null;
      return pointNow(x, y);
    },
    point(x: number, y: number): void {
      waiting = { x, y };
      void next();
    },
    area(box: Box): void {
      waiting = null;
      turn += 1;
      chosen = null;
      highlight.show(box, "Area", "area");
    },
    again: show,
    walk(key: string): void {
      const from = chosen ?? elementAt(innerWidth / 2, innerHeight / 2, highlight.host) ?? document.body;
      const to = chosen === null ? from : neighbour(from, key);
      if (to === null) return;
      waiting = null;
      to.scrollIntoView?.({ block: "nearest", inline: "nearest" });
      void choose(to, false);
    },
  };
}

function neighbour(from: Element, key: string): Element | null {
  const shown = (element: Element): boolean => shownBox(element)[2] > 0 && shownBox(element)[3] > 0;
  if (key === "ArrowUp") {
    const above = shownParent(from);
    return above === document.documentElement ? null : above;
  }
  if (key === "ArrowDown") return shownChildren(from).find(shown) ?? null;
  const above = shownParent(from);
  if (above === null) return null;
  const siblings = shownChildren(above).filter(shown);
  const at = siblings.indexOf(from);
  return siblings[at + (key === "ArrowRight" ? 1 : -1)] ?? null;
}

/** The outermost element of the same component; without components, the nearest element that means something on its own. */
function nearestComponent(element: Element, componentOf: (element: Element) => number): Element {
  const component = componentOf(element);
  if (component < 0) return nearestMeaning(element);
  let top = element;
  for (
    let above = shownParent(top);
    above !== null && componentOf(above) === component;
    above = shownParent(top)
  )
    top = above;
  const [, , width, height] = shownBox(top);
  return width * height > innerWidth * innerHeight * WHOLE_PAGE_SHARE ? nearestMeaning(element) : top;
}

const PRESSED = new Set(["button", "checkbox", "link", "menuitem", "option", "radio", "switch", "tab"]);
const MEANING =
  /^(?:canvas|caption|code|dd|dt|figcaption|figure|input|label|legend|p|pre|section|select|summary|textarea|video)$|-/;

/** Without components: what can be pressed, else what stands for something on its own. */
function nearestMeaning(element: Element): Element {
  const near: Element[] = [];
  for (let at: Element | null = element; at !== null && near.length < 4; at = shownParent(at)) near.push(at);
  return (
    near.find((one) => PRESSED.has(roleOf(one) ?? "")) ??
    near.find((one) => roleOf(one) !== undefined || MEANING.test(tagOf(one))) ??
    element
  );
}

function elementLabel(element: Element, component: string | undefined): string {
  const id = attributeOf(element, "id");
  const [first] = (attributeOf(element, "class") ?? "").trim().split(/\s+/, 1);
  const mark = id ? `#${id}` : first ? `.${first}` : "";
  const label = `${tagOf(element)}${mark}`.slice(0, 60);
  return component === undefined ? label : `${component} · ${label}`;
}

function* aboveAll(element: Element): Iterable<Element> {
  for (let at: Element | null = element; at !== null; at = shownParent(at)) yield at;
}

/** The rectangle between two points, within the viewport. */
function between(
  from: { x: number; y: number },
  to: { clientX: number; clientY: number },
  surface: Document,
): Box {
  const width = surface.documentElement.clientWidth;
  const height = surface.documentElement.clientHeight;
  const x = Math.max(0, Math.min(width, to.clientX));
  const y = Math.max(0, Math.min(height, to.clientY));
  return [Math.min(from.x, x), Math.min(from.y, y), Math.abs(x - from.x), Math.abs(y - from.y)];
}
