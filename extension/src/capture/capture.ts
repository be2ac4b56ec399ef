/**
 * What a piece of a web page becomes: the types of a capture, their limits, and the check that everything from a page passes before it
 * is believed. `vectors/capture.json` is an example that the server's types are held to. Nothing here touches the DOM or `chrome`.
 */
import { cleanText, cleanUrl } from "./redact.js";

export const LIMIT = {
  /** Elements of one capture. */
  nodes: 250,
  depth: 24,
  /** An element's own text, and its accessible name. */
  textCharacters: 100,
  attributeCharacters: 120,
  classes: 5,
  attributes: 16,
  /** Components between an element and the one above it, innermost kept. */
  components: 6,
  componentCharacters: 80,
  selectorCharacters: 300,
  sourceCharacters: 200,
  titleCharacters: 160,
  urlCharacters: 400,
  /** The whole capture as JSON, in bytes of UTF-8. */
  bytes: 24 * 1024,
} as const;

/** Left, top, width, height in CSS pixels of the top viewport. */
export type Box = [number, number, number, number];

export const FRAMEWORKS = ["react-dev", "react-prod", "vue-dev", "vue-prod", "svelte-dev"] as const;
export type Framework = (typeof FRAMEWORKS)[number];

/** How the person chose: a rectangle, or one element with what is in it. */
export type SelectionKind = "area" | "element";

export interface CaptureNode {
  tag: string;
  /**
   * A CSS selector. `> …` goes on where the parent's ended; `>>> …` does so inside of the parent's shadow root or frame; anything else
   * stands for itself. Absent where the parent is.
   */
  selector?: string;
  id?: string;
  /** Without generated ones. */
  classes?: string[];
  role?: string;
  /** Accessible name. */
  name?: string;
  /** Its own text, without that of elements inside it. */
  text?: string;
  /** Components that begin between the element above and this one, outermost first. */
  components?: string[];
  /** `path:line:column`, as far as the build tells, from the likely top of the repository. */
  source?: string;
  attributes?: Record<string, string>;
  box?: Box;
  /** Computed values that differ from the usual, or from the element above. */
  style?: Record<string, string>;
  children?: CaptureNode[];
  /** That many siblings of the same shape follow and are left out. */
  similar?: number;
  /** That many elements inside are left out because the capture would be too large. */
  omitted?: number;
}

export interface ContextCapture {
  version: 1;
  page: { url: string; title: string; width: number; height: number; pixelRatio: number };
  kind: SelectionKind;
  selection: Box;
  framework?: Framework;
  /** Components around everything that was selected, outermost first. */
  components: string[];
  nodes: CaptureNode[];
  counts: CaptureCounts;
}

export interface CaptureCounts {
  /** Elements in the selection. */
  seen: number;
  kept: number;
  /** Wrappers that say nothing. */
  collapsed: number;
  /** Left out as siblings of the same shape. */
  repeated: number;
  /** Places where something was withheld. */
  redacted: number;
  /** Left out because the capture would be too large. */
  truncated: number;
  /** Frames of other sites, which cannot be read. */
  frames: number;
}

const COUNTS = ["seen", "kept", "collapsed", "repeated", "redacted", "truncated", "frames"] as const;
const COORDINATE_MAX = 10_000_000;

/** Reads what came from a page. Everything is checked, cut and cleaned again; null when it is no capture at all. */
export function parseCapture(value: unknown): ContextCapture | null {
  if (!isObject(value) || value.version !== 1 || !isObject(value.page)) return null;
  const { page } = value;
  const url = typeof page.url === "string" ? cleanUrl(page.url, null, LIMIT.urlCharacters) : "";
  const selection = parseBox(value.selection);
  if (url === "" || selection === undefined || !Array.isArray(value.nodes)) return null;
  const budget = { nodes: LIMIT.nodes };
  const nodes = parseNodes(value.nodes, 0, budget);
  if (nodes.length === 0) return null;
  const counts = isObject(value.counts) ? value.counts : {};
  const capture: ContextCapture = {
    version: 1,
    page: {
      url,
      title: parseText(page.title, LIMIT.titleCharacters) ?? "",
      width: parseNumber(page.width) ?? 0,
      height: parseNumber(page.height) ?? 0,
      pixelRatio: parseNumber(page.pixelRatio) ?? 1,
    },
    kind: value.kind === "element" ? "element" : "area",
    selection,
    components: parseComponents(value.components) ?? [],
    nodes,
    counts: Object.fromEntries(
      COUNTS.map((key) => [key, parseCount(counts[key])]),
    ) as unknown as CaptureCounts,
  };
  const framework = FRAMEWORKS.find((one) => one === value.framework);
  if (framework !== undefined) capture.framework = framework;
  return fitBytes(capture);
}

