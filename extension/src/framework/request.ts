/**
 * What is asked of the page's own world, and what it answers: which component each element belongs to. Elements are named by where they
 * stand, because objects do not cross worlds. The answer comes from the page and is believed only after `parseAnswer`.
 */
import { FRAMEWORKS, type Framework, LIMIT } from "../capture/capture.js";
import { cleanText } from "../capture/redact.js";

/** How an element is reached from the one before it: a child, a child inside its open shadow root, the root of its frame's document. */
export const STEP = { child: 0, shadow: 1, frame: 2 } as const;

/** Index of the parent in the list (-1 is the document's root element itself), kind of step, index among the children. */
export type Place = [parent: number, step: number, child: number, tag: string];

export interface NameRequest {
  places: Place[];
}

export interface NameAnswer {
  framework: Framework | null;
  /** Name, and index of the component around it or -1. */
  components: [string, number][];
  /** For each place: index of its innermost component or -1, and where it is written. */
  elements: [number, string | null][];
}

export const NO_NAMES: NameAnswer = { framework: null, components: [], elements: [] };

const COMPONENTS_MAX = 20_000;

/** Reads an answer of the page for so many places; whatever is not as it should be is left out. */
export function parseAnswer(value: unknown, places: number): NameAnswer {
  if (typeof value !== "object" || value === null) return NO_NAMES;
  const { framework, components, elements } = value as Record<string, unknown>;
  if (!Array.isArray(components) || !Array.isArray(elements)) return NO_NAMES;
  const names: [string, number][] = components.slice(0, COMPONENTS_MAX).map((one: unknown, index) => {
    const [name, parent] = Array.isArray(one) ? (one as unknown[]) : [];
    const clean = typeof name === "string" ? cleanText(name, LIMIT.componentCharacters) : "";
    // A component is listed after the one around it, so that no chain can be a ring.
    return [clean, isIndex(parent, index) ? parent : -1];
  });
  const found: [number, string | null][] = elements.slice(0, places).map((one: unknown) => {
    const [component, source] = Array.isArray(one) ? (one as unknown[]) : [];
    const clean = typeof source === "string" ? cleanText(source, LIMIT.sourceCharacters) : "";
    return [isIndex(component, names.length) ? component : -1, clean === "" ? null : clean];
  });
  return {
    framework: FRAMEWORKS.find((one) => one === framework) ?? null,
    components: names,
    elements: found,
  };
}

/** Names from the outermost component to this one. */
export function componentChain(answer: NameAnswer, component: number, above = -1): string[] {
  const chain: string[] = [];
  for (let index = component; index >= 0 && index !== above; ) {
    const entry = answer.components[index];
    if (entry === undefined) break;
    if (entry[0] !== "") chain.push(entry[0]);
    index = entry[1];
  }
  return chain.reverse();
}

function isIndex(value: unknown, below: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < below;
}
