/**
 * Markdown of an agent → a small tree of allowed nodes. Nothing outside the allow-list survives: HTML becomes text, pictures become
 * their alternative text, links lead only to web and mail addresses. No string of the agent is ever parsed as HTML.
 * Called by `blocks.ts`; drawn by `markdown.tsx`.
 */
import type { MarkedToken, Token, Tokens } from "marked";
import { own } from "../own.js";

export type Align = "left" | "center" | "right" | null;

export type MarkdownNode =
  | { type: "text"; text: string }
  | { type: "break" }
  | { type: "rule" }
  | { type: "code"; text: string }
  | { type: "code_block"; text: string; language: string }
  | { type: "strong" | "emphasis" | "deleted" | "quote" | "paragraph"; children: MarkdownNode[] }
  | { type: "heading"; level: number; children: MarkdownNode[] }
  | { type: "link"; href: string; children: MarkdownNode[] }
  | { type: "list"; ordered: boolean; start: number; items: ListItem[] }
  | { type: "table"; align: Align[]; header: MarkdownNode[][]; rows: MarkdownNode[][][] };

export interface ListItem {
  /** Absent where the item is not a task. */
  checked?: boolean;
  children: MarkdownNode[];
}

/** The nodes for these tokens of the lexer. */
export function toNodes(tokens: readonly Token[] | undefined): MarkdownNode[] {
  return (tokens ?? []).flatMap(toNode);
}

/** The address, if a link may lead there: absolute, `http`, `https` or `mailto`. */
export function allowedHref(href: string): string | null {
  try {
    const url = new URL(href);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function toNode(token: Token): MarkdownNode[] {
  const marked = token as MarkedToken;
  switch (marked.type) {
    case "space":
    case "def":
      return [];
    case "br":
      return [{ type: "break" }];
    case "hr":
      return [{ type: "rule" }];
    case "codespan":
      return [{ type: "code", text: marked.text }];
    case "code":
      return [{ type: "code_block", text: marked.text, language: (marked.lang ?? "").split(/\s/)[0] ?? "" }];
    case "paragraph":
      return [{ type: "paragraph", children: toNodes(marked.tokens) }];
    case "blockquote":
      return [{ type: "quote", children: toNodes(marked.tokens) }];
    case "heading":
      return [{ type: "heading", level: marked.depth, children: toNodes(marked.tokens) }];
    case "strong":
      return [{ type: "strong", children: toNodes(marked.tokens) }];
    case "em":
      return [{ type: "emphasis", children: toNodes(marked.tokens) }];
    case "del":
      return [{ type: "deleted", children: toNodes(marked.tokens) }];
    case "list":
      return [list(marked)];
    case "table":
      return [table(marked)];
    case "link": {
      const href = allowedHref(marked.href);
      const children = toNodes(marked.tokens);
      return href === null ? children : [{ type: "link", href, children }];
    }
    case "image":
      return marked.text === "" ? [] : [{ type: "text", text: marked.text }];
    case "text":
      if (marked.tokens !== undefined) return toNodes(marked.tokens);
      return [{ type: "text", text: decodeEntities(marked.text) }];
    case "escape":
      return [{ type: "text", text: marked.text }];
    case "checkbox":
    case "list_item":
      return [];
    case "html":
      return [{ type: "text", text: marked.raw }];
    default:
      return [{ type: "text", text: token.raw }];
  }
}

function list(token: Tokens.List): MarkdownNode {
  const items = token.items.map((item): ListItem => {
    const children = toNodes(item.tokens);
    return item.task ? { checked: item.checked === true, children } : { children };
  });
  return { type: "list", ordered: token.ordered, start: token.start === "" ? 1 : token.start, items };
}

function table(token: Tokens.Table): MarkdownNode {
  return {
    type: "table",
    align: token.align,
    header: token.header.map((cell) => toNodes(cell.tokens)),
    rows: token.rows.map((row) => row.map((cell) => toNodes(cell.tokens))),
  };
}

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** The lexer leaves character references in text alone, because it expects to write HTML. */
function decodeEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w{2,6}));/gi, (whole, decimal, hex, name) => {
    if (name !== undefined) return own(ENTITIES, name) ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}