/** Leaves out what matters least until the capture is small enough: styles, then boxes, then the deepest elements. */
export function fitBytes(capture: ContextCapture): ContextCapture {
  if (byteLength(capture) <= LIMIT.bytes) return capture;
  eachNode(capture.nodes, (node) => delete node.style);
  if (byteLength(capture) <= LIMIT.bytes) return capture;
  eachNode(capture.nodes, (node) => delete node.box);
  let over = byteLength(capture) - LIMIT.bytes;
  for (let depth = depthOf(capture.nodes) - 1; depth >= 1 && over > 0; depth -= 1) {
    over = cutBelow(capture.nodes, depth, over, capture.counts);
  }
  while (over > 0 && capture.nodes.length > 1) {
    over -= byteLength(capture.nodes.pop());
    capture.counts.kept -= 1;
    capture.counts.truncated += 1;
  }
  return capture;
}

export function byteLength(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}

/** Visits elements and everything in them, an element before what it contains. */
export function eachNode(nodes: readonly CaptureNode[], visit: (node: CaptureNode) => void): void {
  for (const node of nodes) {
    visit(node);
    if (node.children !== undefined) eachNode(node.children, visit);
  }
}

function depthOf(nodes: readonly CaptureNode[]): number {
  return nodes.reduce((deepest, node) => Math.max(deepest, 1 + depthOf(node.children ?? [])), 0);
}

/** What an element needs to say that something is left out of it, in bytes. */
const OMITTED_BYTES = 20;

/** Takes away what lies deeper than so many levels, the last of it first, until no more bytes are over. */
function cutBelow(nodes: readonly CaptureNode[], depth: number, over: number, counts: CaptureCounts): number {
  let left = over;
  for (const node of nodes.toReversed()) {
    if (left <= 0) break;
    if (node.children === undefined) continue;
    if (depth > 1) {
      left = cutBelow(node.children, depth - 1, left, counts);
      continue;
    }
    let cut = 0;
    eachNode(node.children, () => {
      cut += 1;
    });
    left -= byteLength(node.children) - OMITTED_BYTES;
    delete node.children;
    node.omitted = (node.omitted ?? 0) + cut;
    counts.truncated += cut;
    counts.kept -= cut;
  }
  return left;
}

function parseNodes(values: readonly unknown[], depth: number, budget: { nodes: number }): CaptureNode[] {
  const nodes: CaptureNode[] = [];
  for (const value of values) {
    if (budget.nodes <= 0) break;
    if (!isObject(value)) continue;
    const tag = typeof value.tag === "string" ? value.tag.toLowerCase() : "";
    if (!/^[a-z][\w.-]{0,63}$/.test(tag)) continue;
    budget.nodes -= 1;
    const node = parseFacts(tag, value);
    if (Array.isArray(value.children) && depth + 1 < LIMIT.depth) {
      const children = parseNodes(value.children, depth + 1, budget);
      if (children.length > 0) node.children = children;
    }
    nodes.push(node);
  }
  return nodes;
}

function parseFacts(tag: string, value: Record<string, unknown>): CaptureNode {
  const classes = Array.isArray(value.classes)
    ? value.classes.flatMap((one) => parseText(one, 64) ?? []).slice(0, LIMIT.classes)
    : [];
  return compact({
    tag,
    selector: parseText(value.selector, LIMIT.selectorCharacters),
    id: parseText(value.id, 64),
    classes: classes.length > 0 ? classes : undefined,
    role: parseText(value.role, 40),
    name: parseText(value.name, LIMIT.textCharacters),
    text: parseText(value.text, LIMIT.textCharacters),
    components: parseComponents(value.components),
    source: parseText(value.source, LIMIT.sourceCharacters),
    attributes: parseRecord(value.attributes, LIMIT.attributes),
    box: parseBox(value.box),
    style: parseRecord(value.style, 24),
    similar: parseCount(value.similar) || undefined,
    omitted: parseCount(value.omitted) || undefined,
  });
}

/** Without the properties that are undefined. */
export function compact<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T;
}

function parseComponents(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const names = value.flatMap((one) => parseText(one, LIMIT.componentCharacters) ?? []);
  return names.length === 0 ? undefined : names.slice(-LIMIT.components);
}

function parseRecord(value: unknown, max: number): Record<string, string> | undefined {
  if (!isObject(value)) return undefined;
  const entries = Object.entries(value)
    .filter(([key, one]) => /^[a-z][a-z0-9-]{0,40}$/.test(key) && typeof one === "string")
    .slice(0, max)
    .map(([key, one]) => [key, cleanText(String(one), LIMIT.attributeCharacters)]);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function parseText(value: unknown, max: number): string | undefined {
  if (typeof value !== "string") return undefined;
  const text = cleanText(value, max);
  return text === "" ? undefined : text;
}

function parseBox(value: unknown): Box | undefined {
  if (!Array.isArray(value) || value.length !== 4) return undefined;
  const numbers = value.map(parseNumber);
  return numbers.every((one) => one !== undefined) ? (numbers as Box) : undefined;
}

function parseNumber(value: unknown): number | undefined {
  if (typeof value !== "number" || !Number.isFinite(value) || Math.abs(value) > COORDINATE_MAX)
    return undefined;
  return Math.round(value * 100) / 100;
}

function parseCount(value: unknown): number {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value < 1e9 ? value : 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
