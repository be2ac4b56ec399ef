/** Sign-in against a small deployment that checks as the contract says, and what counts as an address. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { originPattern, parseAddress, signIn, signOut } from "../src/account.js";

const ADDRESS = "https://farhand.example.com";
const EXTENSION = "enbmhbgjjakbhommiecphdjfgnmpmgkj";

/** The deployment's side: a code bound to a challenge, exchanged once. */
function createServer() {
  const codes = new Map<string, string>();
  const keys = new Set<string>();
  const seen: { path: string; method: string; authorization: string | null }[] = [];
  return {
    keys,
    seen,
    browser: (answer: (page: URL, code: string) => string = (page, code) => redirect(page, code)) => ({
      extensionId: EXTENSION,
      openPage: async (url: string) => {
        const page = new URL(url);
        codes.set("code-1", page.searchParams.get("challenge") ?? "");
        return answer(page, "code-1");
      },
    }),
    send: (async (url: string, init: RequestInit = {}) => {
      const { pathname } = new URL(url);
      const method = init.method ?? "GET";
      seen.push({ path: pathname, method, authorization: new Headers(init.headers).get("authorization") });
      if (method === "DELETE") return Response.json({});
      const { code, verifier } = JSON.parse(String(init.body)) as { code: string; verifier: string };
      const expected = codes.get(code);
      codes.delete(code);
      if (expected !== createHash("sha256").update(verifier).digest("base64url")) {
        return Response.json(
          { code: "token_invalid", message: "this code does not count; connect again" },
          { status: 401 },
        );
      }
      keys.add("fhk_1");
      return Response.json({ id: "1", key: "fhk_1", expiresAt: 9_000_000_000_000 }, { status: 201 });
    }) as typeof fetch,
  };
}

function redirect(page: URL, code: string, state = page.searchParams.get("state")): string {
  return `https://${page.searchParams.get("client")}.chromiumapp.org/?code=${code}&state=${state}`;
}

describe("signing in", () => {
  test("ends with a key that the deployment gave for the code and its verifier", async () => {
    const server = createServer();
    const account = await signIn(ADDRESS, server.browser(), server.send);
    expect(account).toEqual({
      address: ADDRESS,
      key: { id: "1", text: "fhk_1", expiresAt: 9_000_000_000_000 },
    });
    expect(server.seen).toEqual([{ path: "/api/keys/exchange", method: "POST", authorization: null }]);
  });

  test("opens the deployment's page with client, challenge and state, each time new ones", async () => {
    const server = createServer();
    const pages: URL[] = [];
    const browser = server.browser((page, code) => {
      pages.push(page);
      return redirect(page, code);
    });
    await signIn(ADDRESS, browser, server.send);
    await signIn(ADDRESS, browser, server.send);
    const [first, second] = pages;
    expect(first?.origin + (first?.pathname ?? "")).toBe(`${ADDRESS}/connect/extension`);
    expect(first?.searchParams.get("client")).toBe(EXTENSION);
    expect(first?.searchParams.get("challenge")).toMatch(/^[\w-]{43}$/);
    expect(first?.searchParams.get("challenge")).not.toBe(second?.searchParams.get("challenge"));
    expect(first?.searchParams.get("state")).not.toBe(second?.searchParams.get("state"));
  });

  test("refuses a code that belongs to another sign-in", async () => {
    const server = createServer();
    const browser = server.browser((page, code) => redirect(page, code, "forged"));
    await expect(signIn(ADDRESS, browser, server.send)).rejects.toThrow("belongs to another sign-in");
    expect(server.keys.size).toBe(0);
  });

  test("says when it was not allowed, closed, or the code did not count", async () => {
    const server = createServer();
    const denied = server.browser(
      (page) => `https://x.chromiumapp.org/?error=denied&state=${page.searchParams.get("state")}`,
    );
    await expect(signIn(ADDRESS, denied, server.send)).rejects.toThrow("was not allowed");
    const closed = { extensionId: EXTENSION, openPage: () => Promise.reject(new Error("closed")) };
    await expect(signIn(ADDRESS, closed, server.send)).rejects.toThrow("closed before it was done");
    const stolen = server.browser((page) => redirect(page, "code-of-another"));
    await expect(signIn(ADDRESS, stolen, server.send)).rejects.toThrow("This code does not count");
  });

  test("is undone by ending the key, whether the deployment answers or not", async () => {
    const server = createServer();
    const account = await signIn(ADDRESS, server.browser(), server.send);
    expect(await signOut(account, server.send)).toEqual({ address: ADDRESS });
    expect(server.seen.at(-1)).toEqual({
      path: "/api/keys/1",
      method: "DELETE",
      authorization: "Bearer fhk_1",
    });
    expect(await signOut(account, () => Promise.reject(new TypeError("offline")))).toEqual({
      address: ADDRESS,
    });
  });
});

describe("an address", () => {
  test.each([
    ["farhand.example.com", ADDRESS],
    [" https://farhand.example.com/sessions/1?x#y ", ADDRESS],
    ["farhand.example.com:8443", `${ADDRESS}:8443`],
    ["localhost:8787", "http://localhost:8787"],
    ["http://127.0.0.1:8787/", "http://127.0.0.1:8787"],
    ["farhand.localhost", "http://farhand.localhost"],
  ])("%s means %s", (typed, address) => {
    expect(parseAddress(typed)).toEqual({ address });
  });

  test.each([
    "",
    "http://farhand.example.com",
    "ftp://farhand.example.com",
    "https://jo:secret@farhand.example.com",
    "https://",
  ])("%s is refused with a reason", (typed) => {
    expect(parseAddress(typed)).toEqual({ problem: expect.stringMatching(/\w{3}/) });
  });

  test("asks the browser for its host alone", () => {
    expect(originPattern("https://farhand.example.com:8443")).toBe("https://farhand.example.com/*");
  });
});
