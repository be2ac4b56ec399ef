/** Asks the page's own world which components elements belong to: says where each stands, and holds the answer against the elements. */
import { type NameAnswer, type NameRequest, NO_NAMES, type Place, STEP } from "../framework/request.js";
import { domParent, siblingsOf, tagOf } from "./dom.js";

/** Sends a request to the page's world; the answer has been checked. */
export type AskPage = (request: NameRequest) => Promise<NameAnswer>;

export interface Names {
  answer: NameAnswer;
  /** The innermost component of an element that was asked about, or -1. */
  componentOf(element: Element): number;
  sourceOf(element: Element): string | undefined;
}

/** Names for these elements; without an answer there are none, and a capture is still worth having. */
export async function askNames(elements: Iterable<Element>, ask: AskPage): Promise<Names> {
  const places = new Places();
  for (const element of elements) places.indexOf(element);
  const answer = await ask({ places: places.list }).catch(() => NO_NAMES);
  const entry = (element: Element): [number, string | null] | undefined => {
    const index = places.known(element);
    return index === undefined ? undefined : answer.elements[index];
  };
  return {
    answer,
    componentOf: (element) => entry(element)?.[0] ?? -1,
    sourceOf: (element) => entry(element)?.[1] ?? undefined,
  };
}

class Places {
  readonly list: Place[] = [];
  readonly #indexes = new Map<Element, number>();
  readonly #positions = new Map<Element, number>();

  known(element: Element): number | undefined {
    return this.#indexes.get(element);
  }

  /** The element's place in the list, after those of everything above it. */
  indexOf(element: Element): number {
    const way: Element[] = [];
    for (
      let at: Element | null = element;
      at !== null && !this.#indexes.has(at);
      at = domParent(at)?.element ?? null
    ) {
      way.push(at);
    }
    for (const one of way.reverse()) this.#add(one);
    return this.#indexes.get(element) ?? -1;
  }

  #add(element: Element): void {
    const parent = domParent(element);
    const above = parent === null ? -1 : (this.#indexes.get(parent.element) ?? -1);
    const step = parent === null ? STEP.child : STEP[parent.step];
    const child = step === STEP.frame ? 0 : this.#position(element);
    this.#indexes.set(element, this.list.push([above, step, child, tagOf(element)]) - 1);
  }

  /** Counts all siblings at once: asking each for its index would cost the square of a long table. */
  #position(element: Element): number {
    const known = this.#positions.get(element);
    if (known !== undefined) return known;
    let index = 0;
    for (const sibling of siblingsOf(element)) {
      this.#positions.set(sibling, index);
      index += 1;
    }
    return this.#positions.get(element) ?? 0;
  }
}
