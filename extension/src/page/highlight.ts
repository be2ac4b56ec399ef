/**
 * What a person sees while selecting: the page dimmed but for the choice, its name and size, and a line of help. Lives in a frame inside
 * a closed shadow root, so that neither pointer nor keys reach the page, and no style of the page reaches it.
 */
import type { Box } from "../capture/capture.js";

const STYLES = `
:root { --ink: #1a1b1e; --paper: #fff; --soft: #55575e; --edge: #d2d2cb; --accent: #3f5bd9; --shade: rgb(18 20 28 / 34%); }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ecedef; --paper: #17191c; --soft: #a9adb5; --edge: #363a41; --accent: #8ea2ff; --shade: rgb(4 5 8 / 52%); }
}
* { box-sizing: border-box; }
html, body { margin: 0; block-size: 100%; overflow: hidden; background: transparent; cursor: crosshair; user-select: none; }
body { color: var(--ink); font: 500 12.5px/18px system-ui, -apple-system, "Segoe UI", sans-serif; outline: none; }
.choice { position: fixed; border-radius: 4px; box-shadow: 0 0 0 2px var(--accent), 0 0 0 100vmax var(--shade); }
.choice[hidden] { display: block; inset: 50% auto auto 50%; box-shadow: 0 0 0 100vmax var(--shade); }
.choice.is-area { border-radius: 2px; background: color-mix(in srgb, var(--accent) 7%, transparent); }
.name { position: fixed; display: flex; align-items: baseline; gap: 8px; max-inline-size: min(420px, calc(100vw - 16px)); padding: 3px 9px; border-radius: 6px; background: var(--accent); color: #fff; white-space: nowrap; }
.name[hidden] { display: none; }
.name b { overflow: hidden; font: 600 12px/18px ui-monospace, "SF Mono", Menlo, monospace; text-overflow: ellipsis; }
.name span { opacity: 0.82; font-size: 11.5px; font-variant-numeric: tabular-nums; }
.help { position: fixed; inset: auto 0 20px; display: flex; align-items: center; gap: 14px; inline-size: fit-content; max-inline-size: calc(100vw - 24px); margin-inline: auto; padding: 8px 14px; border: 1px solid var(--edge); border-radius: 10px; background: var(--paper); color: var(--soft); box-shadow: 0 8px 28px rgb(10 12 20 / 26%); transition: opacity 0.12s; }
.help strong { color: var(--ink); font-weight: 600; }
.help.is-away { opacity: 0; }
kbd { padding: 1px 5px; border: 1px solid var(--edge); border-radius: 5px; font: 500 10.5px/14px ui-monospace, "SF Mono", Menlo, monospace; }
.said { position: fixed; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); }
@media (prefers-color-scheme: dark) { .name { color: #111214; } }
@media (width < 560px) { .help .keys { display: none; } }
@media (prefers-reduced-motion: reduce) { .help { transition: none; } }
`;

export interface Highlight {
  /** The element in the page that carries all of it. */
  host: Element;
  /** Where pointer and keys arrive. */
  surface: Document;
  /** The choice, with what it is called; null for none yet. */
  show(box: Box | null, name: string, kind: "area" | "element"): void;
  /** Whether the line of help would be in the way. */
  drawing(active: boolean): void;
  remove(): void;
}

export function createHighlight(): Highlight {
  const host = document.createElement("farhand-selection");
  host.style.cssText =
    "all: initial; position: fixed; inset: 0; inline-size: 100%; block-size: 100%; margin: 0; padding: 0; border: 0; background: transparent; z-index: 2147483647;";
  host.popover = "manual";
  const shadow = host.attachShadow({ mode: "closed" });
  const frame = document.createElement("iframe");
  frame.title = "Select an area of the page";
  frame.style.cssText =
    "display: block; inline-size: 100%; block-size: 100%; border: 0; background: transparent; color-scheme: light;";
  shadow.append(frame);
  // What is not inside of a modal dialog cannot be used while that is open.
  const modal = [...document.querySelectorAll("dialog:modal")].at(-1);
  (modal ?? document.documentElement).append(host);
  host.showPopover();
  const surface = frame.contentDocument;
  const view = frame.contentWindow as (Window & typeof globalThis) | null;
  if (surface === null || view === null) {
    host.remove();
    throw new Error("the page allows no frame");
  }
  const sheet = new view.CSSStyleSheet();
  sheet.replaceSync(STYLES);
  surface.adoptedStyleSheets = [sheet];
  surface.documentElement.lang = "en";
  const parts = build(surface);
  return {
    host,
    surface,
    show: (box, name, kind) => place(parts, view, box, name, kind),
    drawing: (active) => parts.help.classList.toggle("is-away", active),
    remove: () => host.remove(),
  };
}

interface Parts {
  choice: HTMLElement;
  name: HTMLElement;
  title: HTMLElement;
  size: HTMLElement;
  help: HTMLElement;
  said: HTMLElement;
}

/** Built node by node: some pages allow no HTML from text (Trusted Types). */
function build(surface: Document): Parts {
  const make = (tag: string, className: string, ...children: (Node | string)[]): HTMLElement => {
    const element = surface.createElement(tag);
    if (className !== "") element.className = className;
    element.append(...children);
    return element;
  };
  const title = make("b", "");
  const size = make("span", "");
  const name = make("div", "name", title, size);
  const choice = make("div", "choice");
  choice.hidden = true;
  name.hidden = true;
  const keys = make(
    "span",
    "keys",
    make("kbd", "", "↑"),
    " ",
    make("kbd", "", "↓"),
    " ",
    make("kbd", "", "←"),
    " ",
    make("kbd", "", "→"),
    " move",
  );
  const help = make(
    "div",
    "help",
    make("strong", "", "Drag an area, or click a component"),
    keys,
    make("span", "keys", make("kbd", "", "Enter"), " take"),
    make("span", "", make("kbd", "", "Esc"), " end"),
  );
  const said = make("div", "said");
  said.setAttribute("role", "status");
  surface.body.tabIndex = -1;
  surface.body.setAttribute("role", "application");
  surface.body.setAttribute(
    "aria-label",
    "Select an area of the page. Arrow keys move between elements, Enter takes one, Escape ends.",
  );
  surface.body.append(choice, name, help, said);
  return { choice, name, title, size, help, said };
}

function place(parts: Parts, view: Window, box: Box | null, name: string, kind: "area" | "element"): void {
  parts.choice.hidden = box === null;
  parts.name.hidden = box === null;
  if (box === null) {
    parts.choice.style.cssText = "";
    return;
  }
  const [x, y, width, height] = box;
  parts.choice.classList.toggle("is-area", kind === "area");
  parts.choice.style.cssText = `left: ${x}px; top: ${y}px; width: ${width}px; height: ${height}px;`;
  parts.title.textContent = name;
  parts.size.textContent = `${Math.round(width)} × ${Math.round(height)}`;
  const above = y >= 30;
  const inside = !above && y + height + 30 > view.innerHeight;
  const top = above ? y - 28 : inside ? Math.max(y, 0) + 6 : y + height + 6;
  const left = Math.max(8, Math.min(x, view.innerWidth - parts.name.offsetWidth - 8));
  parts.name.style.cssText = `left: ${left}px; top: ${top}px;`;
  const lowest = view.innerHeight - 70;
  parts.help.style.insetBlock = y + height > lowest && y < lowest - 60 ? "20px auto" : "auto 20px";
  if (kind === "element") parts.said.textContent = `${name}, ${parts.size.textContent}`;
}
