/** How an element looks, as far as that differs from the usual or from the element above. Never a picture, never an address. */
import { LIMIT } from "../capture/capture.js";
import { cleanText } from "../capture/redact.js";

/** What is told of looks, with the value that is so usual that it need not be told. */
const STYLES: readonly [string, string][] = [
  ["display", "block"],
  ["position", "static"],
  ["flex-direction", "row"],
  ["justify-content", "normal"],
  ["align-items", "normal"],
  ["gap", "normal"],
  ["grid-template-columns", "none"],
  ["padding", "0px"],
  ["margin", "0px"],
  ["border", ""],
  ["border-radius", "0px"],
  ["background-color", "rgba(0, 0, 0, 0)"],
  ["overflow", "visible"],
  ["opacity", "1"],
  ["z-index", "auto"],
  ["box-shadow", "none"],
  ["transform", "none"],
];
const INHERITED = [
  "color",
  "font-size",
  "font-weight",
  "font-family",
  "line-height",
  "text-align",
  "text-transform",
  "white-space",
];

/** Computed looks; inherited ones only where they differ from the element above. */
export function styleOf(element: Element, above: Element | null): Record<string, string> | undefined {
  const view = element.ownerDocument.defaultView;
  if (view === null) return undefined;
  const computed = view.getComputedStyle(element);
  const around = above === null ? null : (above.ownerDocument.defaultView?.getComputedStyle(above) ?? null);
  const found: Record<string, string> = {};
  for (const [property, usual] of STYLES) {
    const value = computed.getPropertyValue(property);
    const silent =
      value === usual ||
      (property === "display" && value === "inline") ||
      (property === "border" && value.startsWith("0px")) ||
      value.includes("url(");
    if (!silent && value !== "") found[property] = cleanText(value, LIMIT.attributeCharacters);
  }
  for (const property of INHERITED) {
    const value = computed.getPropertyValue(property);
    if (value !== around?.getPropertyValue(property))
      found[property] = cleanText(value, LIMIT.attributeCharacters);
  }
  return Object.keys(found).length === 0 ? undefined : found;
}
