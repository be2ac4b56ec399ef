/** What is withheld, and what is not taken for a secret. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { cleanText, cleanUrl, redactSecrets } from "../src/capture/redact.js";

/** The deployment is held to the same: `durable-objects/capture/tests/vectors.rs`. */
const vectors = JSON.parse(readFileSync(new URL("../vectors/redacted.json", import.meta.url), "utf8")) as {
  redacted: [string, string][];
  cleaned: [string, number, string][];
  addresses: [string, string][];
};

const key = ["sk", "live", "0a1b2c3d4e5f6a7b"].join("-");
const token = `ghp${"_"}AbCdEf0123456789AbCdEf0123456789AbCd`;

describe("secrets", () => {
  test.each([
    ["Write to jo.reyes@example.com today", "Write to [email] today"],
    ["Card 4242 4242 4242 4242 is valid", "Card [card] is valid"],
    ["4242-4242-4242-4242", "[card]"],
    [`Key ${key}.`, "Key [token]."],
    [`Token ${token}`, "Token [token]"],
    ["AKIAIOSFODNN7EXAMPLE", "[token]"],
    ["Authorization: Bearer abcdefghijkl", "Authorization: Bearer [token]"],
    ["password: swordfish", "password: [secret]"],
    ["csrf_token=abc123def", "csrf_token=[secret]"],
    ["123-45-6789", "[number]"],
    ["GB82 WEST 1234 5698 7654 32", "[account]"],
    ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c", "[token]"],
  ])("%s is withheld", (text, clean) => {
    expect(redactSecrets(text)).toBe(clean);
  });

  test.each([
    "Add to cart",
    "Order 1000234 of 12 March 2026, 14:30",
    "4242 4242 4242 4243",
    "Invoice 2026-0001234567",
    "The quick brown fox jumps over the lazy dog",
    "getElementsByTagNameNS",
    "very-long-words-that-are-joined-by-hyphens-in-a-class",
    "Donaudampfschifffahrtsgesellschaftskapitaen",
    "v1.2.3-beta.4",
  ])("%s stays as it is", (text) => {
    expect(redactSecrets(text)).toBe(text);
  });

  test("a text of any kind and length takes little time", () => {
    const texts = [
      "a".repeat(100_000),
      "a@".repeat(50_000),
      "1 ".repeat(50_000),
      "password=".repeat(10_000),
      "-----BEGIN ".repeat(9000),
    ];
    for (const text of texts) expect(cleanText(text, 100).length).toBeLessThanOrEqual(100);
  });
});

describe("texts", () => {
  test("are one line, cut, and without characters that nobody sees", () => {
    expect(cleanText("  one\n\ttwo \u202ethree\u200b ", 100)).toBe("one two three");
    expect(cleanText("word ".repeat(40), 20)).toBe("word word word word…");
    expect(cleanText("ab😀".repeat(10), 4)).toBe("ab…");
  });

  test("are not cut through a secret", () => {
    const text = `${"word ".repeat(798)}aaaa ${token}`;
    expect(cleanText(text, 5000)).not.toContain("ghp");
  });
});

describe("addresses", () => {
  const base = "https://shop.example/cart/";
  test.each([
    ["/items?page=2&session=abc#list", "/items?page=…&session=…#list"],
    ["total", "/cart/total"],
    ["https://other.example/a/b?x=1", "https://other.example/a/b?x=…"],
    ["https://jo:secret@shop.example/", "/"],
    ["/reset/9f86d081884c7d659a2feaa0c55ad015", "/reset/…"],
    ["/users/jo%40example.com/edit", "/users/…/edit"],
    ["/a#access_token=abc", "/a"],
    ["data:image/png;base64,AAAA", "data:…"],
    ["javascript:alert(1)", "javascript:…"],
    ["blob:https://shop.example/1", "blob:…"],
    ["mailto:jo@example.com", "mailto:…"],
  ])("%s becomes %s", (address, clean) => {
    expect(cleanUrl(address, base, 200)).toBe(clean);
  });

  test("of files tell no folder", () => {
    expect(cleanUrl("file:///home/jo/work/page.html", null, 200)).toBe("file:///page.html");
  });
});

describe("the vectors that the deployment is held to", () => {
  test("say what is withheld", () => {
    expect(vectors.redacted.length).toBeGreaterThan(80);
    for (const [text, clean] of vectors.redacted) expect([text, redactSecrets(text)]).toEqual([text, clean]);
  });

  test("say how texts are cut", () => {
    for (const [text, max, clean] of vectors.cleaned) expect(cleanText(text, max)).toBe(clean);
    expect(cleanText("half \ud83d of a pair", 100)).toBe("half  of a pair");
  });

  test("say what is left of addresses", () => {
    for (const [address, clean] of vectors.addresses)
      expect([address, cleanUrl(address, null, 400)]).toEqual([address, clean]);
  });
});
