/** Escapes become styles or vanish; what is left is plain text. */
import { describe, expect, it } from "vitest";
import { ansiSpans, stripAnsi } from "../src/ansi.js";

const E = "\u001b";

describe("ansiSpans", () => {
  it("reads colours and weights", () => {
    expect(ansiSpans(`a ${E}[32mgreen${E}[0m ${E}[1;31mbold red${E}[39m bold${E}[22m z`)).toEqual([
      { text: "a " },
      { text: "green", colour: 2 },
      { text: " " },
      { text: "bold red", colour: 1, bold: true },
      { text: " bold", bold: true },
      { text: " z" },
    ]);
  });

  it("reads bright and palette colours, and passes over true colour and backgrounds", () => {
    expect(ansiSpans(`${E}[91ma${E}[38;5;4mb${E}[38;2;1;31;3mc${E}[48;5;1md`)).toEqual([
      { text: "a", colour: 9 },
      { text: "b", colour: 4 },
      { text: "c", colour: 4 },
      { text: "d", colour: 4 },
    ]);
  });

  it("drops everything else", () => {
    expect(
      stripAnsi(`${E}[2K${E}[1Gx${E}]0;title\u0007y${E}]8;;http://evil.test${E}\\z${E}(B\u0008\u0000${E}[`),
    ).toBe("xyz(B[");
  });

  it("lets a carriage return overwrite its line", () => {
    expect(stripAnsi("10%\r50%\r100%\nnext\r\nlast")).toBe("100%\nnext\nlast");
  });

  it("leaves HTML alone: it is text", () => {
    expect(ansiSpans("<img src=x onerror=alert(1)>")).toEqual([{ text: "<img src=x onerror=alert(1)>" }]);
  });
});
