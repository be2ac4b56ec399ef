/** What the readers of single frameworks share: the list of components that they fill, and how they survive a hostile page. */
import type { Framework } from "../capture/capture.js";

/** One framework's view of elements. */
export interface Reader {
  /** The innermost component of this very element, undefined when the framework does not know it. */
  componentOf(element: Element): number | undefined;
  sourceOf(element: Element): string | null;
  kind(): Framework | null;
}

/** Components found so far; each is listed after the one around it. */
export class Components {
  readonly list: [string, number][] = [];
  readonly #known = new Map<unknown, number>();

  known(key: unknown): number | undefined {
    return this.#known.get(key);
  }

  add(key: unknown, name: string, parent: number): number {
    const index = this.list.push([name.slice(0, 200), parent]) - 1;
    this.#known.set(key, index);
    return index;
  }

  alias(key: unknown, index: number): void {
    this.#known.set(key, index);
  }
}

/** The value, or what stands for it when the page threw. */
export function attempt<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
