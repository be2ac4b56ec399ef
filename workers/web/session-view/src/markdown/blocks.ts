/**
 * Cuts growing Markdown into blocks. Finished blocks are parsed once and kept; only the last one is parsed again as text arrives,
 * with its open marks closed so that half a `**word` already looks right. Used by `markdown.tsx`, one instance per text.
 */
import { Lexer } from "marked";
import remend from "remend";
import { type MarkdownNode, toNodes } from "./nodes.js";

/** One top-level block. The same object as before when it did not change. */
export interface Block {
  raw: string;
  /** What was parsed: `raw`, or for an unfinished block `raw` with its open marks closed. */
  source: string;
  nodes: MarkdownNode[];
}

export class MarkdownBlocks {
  #finished: Block[] = [];
  #finishedLength = 0;
  #text = "";
  #tail: Block[] = [];
  #done = false;

  /** The blocks of `text`. Cheap when `text` begins with the text of the call before. */
  update(text: string, done: boolean): Block[] {
    if (text === this.#text && done === this.#done) return [...this.#finished, ...this.#tail];
    if (!text.startsWith(this.#text.slice(0, this.#finishedLength))) {
      this.#finished = [];
      this.#finishedLength = 0;
    }
    this.#text = text;
    this.#done = done;
    const rest = text.slice(this.#finishedLength);
    const raws = blockTexts(rest);
    // A list or table may still grow and link definitions may follow, so the last two blocks stay open until the end.
    const closed = done ? raws.length : Math.max(0, raws.length - 2);
    const previous = this.#tail;
    const block = (raw: string, source: string): Block => {
      const same = previous.find((one) => one.source === source);
      if (same === undefined) return { raw, source, nodes: parse(source) };
      same.raw = raw;
      return same;
    };
    for (const raw of raws.slice(0, closed)) {
      this.#finished.push(block(raw, raw));
      this.#finishedLength += raw.length;
    }
    this.#tail = raws.slice(closed).map((raw, index, open) => {
      const last = index === open.length - 1;
      return block(raw, last ? remend(raw, { linkMode: "text-only" }) : raw);
    });
    return [...this.#finished, ...this.#tail];
  }
}

/** Source text of each top-level block, together exactly `text` as the lexer reads it; white space belongs to the block before. */
function blockTexts(text: string): string[] {
  const raws: string[] = [];
  let position = 0;
  for (const token of new Lexer({ gfm: true }).blockTokens(normalise(text), [])) {
    const raw = text.slice(position, position + token.raw.length);
    position += token.raw.length;
    if (token.type === "space" && raws.length > 0) raws[raws.length - 1] += raw;
    else raws.push(raw);
  }
  if (position < text.length) raws.push(text.slice(position));
  return raws;
}

/** Same length as before, so that positions stay: the lexer would otherwise join `\r\n`. */
function normalise(text: string): string {
  return text.replaceAll("\r", " ");
}

function parse(raw: string): MarkdownNode[] {
  return toNodes(new Lexer({ gfm: true }).lex(raw));
}
