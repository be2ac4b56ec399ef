/**
 * Whose panel this is: the deployment's address, and a key of scope `write` that the person allowed there. The way to it, after RFC 7636:
 *
 * 1. We draw a verifier and open `{address}/connect/extension?client={extension id}&challenge={base64url(SHA-256(verifier))}&state={random}`.
 * 2. Whoever is signed in there allows it; the page goes to `https://{extension id}.chromiumapp.org/?code={code}&state={state}`, which the
 *    browser hands to us without asking any server. Without permission it goes there with `error=…`.
 * 3. `POST /api/keys/exchange {code, verifier}` → `201 {id, key, expiresAt}`; codes count once and for a minute.
 * 4. Everything else is asked with `Authorization: Bearer {key}`. Signing out ends the key by `DELETE /api/keys/{id}`.
 *
 * The key is kept where content scripts cannot read, and goes nowhere but to its deployment.
 */
import { ApiError } from "@farhand/session-view/api-error";
import { createDeployment } from "./deployment.js";

/** A deployment, and the key for it where somebody signed in. */
export interface Account {
  address: string;
  key?: { id: string; text: string; expiresAt: number };
}

/** What of the browser is needed to sign in. */
export interface SignInBrowser {
  extensionId: string;
  /** Opens a page, and resolves with the address at which the extension itself was reached. */
  openPage(url: string): Promise<string>;
}

const ACCOUNT = "account";
const LOOPBACK = /^(?:localhost|127\.0\.0\.1|\[::1\]|[\w-]+\.localhost)$/;

/** The origin that somebody meant, or why it cannot be one. */
export function parseAddress(typed: string): { address: string } | { problem: string } {
  const text = typed.trim();
  if (text === "") return { problem: "Write the address at which your team opens Farhand" };
  const bare = text.replace(/^[a-z]+:\/\//i, "").split(/[/:?#]/)[0] ?? "";
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? "" : LOOPBACK.test(bare) ? "http://" : "https://";
  let url: URL;
  try {
    url = new URL(`${scheme}${text}`);
  } catch {
    return { problem: "This is no web address. It looks like farhand.example.com" };
  }
  if (url.protocol !== "https:" && !(url.protocol === "http:" && LOOPBACK.test(url.hostname))) {
    return {
      problem:
        "The address must begin with https:// (http:// only on this machine), because a key travels to it",
    };
  }
  if (url.username !== "" || url.password !== "")
    return { problem: "Leave user and password out of the address" };
  return { address: url.origin };
}

/** What the browser is asked to allow for an address. */
export function originPattern(address: string): string {
  const url = new URL(address);
  return `${url.protocol}//${url.hostname}/*`;
}

/** Gets a key from the deployment. Rejects with words to show. */
export async function signIn(
  address: string,
  browser: SignInBrowser,
  send: typeof fetch = fetch,
): Promise<Required<Account>> {
  const verifier = randomText();
  const state = randomText();
  const page = new URL("/connect/extension", address);
  page.searchParams.set("client", browser.extensionId);
  page.searchParams.set("challenge", await sha256(verifier));
  page.searchParams.set("state", state);
  let reached: URL;
  try {
    reached = new URL(await browser.openPage(page.href));
  } catch {
    throw new ApiError("forbidden", "Sign-in was closed before it was done. Try again when you are ready.");
  }
  const code = reached.searchParams.get("code");
  if (reached.searchParams.get("state") !== state) {
    throw new ApiError("forbidden", "The answer belongs to another sign-in. Start again from here.");
  }
  if (code === null || code === "") {
    throw new ApiError("forbidden", "The extension was not allowed. Sign in again to change your mind.");
  }
  const { id, key, expiresAt } = await createDeployment(address, null, send).exchange({ code, verifier });
  if (typeof id !== "string" || typeof key !== "string" || key === "" || typeof expiresAt !== "number") {
    throw new ApiError(
      "unavailable",
      "The deployment's answer has no key. Its version may be too old for this extension.",
    );
  }
  return { address, key: { id, text: key, expiresAt } };
}

/** Ends the key; also when the deployment does not answer, nothing of it is left here. */
export async function signOut(account: Account, send: typeof fetch = fetch): Promise<Account> {
  if (account.key !== undefined) {
    await createDeployment(account.address, account.key.text, send)
      .revokeKey(account.key.id)
      .catch(() => undefined);
  }
  return { address: account.address };
}

/** The account as it is kept; without a key that has run out. */
export async function loadAccount(now: number): Promise<Account | null> {
  const stored = (await chrome.storage.local.get(ACCOUNT))[ACCOUNT] as Account | undefined;
  if (stored === undefined) return null;
  const { address, key } = stored;
  return key !== undefined && key.expiresAt > now ? { address, key } : { address };
}

export async function storeAccount(account: Account | null): Promise<void> {
  if (account === null) await chrome.storage.local.remove(ACCOUNT);
  else await chrome.storage.local.set({ [ACCOUNT]: account });
}

/** The browser's own way: a window for the page, closed when it comes to the extension's address. */
export const thisBrowser: SignInBrowser = {
  get extensionId() {
    return chrome.runtime.id;
  },
  async openPage(url) {
    const reached = await chrome.identity.launchWebAuthFlow({ url, interactive: true });
    if (reached === undefined) throw new Error("no answer");
    return reached;
  },
};

/** 32 random bytes as base64url. */
function randomText(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function sha256(text: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");
}
