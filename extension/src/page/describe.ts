/**
 * What a kept element says: role, accessible name, own text, attributes, looks. Values of fields never leave the page, nor what the page
 * itself marks as private; everything else passes the patterns of `redact.ts`. Counts what it withheld.
 */
import { LIMIT } from "../capture/capture.js";
import { cleanText, cleanUrl, redactKnown, redactSecrets } from "../capture/redact.js";
import { attributeNamesOf, attributeOf, isMatch, nodesOf, selectIn, tagOf, textOf } from "./dom.js";

/** What session recorders agree on as the marks of private parts, and one of plain HTML. */
export const PRIVATE =
  "[data-private],[data-sentry-mask],.sentry-mask,[data-dd-privacy='mask'],[data-dd-privacy='hidden'],.fs-exclude,.fs-mask,[data-hj-suppress],[data-hj-masked],[data-recording-sensitive],.rr-mask,.rr-block,.ph-no-capture,[autocomplete^='cc-'],[autocomplete='one-time-code']";

const EDITABLE =
  "textarea,[contenteditable=''],[contenteditable='true'],[contenteditable='plaintext-only'],[role='textbox']";
/** What is told as one thing: neither what is private nor what somebody types is looked into. */
export const CLOSED = `${PRIVATE},${EDITABLE}`;
/** Texts up to here are looked at as a whole, because a number may be spread over several elements. */
const SPREAD_TEXT_MAX = 400;
const SPREAD_NODES_MAX = 48;
const CARD_DIGITS_MIN = 12;

const ATTRIBUTES = new Set([
  "alt",
  "autocomplete",
  "colspan",
  "dir",
  "disabled",
  "for",
  "href",
  "inputmode",
  "lang",
  "loading",
  "max",
  "maxlength",
  "method",
  "min",
  "multiple",
  "name",
  "open",
  "pattern",
  "placeholder",
  "readonly",
  "required",
  "rowspan",
  "scope",
  "src",
  "tabindex",
  "target",
  "title",
  "type",
]);
const ARIA =
  /^aria-(?:busy|current|disabled|expanded|haspopup|hidden|invalid|label|level|live|modal|orientation|pressed|readonly|required|roledescription|selected|sort)$/;
export const TEST_IDS = ["data-testid", "data-test", "data-test-id", "data-cy", "data-qa"];
const ADDRESSES = new Set(["href", "src"]);

/** Counts places where something was withheld. */
export interface Tally {
  redacted: number;
}

/** Whether an element or one around it is marked as private. */
export function isPrivate(element: Element): boolean {
  return isMatch(element, PRIVATE);
}

/** Text of the page, withheld where it looks like a secret. */
export function publicText(text: string, max: number, tally: Tally): string | undefined {
  const looked = text.slice(0, max * 8);
  if (redactSecrets(looked) !== looked) tally.redacted += 1;
  const clean = cleanText(text, max);
  return clean === "" ? undefined : clean;
}

/** An element's own text, without that of elements inside it. */
export function ownText(element: Element, tally: Tally): string | undefined {
  if (isMatch(element, EDITABLE) || tagOf(element) === "svg") return undefined;
  let text = "";
  for (const node of nodesOf(element)) {
    if (node.nodeType !== Node.TEXT_NODE) continue;
    text += ` ${textOf(node)}`;
    if (text.length > LIMIT.textCharacters * 8) break;
  }
  return publicText(text, LIMIT.textCharacters, tally);
}

/**
 * The text of an element with others in it, where it is a secret only as a whole, such as a card number in four groups: what stands for it.
 * The elements inside must then not be asked.
 */
export function spreadSecret(element: Element): string | undefined {
  const nodes = nodesOf(element);
  if (nodes.length < 2 || nodes.length > SPREAD_NODES_MAX) return undefined;
  const parts: string[] = [];
  let length = 0;
  let words = false;
  for (const node of nodes) {
    const text = textOf(node).trim();
    if (text === "") continue;
    length += text.length;
    if (length > SPREAD_TEXT_MAX) return undefined;
    words ||= /\s/.test(text);
    parts.push(text);
  }
  if (parts.length < 2) return undefined;
  const spaced = parts.join(" ");
  // A number in groups may have words before it; anything else must be a secret from end to end.
  const digits = spaced.replace(/\D/g, "").length >= CARD_DIGITS_MIN;
  if ((!digits && words) || parts.some((text) => redactKnown(text) !== text)) return undefined;
  if (digits && redactKnown(spaced).includes("[card]")) return "[card]";
  return words ? undefined : /^\[\w+\]$/.exec(redactKnown(parts.join("")))?.[0];
}

const ROLES: Record<string, string> = {
  article: "article",
  aside: "complementary",
  button: "button",
  dialog: "dialog",
  footer: "contentinfo",
  form: "form",
  h1: "heading",
  h2: "heading",
  h3: "heading",
  h4: "heading",
  h5: "heading",
  h6: "heading",
  header: "banner",
  hr: "separator",
  img: "img",
  li: "listitem",
  main: "main",
  meter: "meter",
  nav: "navigation",
  ol: "list",
  option: "option",
  progress: "progressbar",
  select: "combobox",
  summary: "button",
  svg: "img",
  table: "table",
  td: "cell",
  textarea: "textbox",
  th: "columnheader",
  tr: "row",
  ul: "list",
};
const INPUT_ROLES: Record<string, string> = {
  button: "button",
  checkbox: "checkbox",
  image: "button",
  number: "spinbutton",
  radio: "radio",
  range: "slider",
  reset: "button",
  search: "searchbox",
  submit: "button",
};

