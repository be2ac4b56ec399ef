/**
 * From the elements of a selection to those worth telling: runs of the same shape are told once, wrappers that say nothing are left out, and
 * no more are kept than a capture may have. Decides only which; `extract.ts` reads what they say.
 */
import { LIMIT } from "../capture/capture.js";
import type { Collected, Found } from "./collect.js";
import { isHiddenField, isPrivate, roleOf, spreadSecret, TEST_IDS } from "./describe.js";
import { attributeOf, type Matches, nodesOf, tagOf, textOf } from "./dom.js";
import type { Names } from "./names.js";
import { stableId } from "./selector.js";

/** An element that is told. */
export interface Kept {
  found: Found;
  children: Kept[];
  similar: number;
  omitted: number;
  /** What stands for everything in it, which is not told. */
  withheld: string | undefined;
}

export interface Condensed {
  roots: Kept[];
  kept: number;
  collapsed: number;
  repeated: number;
  truncated: number;
  redacted: number;
  /** Elements that are not looked into. */
  closed: Matches;
}

/** Of a run of siblings of one shape so many are told. */
const RUN_KEPT = 2;
const RUN_MIN = 4;
const WRAPPERS = new Set(["div", "span", "section", "center", "font", "slot", "g", "tbody"]);

export function condense({ roots, closed }: Collected, names: Names): Condensed {
  const result: Condensed = {
    roots: [],
    kept: 0,
    collapsed: 0,
    repeated: 0,
    truncated: 0,
    redacted: 0,
    closed,
  };
  result.roots = keepAll(roots, -1, names, result, 0);
  result.kept = cutToLimit(result);
  return result;
}

function keepAll(
  list: readonly Found[],
  above: number,
  names: Names,
  into: Condensed,
  depth: number,
): Kept[] {
  const kept: Kept[] = [];
  for (const run of runsOf(list, names)) {
    const before = kept.length;
    const shown = run.length >= RUN_MIN ? run.slice(0, RUN_KEPT) : run;
    for (const found of shown) {
      for (const one of keepOne(found, above, names, into, depth)) kept.push(one);
    }
    const last = kept.at(-1);
    if (last !== undefined && kept.length > before) last.similar += run.length - shown.length;
    for (const found of run.slice(shown.length)) into.repeated += count(found);
  }
  return kept;
}

function keepOne(found: Found, above: number, names: Names, into: Condensed, depth: number): Kept[] {
  const { element } = found;
  if (isHiddenField(element)) {
    into.redacted += 1;
    return [];
  }
  const closed = into.closed.has(element);
  const withheld = closed ? (isPrivate(element) ? "[private]" : undefined) : spreadSecret(element);
  if (withheld !== undefined) into.redacted += 1;
  const component = names.componentOf(element);
  const silent = closed || withheld !== undefined;
  if (!silent && depth > 0 && !saysSomething(element, component !== above)) {
    into.collapsed += 1;
    return keepAll(found.children, above, names, into, depth);
  }
  const children = silent ? [] : keepAll(found.children, component, names, into, depth + 1);
  return [{ found, children, similar: 0, omitted: 0, withheld }];
}

function saysSomething(element: Element, newComponent: boolean): boolean {
  const tag = tagOf(element);
  if (newComponent || !WRAPPERS.has(tag)) return true;
  if (roleOf(element) !== undefined || stableId(element) !== null) return true;
  if (
    attributeOf(element, "aria-label") !== null ||
    TEST_IDS.some((name) => attributeOf(element, name) !== null)
  )
    return true;
  for (const node of nodesOf(element)) {
    if (node.nodeType === Node.TEXT_NODE && textOf(node).trim() !== "") return true;
  }
  return false;
}

/** Neighbours of one shape together. */
function runsOf(list: readonly Found[], names: Names): Found[][] {
  const runs: Found[][] = [];
  let before: string | undefined;
  for (const found of list) {
    const shape = shapeOf(found, names);
    if (shape === before) runs.at(-1)?.push(found);
    else runs.push([found]);
    before = shape;
  }
  return runs;
}

/** Two siblings with the same are told by one of them. A state that only one has keeps it apart. */
function shapeOf({ element, children }: Found, names: Names): string {
  const [component] = names.answer.components[names.componentOf(element)] ?? [""];
  const [firstClass] = (attributeOf(element, "class") ?? "").trim().split(/\s+/, 1);
  const state = ["aria-selected", "aria-current", "aria-expanded", "aria-invalid", "disabled", "role"]
    .map((name) => attributeOf(element, name) ?? "")
    .join("|");
  return `${tagOf(element)}.${firstClass} ${component} ${state} ${Math.min(children.length, 1)}`;
}

/** Breadth first, so that what is cut is deep or late. */
function cutToLimit(result: Condensed): number {
  for (const root of result.roots.splice(LIMIT.nodes)) result.truncated += countKept(root);
  let kept = result.roots.length;
  let level = result.roots;
  for (let depth = 1; level.length > 0; depth += 1) {
    const next: Kept[] = [];
    for (const node of level) {
      const room = depth < LIMIT.depth ? LIMIT.nodes - kept : 0;
      for (const child of node.children.splice(room)) node.omitted += countKept(child);
      result.truncated += node.omitted;
      kept += node.children.length;
      next.push(...node.children);
    }
    level = next;
  }
  return kept;
}

function count(found: Found): number {
  return found.children.reduce((sum, child) => sum + count(child), 1);
}

function countKept(kept: Kept): number {
  return kept.children.reduce((sum, child) => sum + countKept(child), 1);
}
