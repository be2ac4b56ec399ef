/**
 * What is withheld from every text that leaves a page: addresses of people, card numbers, keys and tokens, values in links. Used where a
 * page is read, again where its answer is received, and by the deployment (`durable-objects/capture`), which is held to the same rules by
 * `vectors/redacted.json`. Errs on the side of withholding; never needed for a capture to make sense.
 */

/** Longer texts are looked at up to here, so that no page can keep the patterns busy. */
const LOOKED_AT_MAX = 4000;

/** Every quantifier is bounded or over one class of characters: no text makes these slow. */
const SECRETS: readonly [RegExp, string][] = [
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,4000}(?:-----END [A-Z ]{0,40}-----)?/g, "[key]"],
  [/\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?/g, "[token]"],
  [/\b(?:gh[opsur]_|github_pat_|glpat-|npm_|pypi-|xox[a-z]-|hf_|shpat_|fhk_)[\w-]{8,}/g, "[token]"],
  [/\b(?:sk|pk|rk|whsec)[-_][\w-]{12,}/g, "[token]"],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g, "[token]"],
  [/\bAIza[\w-]{20,}/g, "[token]"],
  [/\bya29\.[\w-]{10,}/g, "[token]"],
  [/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, "$1 [token]"],
  [
    /\b((?:pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|csrf\w{0,12}|pin|otp)\s{0,2}[=:]\s{0,2})["']?[^\s"'&,;]{3,}/gi,
    "$1[secret]",
  ],
  [/[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}/g, "[email]"],
  [/\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,4})?\b/g, "[account]"],
];
const DIGITS = /\b\d(?:[ -]?\d){11,18}\b/g;
const SOCIAL_SECURITY = /\b\d{3}-\d{2}-\d{4}\b/g;
/** Long runs that are neither words nor numbers: hashes, session ids, encoded data. */
const OPAQUE = /[A-Za-z0-9+_-]{28,}={0,2}/g;
/** Control characters, those that turn or hide text, and halves of pairs, which no JSON may have. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Variation_Selector}]/gu;

/** Short words of letters: most of what stands on pages … */
const PLAIN = /^(?:\p{L}{1,24}(?:[ .,!?'’()/&…-]{1,3}|$))*$/u;
/** … and nothing that any pattern would find, unless it begins as one of these tokens. */
const TELLING = /bearer|basic|eyJ|AKIA|ASIA|AIza|[spr]k-|whsec-|glpat-|pypi-|xox/i;

/** The text without anything that looks like a secret. */
export function redactSecrets(text: string): string {
  if (text.length < 120 && PLAIN.test(text) && !TELLING.test(text)) return text;
  return redactKnown(text).replace(OPAQUE, (run) => (isOpaque(run) ? "[token]" : run));
}

/** The same for secrets of a known shape only, which is what a text put together from pieces can be judged by. */
export function redactKnown(text: string): string {
  let clean = text;
  for (const [pattern, label] of SECRETS) clean = clean.replace(pattern, label);
  return clean
    .replace(DIGITS, (digits) => (isCardNumber(digits) ? "[card]" : digits))
    .replace(SOCIAL_SECURITY, "[number]");
}

/** One line without secrets and without invisible characters, cut to so many characters. */
export function cleanText(text: string, max: number): string {
  const looked = text.length > LOOKED_AT_MAX ? wholeWords(text.slice(0, LOOKED_AT_MAX)) : text;
  const clean = redactSecrets(looked.replace(/\s+/g, " ").replace(INVISIBLE, "").trim());
  return cut(clean, max);
}

/** At most so many characters, the last of them `…` when something is missing. Never half of a pair. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  let end = max - 1;
  const last = text.charCodeAt(end - 1);
  if (last >= 0xd800 && last <= 0xdbff) end -= 1;
  return `${text.slice(0, end).trimEnd()}…`;
}

/**
 * An address without what may be private: no user, no values in the query, no fragment that is more than a name, no path part that looks
 * like a key. Relative to `base` where it is of the same site.
 */
export function cleanUrl(address: string, base: string | null, max: number): string {
  const raw = address.trim().slice(0, LOOKED_AT_MAX);
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(raw)?.[1]?.toLowerCase();
  if (scheme !== undefined && !["http", "https", "file"].includes(scheme)) return `${scheme}:…`;
  let url: URL;
  try {
    url = base === null ? new URL(raw) : new URL(raw, base);
  } catch {
    return "";
  }
  const own = base !== null && url.origin !== "null" && url.origin === new URL(base).origin;
  const path = url.pathname
    .split("/")
    .map((part) => cleanPart(part))
    .join("/");
  const keys = [...new Set(url.searchParams.keys())].slice(0, 8).map((key) => `${cleanPart(key)}=…`);
  const query = keys.length === 0 ? "" : `?${keys.join("&")}`;
  const fragment = /^#\/?[\w-]{1,40}$/.test(url.hash) && cleanPart(url.hash.slice(1)) === url.hash.slice(1);
  const site = own ? "" : url.protocol === "file:" ? "file://" : url.origin;
  // A path of the machine itself says who sits at it.
  const shown = url.protocol === "file:" ? `/${path.split("/").at(-1) ?? ""}` : path;
  return cut(`${site}${shown}${query}${fragment ? url.hash : ""}`, max);
}

function cleanPart(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // Not encoded as it should be: looked at as it is.
  }
  const clean = redactSecrets(text.replace(INVISIBLE, ""));
  if (clean !== text) return "…";
  return /^[\w-]{16,}$/.test(text) && isOpaque(text) ? "…" : part;
}

/** Digits and letters mixed as no word has them. */
function isOpaque(run: string): boolean {
  if (/^[a-z]+(?:[-_][a-z]+)*$/i.test(run)) {
    // Words joined by lines, or one long word; letters alone are opaque only where upper and lower case change all the time.
    return !/[-_]/.test(run) && (run.match(/[a-z][A-Z]|[A-Z]{2}[a-z]/g) ?? []).length > run.length / 5;
  }
  const digits = (run.match(/\d/g) ?? []).length;
  const changes = (run.match(/\d[A-Za-z]|[A-Za-z]\d|[a-z][A-Z]/g) ?? []).length;
  return digits >= 3 && digits < run.length && changes >= 5;
}

/** The check digit of payment cards (ISO/IEC 7812-1). */
function isCardNumber(text: string): boolean {
  const digits = text.replace(/\D/g, "");
  let sum = 0;
  for (const [index, digit] of [...digits].reverse().entries()) {
    const value = index % 2 === 0 ? Number(digit) : Number(digit) * 2;
    sum += value > 9 ? value - 9 : value;
  }
  return sum % 10 === 0;
}

/** Without the last word, of which only a part may be there. */
function wholeWords(text: string): string {
  const end = text.search(/\s\S*$/);
  return end < 0 ? "" : text.slice(0, end);
}
