/**
 * Output of a command with ANSI escapes → runs of text with a style. Knows the sixteen colours, bold, faint, italic and underline;
 * all other escapes are dropped, a carriage return overwrites its line as a terminal does.
 */

/** A run of text that looks the same. `colour` 0 to 15. */
export interface AnsiSpan {
  text: string;
  colour?: number;
  bold?: true;
  faint?: true;
  italic?: true;
  underline?: true;
}

type Style = Omit<AnsiSpan, "text">;

// CSI sequences, OSC strings with either end, and two-character escapes.
const ESCAPE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are control characters
  /\u001b(?:\[([0-9;:?]*)[ -/]*([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_a-z=>78])|\u009b[0-9;?]*[@-~]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: what is left of broken escapes
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/g;

export function ansiSpans(output: string): AnsiSpan[] {
  const spans: AnsiSpan[] = [];
  let style: Style = {};
  let position = 0;
  const text = overwritten(output);
  const push = (raw: string): void => {
    const clean = raw.replace(CONTROL, "");
    if (clean !== "") spans.push({ text: clean, ...style });
  };
  for (const match of text.matchAll(ESCAPE)) {
    push(text.slice(position, match.index));
    position = match.index + match[0].length;
    if (match[2] === "m") style = applyCodes(style, match[1] ?? "");
  }
  push(text.slice(position));
  return spans;
}

/** The text alone. */
export function stripAnsi(output: string): string {
  return ansiSpans(output)
    .map((span) => span.text)
    .join("");
}

function overwritten(output: string): string {
  if (!output.includes("\r")) return output;
  return output
    .replaceAll(/\r+\n/g, "\n")
    .split("\n")
    .map((line) => line.slice(line.lastIndexOf("\r") + 1))
    .join("\n");
}

function applyCodes(before: Style, codes: string): Style {
  let style: Style = { ...before };
  const list = codes.split(/[;:]/).map(Number);
  for (let index = 0; index < list.length; index += 1) {
    const code = list[index] ?? 0;
    if (code === 0) style = {};
    else if (code === 1) style.bold = true;
    else if (code === 2) style.faint = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 22) style = omit(style, "bold", "faint");
    else if (code === 23) style = omit(style, "italic");
    else if (code === 24) style = omit(style, "underline");
    else if (code >= 30 && code <= 37) style.colour = code - 30;
    else if (code >= 90 && code <= 97) style.colour = code - 82;
    else if (code === 39) style = omit(style, "colour");
    else if (code === 38 || code === 48) {
      const palette = list[index + 1] === 5;
      const wanted = list[index + 2] ?? 16;
      if (code === 38 && palette && wanted < 16) style.colour = wanted;
      index += palette ? 2 : 4;
    }
  }
  return style;
}

function omit(style: Style, ...keys: (keyof Style)[]): Style {
  const rest = { ...style };
  for (const key of keys) delete rest[key];
  return rest;
}
