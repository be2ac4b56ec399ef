/**
 * React 16 to 19: every element that React made carries its fiber under a key with a random end. Components are the fibers above it whose
 * type is a function or an object; of `memo`, `forwardRef`, `lazy` and contexts the name may stand at the wrapper or inside it.
 */
import { attempt, type Components, type Reader } from "./reader.js";
import { firstOwnFrame, repositoryPlace } from "./source.js";

/** The parts of a fiber that are read. They are React's own business and have been the same in shape since version 16. */
interface Fiber {
  type?: unknown;
  elementType?: unknown;
  return?: Fiber | null;
  alternate?: Fiber | null;
  _debugOwner?: unknown;
  _debugSource?: { fileName?: unknown; lineNumber?: unknown; columnNumber?: unknown } | null;
  _debugStack?: unknown;
}

const KEYS = ["__reactFiber$", "__reactInternalInstance$"];
const FIBERS_MAX = 2000;

/** Parts of frameworks that nobody wrote in this repository and nobody would look for. */
const FOREIGN = new Set([
  "AppRouter",
  "ClientPageRoot",
  "ClientSegmentRoot",
  "DevRootHTTPAccessFallbackBoundary",
  "ErrorBoundaryHandler",
  "HTTPAccessFallbackBoundary",
  "HTTPAccessFallbackErrorBoundary",
  "HotReload",
  "InnerLayoutRouter",
  "InnerScrollAndFocusHandler",
  "LoadingBoundary",
  "NotFoundBoundary",
  "OuterLayoutRouter",
  "PathnameContextProviderAdapter",
  "RedirectBoundary",
  "RedirectErrorBoundary",
  "RenderFromTemplateContext",
  "RootErrorBoundary",
  "ScrollAndFocusHandler",
  "SegmentViewNode",
  "ServerRoot",
]);

export function createReact(components: Components): Reader {
  let key: string | undefined;
  let development = false;

  const fiberOf = (element: Element): Fiber | null => {
    const bag = element as unknown as Record<string, unknown>;
    if (key === undefined || !(key in bag)) {
      const own = Object.keys(bag).find((one) => KEYS.some((prefix) => one.startsWith(prefix)));
      if (own === undefined) return null;
      key = own;
    }
    const fiber = bag[key];
    return typeof fiber === "object" && fiber !== null ? (fiber as Fiber) : null;
  };

  const componentAbove = (start: Fiber): number => {
    // First up to what is known, then down again, so that a component is listed after the one around it.
    const fresh: [Fiber, string][] = [];
    let parent = -1;
    let fiber = start.return ?? null;
    for (let steps = 0; fiber !== null && fiber !== undefined && steps < FIBERS_MAX; steps += 1) {
      const at: Fiber = fiber;
      const known = components.known(at) ?? (at.alternate ? components.known(at.alternate) : undefined);
      if (known !== undefined) {
        parent = known;
        break;
      }
      const name = attempt(() => nameOf(at, development), "");
      if (name !== "" && !FOREIGN.has(name)) fresh.push([at, name]);
      fiber = at.return ?? null;
    }
    for (const [one, name] of fresh.reverse()) {
      parent = components.add(one, name, parent);
      if (one.alternate) components.alias(one.alternate, parent);
    }
    return parent;
  };

  return {
    componentOf(element) {
      const fiber = fiberOf(element);
      if (fiber === null) return undefined;
      development ||= "_debugOwner" in fiber;
      return componentAbove(fiber);
    },
    sourceOf(element) {
      const fiber = fiberOf(element);
      return fiber === null ? null : sourceOf(fiber);
    },
    kind: () => (development ? "react-dev" : "react-prod"),
  };
}

/** The name that a person would know a fiber by, or nothing. */
function nameOf(fiber: Fiber, development: boolean): string {
  if (typeof fiber.type === "string") return "";
  // The wrapper's own name is lost on `type`, which is what it wraps.
  const candidates = [typeName(fiber.elementType, 0), typeName(fiber.type, 0)];
  for (const candidate of candidates) {
    if (candidate === null) continue;
    const { name, given } = candidate;
    if (name === "" || name === "Anonymous" || name === "Unknown") continue;
    // A minifier leaves one or two letters, or three in a large bundle.
    if (!development && !given && !/^[A-Z][A-Za-z0-9_$]*[a-z]{2}/.test(name)) continue;
    return name;
  }
  return "";
}

/** `given` is a name that was set by hand, which no minifier touches. */
function typeName(type: unknown, depth: number): { name: string; given: boolean } | null {
  if (depth > 5 || type === null || type === undefined) return null;
  if (typeof type === "function") {
    const given = text((type as { displayName?: unknown }).displayName);
    return given !== "" ? { name: given, given: true } : { name: text(type.name), given: false };
  }
  if (typeof type !== "object") return null;
  const wrapper = type as Record<string, unknown>;
  const tag = typeof wrapper.$$typeof === "symbol" ? String(wrapper.$$typeof.description) : "";
  if (tag === "react.provider" || tag === "react.context" || tag === "react.consumer") {
    return contextName(wrapper, tag);
  }
  const given = text(wrapper.displayName);
  if (given !== "") return { name: given, given: true };
  if (tag === "react.memo") return typeName(wrapper.type, depth + 1);
  if (tag === "react.forward_ref") return typeName(wrapper.render, depth + 1);
  return null;
}

/** Contexts are part of the way only where somebody named them. */
function contextName(wrapper: Record<string, unknown>, tag: string): { name: string; given: boolean } | null {
  const context = (wrapper._context ?? wrapper) as Record<string, unknown>;
  const given = text(context.displayName);
  if (given === "") return null;
  return { name: `${given}.${tag === "react.consumer" ? "Consumer" : "Provider"}`, given: true };
}

function sourceOf(fiber: Fiber): string | null {
  const source = fiber._debugSource;
  if (typeof source === "object" && source !== null && typeof source.fileName === "string") {
    return repositoryPlace(source.fileName, source.lineNumber, source.columnNumber);
  }
  const stack = (fiber._debugStack as { stack?: unknown } | null | undefined)?.stack;
  return typeof stack === "string" ? firstOwnFrame(stack) : null;
}

function text(value: unknown): string {
  return typeof value === "string" ? value.trim() : "";
}
