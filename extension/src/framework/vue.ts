/**
 * Vue 3. A development build leaves the component on each element; of a production build the tree of virtual nodes is walked from the
 * application's container, and names are there as far as the build kept them.
 */
import type { Components, Reader } from "./reader.js";
import { fileStem, repositoryPlace } from "./source.js";

/** The parts of Vue's instances and nodes that are read. */
interface Instance {
  type?: { name?: unknown; __name?: unknown; __file?: unknown };
  parent?: Instance | null;
}
interface VirtualNode {
  type?: unknown;
  el?: unknown;
  children?: unknown;
  component?: (Instance & { subTree?: VirtualNode }) | null;
  suspense?: { activeBranch?: VirtualNode } | null;
}

const NODES_MAX = 100_000;
const INSTANCES_MAX = 500;

export function createVue(components: Components): Reader {
  let development = false;
  let walked: Map<unknown, Instance> | null = null;

  const instanceOf = (element: Element): Instance | null => {
    const own = (element as { __vueParentComponent?: unknown }).__vueParentComponent;
    if (typeof own === "object" && own !== null) {
      development = true;
      return own as Instance;
    }
    if (development) return null;
    walked ??= walkApplications(element.ownerDocument);
    return walked.get(element) ?? null;
  };

  const componentAt = (start: Instance): number => {
    const fresh: [Instance, string][] = [];
    let parent = -1;
    let instance: Instance | null | undefined = start;
    for (let steps = 0; instance && steps < INSTANCES_MAX; steps += 1) {
      const known = components.known(instance);
      if (known !== undefined) {
        parent = known;
        break;
      }
      const name = nameOf(instance);
      if (name !== "") fresh.push([instance, name]);
      instance = instance.parent;
    }
    for (const [one, name] of fresh.reverse()) parent = components.add(one, name, parent);
    return parent;
  };

  return {
    componentOf(element) {
      const instance = instanceOf(element);
      return instance === null ? undefined : componentAt(instance);
    },
    sourceOf(element) {
      const file = instanceOf(element)?.type?.__file;
      return typeof file === "string" ? repositoryPlace(file) : null;
    },
    kind: () => (development ? "vue-dev" : "vue-prod"),
  };
}

/** Vue's own components that only carry others. */
const FOREIGN = new Set([
  "BaseTransition",
  "KeepAlive",
  "RouterView",
  "Suspense",
  "Teleport",
  "Transition",
  "TransitionGroup",
]);

function nameOf(instance: Instance): string {
  const type = instance.type;
  if (typeof type !== "object" && typeof type !== "function") return "";
  for (const name of [type?.name, type?.__name]) {
    if (typeof name === "string" && name !== "") return FOREIGN.has(name) ? "" : name;
  }
  const file = type?.__file;
  return typeof file === "string" ? fileStem(file) : "";
}

/** Which component each element of all applications in the document belongs to. */
function walkApplications(page: Document): Map<unknown, Instance> {
  const found = new Map<unknown, Instance>();
  let left = NODES_MAX;
  for (const container of page.querySelectorAll("[data-v-app]")) {
    const waiting: [unknown, Instance | null][] = [[(container as { _vnode?: unknown })._vnode, null]];
    for (let next = waiting.pop(); next !== undefined && left > 0; next = waiting.pop()) {
      const [value, owner] = next;
      if (typeof value !== "object" || value === null) continue;
      left -= 1;
      const node = value as VirtualNode;
      if (node.component) {
        waiting.push([node.component.subTree, node.component]);
        continue;
      }
      if (typeof node.type === "string" && owner !== null) found.set(node.el, owner);
      if (node.suspense) waiting.push([node.suspense.activeBranch, owner]);
      if (Array.isArray(node.children)) for (const child of node.children) waiting.push([child, owner]);
    }
  }
  return found;
}
