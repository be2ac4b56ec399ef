/** Markdown of an agent cannot become anything but text, allowed nodes and safe links, finished or not. */
import { Lexer } from "marked";
import { describe, expect, it } from "vitest";
import { MarkdownBlocks } from "../src/markdown/blocks.js";
import { allowedHref, type MarkdownNode, toNodes } from "../src/markdown/nodes.js";

const parse = (text: string): MarkdownNode[] => toNodes(new Lexer({ gfm: true }).lex(text));
const blocks = (text: string, done = true): MarkdownNode[] =>
  new MarkdownBlocks().update(text, done).flatMap((block) => block.nodes);

/** All text of a tree, as a reader sees it. */
function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).join("");
  if (typeof value !== "object" || value === null) return "";
  const node = value as Record<string, unknown>;
  return (
    (typeof node.text === "string" ? node.text : "") +
    textOf(Object.values(node).filter((one) => typeof one === "object"))
  );
}

function linksOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(linksOf);
  if (typeof value !== "object" || value === null) return [];
  const node = value as Record<string, unknown>;
  return [...(node.type === "link" ? [String(node.href)] : []), ...linksOf(Object.values(node))];
}

const ALLOWED = new Set([
  "text",
  "break",
  "rule",
  "code",
  "code_block",
  "strong",
  "emphasis",
  "deleted",
  "quote",
  "paragraph",
  "heading",
  "link",
  "list",
  "table",
]);

function typesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(typesOf);
  if (typeof value !== "object" || value === null) return [];
  const node = value as Record<string, unknown>;
  return [...(typeof node.type === "string" ? [node.type] : []), ...typesOf(Object.values(node))];
}

const HOSTILE = [
  "<img src=x onerror=alert(1)>",
  "text <script>alert(1)</script> more",
  "<div onclick='x'>\n\n**b**\n\n</div>",
  "<svg/onload=alert(1)>",
  "<iframe src=//evil.test>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](\u0001javascript:alert(1))",
  "[x](data:text/html,<script>alert(1)</script>)",
  "[x](vbscript:x)",
  "[x](/relative)",
  "[x](//evil.test/x)",
  "![x](https://evil.test/pixel.png)",
  "![x](data:image/svg+xml,<svg onload=alert(1)>)",
  "<javascript:alert(1)>",
  "[x]: javascript:alert(1)\n\n[x]",
  "| <img src=x onerror=alert(1)> |\n|---|\n| [a](javascript:1) |",
  "- [ ] <img src=x onerror=alert(1)>",
];

describe("hostile text", () => {
  for (const text of HOSTILE) {
    it(`stays harmless: ${JSON.stringify(text)}`, () => {
      for (const nodes of [
        parse(text),
        blocks(text),
        blocks(text, false),
        blocks(text.slice(0, -1), false),
      ]) {
        expect(typesOf(nodes).filter((type) => !ALLOWED.has(type))).toEqual([]);
        expect(linksOf(nodes)).toEqual([]);
      }
    });
  }

  it("is shown as it was written", () => {
    expect(textOf(parse("a <b onclick=x>bold</b> & <img src=x onerror=alert(1)>"))).toBe(
      "a <b onclick=x>bold</b> & <img src=x onerror=alert(1)>",
    );
  });
});

describe("links", () => {
  it("lead to web and mail addresses", () => {
    expect(
      linksOf(parse("[a](https://example.com/x?y=1) <https://example.org> [m](mailto:a@example.com)")),
    ).toEqual(["https://example.com/x?y=1", "https://example.org/", "mailto:a@example.com"]);
  });

  it("are otherwise refused", () => {
    for (const href of [
      "",
      "x",
      "/x",
      "javascript:1",
      "file:///etc/passwd",
      "blob:x",
      "streamdown:incomplete-link",
    ]) {
      expect(allowedHref(href)).toBeNull();
    }
  });
});

it("reads character references in text and leaves those in code", () => {
  expect(textOf(parse("a &lt; b &amp;&amp; c &#39;d&#x27; &unknown; `&lt;`"))).toBe(
    "a < b && c 'd' &unknown; &lt;",
  );
});

const SAMPLE = [
  "# Title\n\nA paragraph with **bold**, `code` and a [link](https://example.com).\n\n",
  "- one\n- two\n  - nested\n\n1. first\n2. second\n\n",
  "```ts\nconst a = 1;\n\nconst b = 2;\n```\n\n> quote\n\n",
  "| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n\n- [x] done\n- [ ] open\n\nLast line with 😀 and \r\n a return.",
].join("");

describe("growing text", () => {
  it("ends as if it had come at once", () => {
    const grown = new MarkdownBlocks();
    for (let end = 1; end <= SAMPLE.length; end += 1) grown.update(SAMPLE.slice(0, end), false);
    const atOnce = new MarkdownBlocks().update(SAMPLE, true);
    expect(grown.update(SAMPLE, true).map((block) => block.nodes)).toEqual(
      atOnce.map((block) => block.nodes),
    );
  });

  it("loses no character at any length", () => {
    const grown = new MarkdownBlocks();
    for (let end = 1; end <= SAMPLE.length; end += 1) {
      const text = SAMPLE.slice(0, end);
      expect(
        grown
          .update(text, false)
          .map((block) => block.raw)
          .join(""),
      ).toBe(text);
    }
  });

  it("keeps finished blocks as they are", () => {
    const grown = new MarkdownBlocks();
    const before = grown.update("one\n\ntwo\n\nthree\n\nfou", false);
    const after = grown.update("one\n\ntwo\n\nthree\n\nfour", false);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).toBe(before[1]);
    expect(after[2]).toBe(before[2]);
  });

  it("closes the marks of the last block", () => {
    expect(blocks("a **bold", false)).toEqual([
      {
        type: "paragraph",
        children: [
          { type: "text", text: "a " },
          { type: "strong", children: [{ type: "text", text: "bold" }] },
        ],
      },
    ]);
    expect(linksOf(blocks("see [the page](https://exa", false))).toEqual([]);
  });

  it("starts over when the text is another one", () => {
    const grown = new MarkdownBlocks();
    grown.update("one\n\ntwo\n\nthree\n\nfour", false);
    expect(textOf(grown.update("other", true).map((block) => block.nodes))).toBe("other");
  });
});
