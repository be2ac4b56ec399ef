/**
 * Which elements a selection means: the element that everything under it belongs to, and in it those that are inside by at least half of
 * their area. Reads boxes only; what the elements say is read later, and only of those that are kept.
 */
import type { Box } from "../capture/capture.js";
import { CLOSED, spreadSecret } from "./describe.js";
import {
  boxOf,
  elementAt,
  frameDocument,
  frameOffset,
  isFrame,
  Matches,
  shownChildren,
  shownParent,
  tagOf,
} from "./dom.js";

/** One element of the selection, and those in it. */
export interface Found {
  element: Element;
  box: Box;
  children: Found[];
}

export interface Collected {
  /** Usually one; several where the element around them is not itself inside. */
  roots: Found[];
  seen: number;
  /** Frames of other sites. */
  frames: number;
  /** Elements that are not looked into. */
  closed: Matches;
}

/** Elements that are looked at; a page may have more, and then its rest is left out. */
const SEEN_MAX = 20_000;
const DEPTH_MAX = 400;
const GRID = 7;
const INSIDE_SHARE = 0.5;
/** These show nothing, or nothing of the page. */
const UNSEEN = new Set(
  "base br head link meta noscript param script source style template title track wbr".split(" "),
);

/** The innermost element that has everything under a rectangle, large enough to cover it. */
export function elementOfArea(area: Box, overlay: Element | null): Element {
  const [x, y, width, height] = area;
  let common: Element | null = null;
  for (let row = 0; row < GRID; row += 1) {
    for (let column = 0; column < GRID; column += 1) {
      const hit = elementAt(x + (width * (column + 0.5)) / GRID, y + (height * (row + 0.5)) / GRID, overlay);
      if (hit !== null) common = common === null ? hit : commonAncestor(common, hit);
    }
  }
  let element = common ?? document.body ?? document.documentElement;
  // A thin row of cells covers no rectangle that was drawn around it: what is meant is what is behind all of it.
  for (
    let above = shownParent(element);
    above !== null && !covers(shownBox(element), area);
    above = shownParent(above)
  ) {
    element = above;
  }
  return element;
}

/** Everything in `top` that the rectangle has. */
export function collectArea(top: Element, area: Box): Collected {
  const collected: Collected = { roots: [], seen: 0, frames: 0, closed: new Matches(CLOSED) };
  collected.roots = collectInside(top, area, frameOffset(top), collected, 0);
  return collected;
}

/** One element and all in it that is shown. */
export function collectElement(element: Element): Collected {
  return collectArea(element, shownBox(element));
}

/** An element's box in the top viewport. */
export function shownBox(element: Element): Box {
  const { x, y } = frameOffset(element);
  return toBox(boxOf(element), x, y);
}

function collectInside(
  element: Element,
  area: Box,
  offset: { x: number; y: number },
  into: Collected,
  depth: number,
): Found[] {
  const tag = tagOf(element);
  if (into.seen >= SEEN_MAX || depth > DEPTH_MAX || UNSEEN.has(tag)) return [];
  const box = toBox(boxOf(element), offset.x, offset.y);
  const [, , width, height] = box;
  const shared = overlap(box, area);
  if (shared > 0 && into.closed.has(element)) {
    // One that is private stands for all that is in it, however little of it was selected.
    into.seen += 1;
    return [{ element, box, children: [] }];
  }
  let children: Element[] = [];
  let inner = offset;
  if (isFrame(tag)) {
    if (shared <= 0) return [];
    if (frameDocument(element, tag) === null) into.frames += 1;
    else {
      inner = { x: box[0] + element.clientLeft, y: box[1] + element.clientTop };
      children = shownChildren(element, tag);
    }
  } else if (tag !== "svg") {
    children = shownChildren(element, tag);
  }
  const found: Found[] = [];
  for (const child of children) {
    for (const one of collectInside(child, area, inner, into, depth + 1)) found.push(one);
  }
  // An element without a size may still carry some that have one, such as `display: contents` and what is placed absolutely.
  const inside = width > 0 && height > 0 && shared >= width * height * INSIDE_SHARE;
  if (!inside && (found.length === 0 || spreadSecret(element) === undefined)) return found;
  into.seen += 1;
  return [{ element, box, children: found }];
}

function commonAncestor(one: Element, other: Element): Element | null {
  const above = new Set<Element>();
  for (let at: Element | null = one; at !== null; at = shownParent(at)) above.add(at);
  for (let at: Element | null = other; at !== null; at = shownParent(at)) if (above.has(at)) return at;
  return document.documentElement;
}

function covers(outer: Box, inner: Box): boolean {
  const slack = 1;
  return (
    outer[0] <= inner[0] + slack &&
    outer[1] <= inner[1] + slack &&
    outer[0] + outer[2] >= inner[0] + inner[2] - slack &&
    outer[1] + outer[3] >= inner[1] + inner[3] - slack
  );
}

/** The area that two boxes share. */
function overlap(one: Box, other: Box): number {
  const width = Math.min(one[0] + one[2], other[0] + other[2]) - Math.max(one[0], other[0]);
  const height = Math.min(one[1] + one[3], other[1] + other[3]) - Math.max(one[1], other[1]);
  return width > 0 && height > 0 ? width * height : 0;
}

function toBox(rect: DOMRect, x: number, y: number): Box {
  return [rect.left + x, rect.top + y, rect.width, rect.height];
}
