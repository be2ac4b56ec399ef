/**
 * Svelte 5 in development: each element says where it is written, and newer versions through which components it came. A production build
 * leaves nothing.
 */
import type { Components, Reader } from "./reader.js";
import { fileStem, repositoryPlace } from "./source.js";

/** The parts of Svelte's notes on elements that are read. */
interface Meta {
  loc?: { file?: unknown; line?: unknown; column?: unknown };
  parent?: Entry | null;
}
interface Entry {
  type?: unknown;
  file?: unknown;
  componentTag?: unknown;
  parent?: Entry | null;
}

const ENTRIES_MAX = 200;

export function createSvelte(components: Components): Reader {
  const metaOf = (element: Element): Meta | null => {
    const meta = (element as { __svelte_meta?: unknown }).__svelte_meta;
    return typeof meta === "object" && meta !== null ? (meta as Meta) : null;
  };
  return {
    componentOf(element) {
      const meta = metaOf(element);
      if (meta === null) return undefined;
      let parent = -1;
      let path = "";
      for (const name of chainOf(meta)) {
        path += `/${name}`;
        parent = components.known(path) ?? components.add(path, name, parent);
      }
      return parent;
    },
    sourceOf(element) {
      const loc = metaOf(element)?.loc;
      if (typeof loc?.file !== "string") return null;
      // Columns are counted from 0 there, and from 1 everywhere else.
      return repositoryPlace(loc.file, loc.line, typeof loc.column === "number" ? loc.column + 1 : undefined);
    },
    kind: () => "svelte-dev",
  };
}

/** From the outermost component to the one whose file has the element. */
function chainOf(meta: Meta): string[] {
  const chain: string[] = [];
  let outermost: unknown;
  let entry = meta.parent;
  for (let steps = 0; entry && steps < ENTRIES_MAX; steps += 1) {
    if (entry.type === "component") {
      if (typeof entry.componentTag === "string") chain.unshift(entry.componentTag);
      outermost = entry.file;
    }
    entry = entry.parent;
  }
  const own = typeof meta.loc?.file === "string" ? fileStem(meta.loc.file) : "";
  if (typeof outermost === "string" && fileStem(outermost) !== chain[0]) chain.unshift(fileStem(outermost));
  // A snippet is written in another file than the component it is shown in.
  if (own !== "" && !chain.includes(own)) chain.push(own);
  return chain.filter((name) => name !== "");
}
