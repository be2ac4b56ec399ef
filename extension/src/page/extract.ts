/** `EXTRACT_SELECTION`: reads what was selected into a capture. Runs beside the page in a world of its own and changes nothing there. */
import {
  type Box,
  type CaptureNode,
  type ContextCapture,
  compact,
  fitBytes,
  LIMIT,
  type SelectionKind,
} from "../capture/capture.js";
import { cleanText, cleanUrl } from "../capture/redact.js";
import { componentChain } from "../framework/request.js";
import {
  type Collected,
  collectArea,
  collectElement,
  elementOfArea,
  type Found,
  shownBox,
} from "./collect.js";
import { condense, type Kept } from "./condense.js";
import { attributesOf, isPrivate, nameOf, ownText, roleOf, type Tally } from "./describe.js";
import { shownParent, tagOf } from "./dom.js";
import { styleOf } from "./looks.js";
import { type AskPage, askNames, type Names } from "./names.js";
import { forgetPlaces, ownClasses, relativeSelector, stableId, uniqueSelector } from "./selector.js";

/** What to read: a rectangle of the viewport, or one element. */
export type Target = { kind: "area"; area: Box } | { kind: "element"; element: Element };

/** Null when nothing of the page is inside. */
export async function extractSelection(
  target: Target,
  ask: AskPage,
  overlay: Element | null,
): Promise<ContextCapture | null> {
  const top = target.kind === "area" ? elementOfArea(target.area, overlay) : target.element;
  const area = target.kind === "area" ? target.area : shownBox(top);
  const collected = target.kind === "area" ? collectArea(top, area) : collectElement(top);
  if (collected.roots.length === 0) return null;
  const around = collected.roots.length === 1 && collected.roots[0]?.element === top ? shownParent(top) : top;
  const names = await askNames(elementsOf(collected, around), ask);
  const condensed = condense(collected, names);
  const tally: Tally = { redacted: condensed.redacted };
  const above = around === null ? -1 : names.componentOf(around);
  const hidden = privateAbove(top);
  const styled = condensed.kept <= STYLED_MAX;
  forgetPlaces();
  const nodes = hidden
    ? [compact<CaptureNode>({ tag: tagOf(top), text: "[private]", box: rounded(shownBox(top)) })]
    : condensed.roots.map((kept) => describe(kept, { names, tally, styled, above, parent: null }));
  return fitBytes(
    compact<ContextCapture>({
      version: 1,
      page: {
        url: cleanUrl(location.href, null, LIMIT.urlCharacters),
        title: cleanText(document.title, LIMIT.titleCharacters),
        width: document.documentElement.clientWidth,
        height: document.documentElement.clientHeight,
        pixelRatio: Math.round(devicePixelRatio * 100) / 100,
      },
      kind: target.kind satisfies SelectionKind,
      selection: rounded(area),
      framework: names.answer.framework ?? undefined,
      components: componentChain(names.answer, above).slice(-LIMIT.components),
      nodes,
      counts: {
        seen: collected.seen,
        kept: hidden ? 1 : condensed.kept,
        collapsed: condensed.collapsed,
        repeated: condensed.repeated,
        redacted: hidden ? 1 : tally.redacted,
        truncated: condensed.truncated,
        frames: collected.frames,
      },
    }),
  );
}

/** With more elements, a capture has no room for looks. */
const STYLED_MAX = 80;

interface Around {
  names: Names;
  tally: Tally;
  styled: boolean;
  /** The component of the element above. */
  above: number;
  parent: Element | null;
}

function describe(kept: Kept, around: Around): CaptureNode {
  const { element, box } = kept.found;
  const { names, tally } = around;
  const component = names.componentOf(element);
  const role = roleOf(element);
  const said = kept.withheld === undefined;
  const chain = component === around.above ? [] : componentChain(names.answer, component, around.above);
  const classes = ownClasses(element);
  const selector = (around.parent && relativeSelector(element, around.parent)) || uniqueSelector(element);
  const children = kept.children.map((child) =>
    describe(child, { ...around, above: component, parent: element }),
  );
  return compact<CaptureNode>({
    tag: tagOf(element),
    selector: selector.length <= LIMIT.selectorCharacters ? selector : undefined,
    id: stableId(element) ?? undefined,
    classes: classes.length > 0 ? classes : undefined,
    role: role === tagOf(element) ? undefined : role,
    name: said ? nameOf(element, role, tally) : undefined,
    text: said ? ownText(element, tally) : kept.withheld,
    components: chain.length > 0 ? chain.slice(-LIMIT.components) : undefined,
    source: names.sourceOf(element),
    attributes: said ? attributesOf(element, tally) : undefined,
    box: rounded(box),
    style: around.styled ? styleOf(element, around.parent) : undefined,
    children: children.length > 0 ? children : undefined,
    similar: kept.similar || undefined,
    omitted: kept.omitted || undefined,
  });
}

function* elementsOf(collected: Collected, around: Element | null): Iterable<Element> {
  if (around !== null) yield around;
  yield* inner(collected.roots);
}

function* inner(list: readonly Found[]): Iterable<Element> {
  for (const found of list) {
    yield found.element;
    yield* inner(found.children);
  }
}

/** Whether what was chosen lies inside something that the page marks as private. */
function privateAbove(element: Element): boolean {
  for (let at = shownParent(element); at !== null; at = shownParent(at)) if (isPrivate(at)) return true;
  return false;
}

function rounded(box: Box): Box {
  return box.map((one) => Math.round(one)) as Box;
}
