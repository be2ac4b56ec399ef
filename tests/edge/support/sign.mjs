/** Signs as `protocol::sign` does: JWT, HS256, claims `aud`, `issued_at`, `expires_at` in milliseconds beside the payload. */

import { createHash, createHmac, randomBytes } from "node:crypto";

const base64url = (value) => Buffer.from(value).toString("base64url");

/** A token over `claims`; `header` and `algorithm` are for forgeries. */
export function jwt(key, claims, { header = { alg: "HS256" }, digest = "sha256" } = {}) {
  const signed = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}`;
  return `${signed}.${createHmac(digest, key).update(signed).digest("base64url")}`;
}

/** Claims for `audience`, good for a minute unless told otherwise. */
export function claims(audience, payload, { issuedAt = Date.now(), expiresAt = issuedAt + 60_000 } = {}) {
  return { aud: audience, issued_at: issuedAt, expires_at: expiresAt, ...payload };
}

/** Value of `authorization` for a request between edge and bridge. */
export function signRequest(
  key,
  { audience = "edge", method = "POST", path, body, nonce, issuedAt, expiresAt },
) {
  const payload = {
    method,
    path,
    body: createHash("sha256").update(body).digest("hex"),
    nonce: nonce ?? randomBytes(16).toString("hex"),
  };
  return `Bearer ${jwt(key, claims(audience, payload, { issuedAt, expiresAt }))}`;
}