/** The role by attribute, else the usual one of the element (HTML-AAM, the common part of it). */
export function roleOf(element: Element): string | undefined {
  const given = attributeOf(element, "role")?.trim().split(/\s+/)[0]?.toLowerCase();
  if (given !== undefined && /^[a-z]{2,30}$/.test(given))
    return given === "none" || given === "presentation" ? undefined : given;
  const tag = tagOf(element);
  if (tag === "a") return attributeOf(element, "href") === null ? undefined : "link";
  if (tag === "input") return INPUT_ROLES[inputType(element)] ?? "textbox";
  if (tag === "svg" && attributeOf(element, "aria-label") === null) return undefined;
  return Object.hasOwn(ROLES, tag) ? ROLES[tag] : undefined;
}

const NAMED_BY_CONTENT = new Set(
  "button cell checkbox columnheader gridcell heading link menuitem menuitemcheckbox menuitemradio option radio row rowheader switch tab tooltip treeitem".split(
    " ",
  ),
);
/** Rows and cells are named by what is in them, which is listed anyway. */
const LISTED_ANYWAY = new Set(["row", "cell", "gridcell", "columnheader", "rowheader"]);

/** The accessible name by the rules that matter in practice: labelledby, label, alternative text, content, title. */
export function nameOf(element: Element, role: string | undefined, tally: Tally): string | undefined {
  const labelled = attributeOf(element, "aria-labelledby");
  if (labelled !== null) {
    const root = element.getRootNode() as Document | ShadowRoot;
    const texts = labelled
      .split(/\s+/)
      .slice(0, 5)
      .map((id) => visibleText(root.getElementById?.(id) ?? null));
    const name = publicText(texts.join(" "), LIMIT.textCharacters, tally);
    if (name !== undefined) return name;
  }
  const tag = tagOf(element);
  const sources = [
    () => attributeOf(element, "aria-label"),
    () =>
      tag === "img" || tag === "area" || inputType(element) === "image" ? attributeOf(element, "alt") : null,
    () => labelOf(element),
    () => ownCaption(element, tag),
    () =>
      role !== undefined && NAMED_BY_CONTENT.has(role) && !LISTED_ANYWAY.has(role)
        ? visibleText(element)
        : null,
    () => attributeOf(element, "title"),
    () => attributeOf(element, "placeholder"),
  ];
  for (const source of sources) {
    const text = source();
    if (text === null || text.trim() === "") continue;
    return publicText(text, LIMIT.textCharacters, tally);
  }
  return undefined;
}

const LABELLED = new Set(["button", "input", "meter", "output", "progress", "select", "textarea"]);

function labelOf(element: Element): string | null {
  if (!LABELLED.has(tagOf(element))) return null;
  const { labels } = element as HTMLInputElement;
  return labels === null || labels.length === 0 ? null : [...labels].map(visibleText).join(" ");
}

function ownCaption(element: Element, tag: string): string | null {
  if (tag === "input" && ["submit", "button", "reset"].includes(inputType(element)))
    return attributeOf(element, "value");
  const caption = { fieldset: "legend", table: "caption", figure: "figcaption" }[tag];
  if (caption === undefined) return null;
  return visibleText(selectIn(element, caption)[0] ?? null);
}

/** Text of an element without fields and private parts. */
function visibleText(element: Element | null): string {
  if (element === null || isPrivate(element) || isMatch(element, EDITABLE)) return "";
  if (spreadSecret(element) !== undefined) return "[private]";
  let text = "";
  for (const node of nodesOf(element)) {
    if (text.length > LIMIT.textCharacters * 4) break;
    if (node.nodeType === Node.TEXT_NODE) text += textOf(node);
    else if (node.nodeType === Node.ELEMENT_NODE) {
      const child = node as Element;
      const tag = tagOf(child);
      if (["script", "style", "select", "input", "template", "noscript"].includes(tag)) continue;
      text += tag === "img" ? ` ${attributeOf(child, "alt") ?? ""} ` : ` ${visibleText(child)} `;
    }
  }
  return text.replace(/\s+/g, " ").trim();
}

/** The attributes worth telling; of fields whether they are filled, never with what. */
export function attributesOf(element: Element, tally: Tally): Record<string, string> | undefined {
  const found: Record<string, string> = {};
  let left = LIMIT.attributes;
  const base = element.ownerDocument.baseURI;
  for (const name of attributeNamesOf(element)) {
    if (left <= 0) break;
    if (!ATTRIBUTES.has(name) && !ARIA.test(name) && !TEST_IDS.includes(name)) continue;
    const raw = attributeOf(element, name) ?? "";
    const value = ADDRESSES.has(name)
      ? cleanUrl(raw, base, LIMIT.attributeCharacters)
      : (publicText(raw, LIMIT.attributeCharacters, tally) ?? "");
    if (ADDRESSES.has(name) && value === "") continue;
    found[name] = value;
    left -= 1;
  }
  const state = fieldState(element);
  if (state !== undefined) {
    found.value = state;
    if (state === "[filled]") tally.redacted += 1;
  }
  return Object.keys(found).length === 0 ? undefined : found;
}

function fieldState(element: Element): string | undefined {
  const tag = tagOf(element);
  const type = inputType(element);
  if (tag === "input" && ["submit", "button", "reset", "image", "checkbox", "radio"].includes(type))
    return undefined;
  if (tag === "input" || tag === "textarea" || tag === "select") {
    return (element as HTMLInputElement).value === "" ? "[empty]" : "[filled]";
  }
  if (isMatch(element, EDITABLE)) return textOf(element).trim() === "" ? "[empty]" : "[filled]";
  return undefined;
}

export function isHiddenField(element: Element): boolean {
  return tagOf(element) === "input" && inputType(element) === "hidden";
}

function inputType(element: Element): string {
  return (attributeOf(element, "type") ?? "text").trim().toLowerCase();
}
