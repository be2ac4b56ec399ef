/**
 * Reading elements past what a page may have put in the way: every property comes from the prototype of this script's own world, so that
 * neither overridden prototypes nor form fields named `children` or `id` are asked. Knows shadow roots, closed ones included, and frames.
 */

function getter<T>(prototype: object, name: string): (target: object) => T {
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get;
  if (get === undefined) throw new Error(`no getter ${name}`);
  return (target) => get.call(target) as T;
}

const {
  getAttribute: readAttribute,
  getBoundingClientRect,
  matches,
  getAttributeNames,
  querySelectorAll,
} = Element.prototype;

export const childrenOf = getter<HTMLCollection>(Element.prototype, "children");
export const parentOf = getter<Node | null>(Node.prototype, "parentNode");
export const nodesOf = getter<NodeListOf<ChildNode>>(Node.prototype, "childNodes");
export const tagOf = getter<string>(Element.prototype, "localName");
const firstNodeOf = getter<ChildNode | null>(Node.prototype, "firstChild");
const shadowOf = getter<ShadowRoot | null>(Element.prototype, "shadowRoot");
const slotOf = getter<HTMLSlotElement | null>(Element.prototype, "assignedSlot");
const fragmentChildren = getter<HTMLCollection>(DocumentFragment.prototype, "children");
const hostOf = getter<Element>(ShadowRoot.prototype, "host");
const textContentOf = getter<string | null>(Node.prototype, "textContent");
const frameDocumentOf = getter<Document | null>(HTMLIFrameElement.prototype, "contentDocument");

export const attributeOf = (element: Element, name: string): string | null =>
  readAttribute.call(element, name);
export const attributeNamesOf = (element: Element): string[] => getAttributeNames.call(element);
export const boxOf = (element: Element): DOMRect => getBoundingClientRect.call(element);
export const isMatch = (element: Element, selector: string): boolean => matches.call(element, selector);
export const textOf = (node: Node): string => textContentOf(node) ?? "";
export const selectIn = (element: Element, selector: string): NodeListOf<Element> =>
  querySelectorAll.call(element, selector);

/** Chrome gives content scripts the closed ones as well. */
export function shadowRootOf(element: Element, tag = tagOf(element)): ShadowRoot | null {
  const open = shadowOf(element);
  if (open !== null) return open;
  // Asking takes the browser long enough to notice on a large page: only where a closed root is likely.
  if (!tag.includes("-") && (!MAY_HAVE_SHADOW.has(tag) || firstNodeOf(element) !== null)) return null;
  try {
    return element instanceof HTMLElement ? (chrome.dom?.openOrClosedShadowRoot(element) ?? null) : null;
  } catch {
    return null;
  }
}

/** Besides elements with a name of their own, those that may be given a shadow root (DOM standard, "valid shadow host name"). */
const MAY_HAVE_SHADOW = new Set(
  "article aside blockquote body div footer h1 h2 h3 h4 h5 h6 header main nav p section span".split(" "),
);

/** The document in a frame of the same site; null for others, and for what is no frame. */
export function frameDocument(element: Element, tag = tagOf(element)): Document | null {
  if (!isFrame(tag)) return null;
  try {
    return frameDocumentOf(element);
  } catch {
    return null;
  }
}

export function isFrame(tag: string): boolean {
  return tag === "iframe" || tag === "frame";
}

/** What is shown inside an element: of its shadow root where it has one, of its document for a frame, assigned elements for a slot. */
export function shownChildren(element: Element, tag = tagOf(element)): Element[] {
  const page = frameDocument(element, tag);
  if (page !== null) return page.body === null ? [] : [page.body];
  const shadow = shadowRootOf(element, tag);
  if (shadow !== null) return Array.from(fragmentChildren(shadow));
  if (tag === "slot") {
    const assigned = HTMLSlotElement.prototype.assignedElements.call(element);
    if (assigned.length > 0) return assigned;
  }
  return firstNodeOf(element) === null ? NO_ELEMENTS : Array.from(childrenOf(element));
}

const NO_ELEMENTS: Element[] = [];

/** The element around another as it is shown; out of shadow roots and frames. */
export function shownParent(element: Element): Element | null {
  const slot = slotOf(element);
  if (slot !== null) return slot;
  return domParent(element)?.element ?? null;
}

/** The element above in the document, and what lies between the two. */
export function domParent(element: Element): { element: Element; step: "child" | "shadow" | "frame" } | null {
  const parent = parentOf(element);
  if (parent === null) return null;
  if (parent.nodeType === Node.ELEMENT_NODE) return { element: parent as Element, step: "child" };
  if (parent.nodeType === Node.DOCUMENT_FRAGMENT_NODE) {
    return { element: hostOf(parent), step: "shadow" };
  }
  const frame = (parent as Document).defaultView?.frameElement ?? null;
  return frame === null ? null : { element: frame, step: "frame" };
}

/** Which elements of a document or shadow root match, asked once; valid as long as nothing changes. */
export class Matches {
  readonly #selector: string;
  readonly #roots = new Map<Node, Set<Element>>();

  constructor(selector: string) {
    this.#selector = selector;
  }

  has(element: Element): boolean {
    const root = rootOf(element);
    let found = this.#roots.get(root);
    if (found === undefined) {
      found = new Set((root as Document | ShadowRoot).querySelectorAll?.(this.#selector) ?? []);
      this.#roots.set(root, found);
    }
    return found.has(element);
  }
}

const getRootNode = Node.prototype.getRootNode;
export const rootOf = (node: Node): Node => getRootNode.call(node);

/** The elements that share a parent, in order. */
export function siblingsOf(element: Element): HTMLCollection {
  const parent = parentOf(element);
  if (parent === null) return document.children;
  return parent.nodeType === Node.ELEMENT_NODE
    ? childrenOf(parent as Element)
    : parent.nodeType === Node.DOCUMENT_FRAGMENT_NODE
      ? fragmentChildren(parent)
      : (parent as Document).children;
}

/** The element at a point of the top viewport, through shadow roots and frames of the same site; never our own overlay. */
export function elementAt(x: number, y: number, overlay: Element | null): Element | null {
  let root: Document | ShadowRoot = document;
  let found: Element | null = null;
  let [left, top] = [x, y];
  for (let depth = 0; depth < 32; depth += 1) {
    const hit: Element | undefined = root
      .elementsFromPoint(left, top)
      .find((one) => one !== overlay && !overlay?.contains(one));
    if (hit === undefined || hit === found) return found;
    found = hit;
    const inner: Document | null = frameDocument(hit);
    if (inner !== null) {
      const box = boxOf(hit);
      left -= box.left + hit.clientLeft;
      top -= box.top + hit.clientTop;
      root = inner;
      continue;
    }
    const shadow = shadowRootOf(hit);
    if (shadow === null || shadow === root) return found;
    root = shadow;
  }
  return found;
}

/** Where the viewport of an element's document begins in the top viewport. */
export function frameOffset(element: Element): { x: number; y: number } {
  const offset = { x: 0, y: 0 };
  let view = element.ownerDocument.defaultView;
  while (view !== null && view !== window) {
    const frame: Element | null = view.frameElement;
    if (frame === null) break;
    const box = boxOf(frame);
    offset.x += box.left + frame.clientLeft;
    offset.y += box.top + frame.clientTop;
    view = frame.ownerDocument.defaultView;
  }
  return offset;
}
