/** CSS selectors that lead back to an element: by a test id or a stable id where there is one, else by the way down to it. */
import { LIMIT } from "../capture/capture.js";
import { redactSecrets } from "../capture/redact.js";
import { TEST_IDS } from "./describe.js";
import { attributeOf, domParent, siblingsOf, tagOf } from "./dom.js";

const STEPS_MAX = 6;

/** A selector that stands for itself, unique in the document, or in the shadow root or frame that the part after `>>>` is in. */
export function uniqueSelector(element: Element): string {
  const parts: string[] = [];
  for (let at: Element | null = element, depth = 0; at !== null && depth < 8; depth += 1) {
    const { selector, top } = selectorInRoot(at);
    parts.unshift(selector);
    at = domParent(top)?.element ?? null;
  }
  return parts.join(" >>> ");
}

/** How to go on from a kept element to one inside it; null where the document does not lead from one to the other. */
export function relativeSelector(element: Element, above: Element): string | null {
  let path = "";
  let at = element;
  for (let depth = 0; depth < 64; depth += 1) {
    const parent = domParent(at);
    if (parent === null) return null;
    path = path === "" ? stepOf(at) : `${stepOf(at)} > ${path}`;
    if (parent.step !== "child") {
      if (parent.element === above) return `>>> ${path}`;
      path = `>>> ${path}`;
      // What leads to the shadow root's or frame's element goes before the mark.
      return prefixed(parent.element, above, path);
    }
    if (parent.element === above) return `> ${path}`;
    at = parent.element;
  }
  return null;
}

function prefixed(element: Element, above: Element, rest: string): string | null {
  const before = relativeSelector(element, above);
  return before === null ? null : `${before} ${rest}`;
}

/** Unique within the element's own document or shadow root; `top` is the outermost element of that. */
function selectorInRoot(element: Element): { selector: string; top: Element } {
  const root = element.getRootNode() as Document | ShadowRoot;
  let path = "";
  let found: string | null = null;
  let at = element;
  for (let steps = 0; ; steps += 1) {
    if (found === null) {
      const anchor = anchorOf(at, root);
      const candidate = path === "" ? (anchor ?? stepOf(at)) : `${anchor ?? stepOf(at)} > ${path}`;
      const worth = anchor !== null || (steps > 0 && steps <= STEPS_MAX);
      if (worth && candidate.length <= LIMIT.selectorCharacters && isUnique(root, candidate))
        found = candidate;
      path = path === "" ? stepOf(at) : `${stepOf(at)} > ${path}`;
    }
    const parent = domParent(at);
    if (parent === null || parent.step !== "child") break;
    at = parent.element;
  }
  return { selector: found ?? path, top: at };
}

function isUnique(root: Document | ShadowRoot, selector: string): boolean {
  try {
    return root.querySelectorAll(selector).length === 1;
  } catch {
    return false;
  }
}

function anchorOf(element: Element, root: Document | ShadowRoot): string | null {
  for (const name of TEST_IDS) {
    const value = attributeOf(element, name);
    if (value === null || value === "" || value.length > 60 || redactSecrets(value) !== value) continue;
    const selector = `[${name}="${CSS.escape(value)}"]`;
    if (isUnique(root, selector)) return selector;
  }
  const id = stableId(element);
  return id === null || !isUnique(root, `#${CSS.escape(id)}`) ? null : `#${CSS.escape(id)}`;
}

/** Places among siblings of the same kind, counted for all of a parent at once and forgotten after a moment. */
let counted = new Map<Element, [place: number, of: number]>();

/** To be called before selectors are made of a page that may have changed. */
export function forgetPlaces(): void {
  counted = new Map();
}

function stepOf(element: Element): string {
  if (!counted.has(element)) {
    const kinds = new Map<string, Element[]>();
    for (const sibling of siblingsOf(element)) {
      const kind = kinds.get(tagOf(sibling));
      if (kind === undefined) kinds.set(tagOf(sibling), [sibling]);
      else kind.push(sibling);
    }
    for (const kind of kinds.values())
      for (const [index, one] of kind.entries()) counted.set(one, [index + 1, kind.length]);
  }
  const [place, of] = counted.get(element) ?? [1, 1];
  const tag = CSS.escape(tagOf(element));
  return of > 1 ? `${tag}:nth-of-type(${place})` : tag;
}

/** The id, unless a program made it up. */
export function stableId(element: Element): string | null {
  const id = attributeOf(element, "id");
  return id === null || id === "" || id.length > 60 || isGenerated(id) || redactSecrets(id) !== id
    ? null
    : id;
}

/** Class names that somebody wrote. */
export function ownClasses(element: Element): string[] {
  const classes = (attributeOf(element, "class") ?? "").slice(0, 2000).split(/\s+/);
  return classes.filter((one) => one !== "" && one.length <= 60 && !isGenerated(one)).slice(0, LIMIT.classes);
}

/** `css-1x2y3z`, `_card_x7f2a_3`, `:r1:`, `radix-:r5:`, `headlessui-menu-4`, `svelte-1abc23`. */
export function isGenerated(name: string): boolean {
  if (
    /[:«»]r?\w*[:»]$|^(?:css|sc|jss|jsx|emotion|svelte)-|^(?:radix|headlessui|react-aria|mui|ember|__next)-?\W*.*\d/i.test(
      name,
    )
  ) {
    return !/^(?:sc|css)-[a-z]+(?:-[a-z]+)*$/.test(name);
  }
  return name
    .split(/[-_]+/)
    .some(
      (part) => part.length >= 5 && /\d/.test(part) && /[a-z]/i.test(part) && !/^[a-z]+\d{1,3}$/i.test(part),
    );
}
