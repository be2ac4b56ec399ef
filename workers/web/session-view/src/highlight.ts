/**
 * A light hand of colour for one line of code: key words, comments, names that are called. Reads a line on its own, so it never
 * claims more than it can know; unknown languages get none. Pure.
 */
import { own } from "./own.js";

export type TokenKind = "plain" | "keyword" | "function" | "comment";

export interface CodeToken {
  text: string;
  kind: TokenKind;
}

interface Language {
  comment: RegExp;
  keywords: Set<string>;
}

const language = (comment: RegExp, keywords: string): Language => ({
  comment,
  keywords: new Set(keywords.split(" ")),
});

const SLASHES = /^(?:\/\/.*|\/\*.*?(?:\*\/|$)|\*\s.*)/;
const HASH = /^#.*/;
const DASHES = /^--.*/;

const SCRIPT = language(
  SLASHES,
  "as async await break case catch class const continue debugger default delete do else enum export extends false finally for from function get if implements import in instanceof interface let new null of return satisfies set static super switch this throw true try type typeof undefined var void while yield",
);
const RUST = language(
  /^(?:\/\/.*|\/\*.*?(?:\*\/|$))/,
  "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod move mut pub ref return self Self static struct super trait true type unsafe use where while",
);
const GO = language(
  SLASHES,
  "break case chan const continue default defer else fallthrough false for func go goto if import interface map nil package range return select struct switch true type var",
);
const FAMILY = language(
  SLASHES,
  "abstract boolean bool break byte case catch char class const continue default do double else enum extends false final finally float for if implements import int interface long namespace new null override package private protected public return short static string struct super switch this throw throws true try using var virtual void while",
);
const PYTHON = language(
  HASH,
  "and as assert async await break class continue def del elif else except False finally for from global if import in is lambda None nonlocal not or pass raise return True try while with yield",
);
const SHELL = language(
  HASH,
  "case do done elif else esac export fi for function if in local return set then while",
);
const SQL = language(
  DASHES,
  "ADD ALTER AND AS ASC BEGIN BY CASCADE CHECK COMMIT CREATE DEFAULT DELETE DESC DROP EXISTS FOREIGN FROM GROUP IF IN INDEX INSERT INTO IS JOIN KEY LEFT LIMIT NOT NULL ON OR ORDER PRIMARY REFERENCES SELECT SET TABLE UNIQUE UPDATE VALUES WHERE",
);
const DATA = language(HASH, "true false null");

const BY_ENDING: Record<string, Language> = {
  ...endings(SCRIPT, "js jsx ts tsx mjs cjs mts cts vue svelte"),
  ...endings(RUST, "rs"),
  ...endings(GO, "go"),
  ...endings(FAMILY, "java kt c h cc cpp hpp cs swift php scala dart"),
  ...endings(PYTHON, "py pyi rb"),
  ...endings(SHELL, "sh bash zsh"),
  ...endings(SQL, "sql"),
  ...endings(DATA, "toml yml yaml"),
};

function endings(of: Language, list: string): Record<string, Language> {
  return Object.fromEntries(list.split(" ").map((ending) => [ending, of]));
}

/** The language of a file, by the ending of its name. */
export function languageOf(path: string): Language | undefined {
  return own(BY_ENDING, path.slice(path.lastIndexOf(".") + 1).toLowerCase());
}

const STRING = /^(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|`(?:[^`\\]|\\.)*`?)/;
const WORD = /^[A-Za-z_$][\w$]*/;

export function highlightLine(text: string, of: Language | undefined): CodeToken[] {
  if (of === undefined || text.length > 400) return [{ text, kind: "plain" }];
  const tokens: CodeToken[] = [];
  const push = (part: string, kind: TokenKind): void => {
    const last = tokens.at(-1);
    if (last?.kind === kind) last.text += part;
    else tokens.push({ text: part, kind });
  };
  let rest = text;
  while (rest !== "") {
    const comment = of.comment.exec(rest)?.[0];
    const atStart = tokens.every((token) => token.text.trim() === "");
    // A lone `*` begins a comment only at the start of a line; elsewhere it multiplies.
    if (comment !== undefined && comment !== "" && (!comment.startsWith("*") || atStart)) {
      push(comment, "comment");
      rest = rest.slice(comment.length);
      continue;
    }
    const quoted = STRING.exec(rest)?.[0];
    const word = WORD.exec(rest)?.[0];
    const part = quoted ?? word ?? rest.slice(0, 1);
    rest = rest.slice(part.length);
    if (word === undefined) push(part, "plain");
    else if (of.keywords.has(word)) push(word, "keyword");
    else push(word, /^\s*!?\(/.test(rest) ? "function" : "plain");
  }
  return tokens;
}
