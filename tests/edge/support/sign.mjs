/** Signs as `protocol::sign` does: JWT, HS256, claims `aud`, `issued_at`, `expires_at` in milliseconds beside the payload. */

import { createHash, createHmac, randomBytes } from "node:crypto";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** What `protocol::sign` derives from a secret that edge and bridge share: an id, and one key for each side that signs. */
export const bridgeKeys = (secret) => ({
  id: sha256(`farhand bridge key id 1\n${secret}`).slice(0, 16),
  edge: sha256(`farhand edge to bridge key 1\n${secret}`),
  bridge: sha256(`farhand bridge to edge key 1\n${secret}`),
});

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
  secret,
  { audience = "edge", method = "POST", path, body, nonce, issuedAt, expiresAt },
) {
  const payload = { method, path, body: sha256(body), nonce: nonce ?? randomBytes(16).toString("hex") };
  const keys = bridgeKeys(secret);
  const key = audience === "bridge" ? keys.edge : keys.bridge;
  const header = { alg: "HS256", kid: keys.id };
  return `Bearer ${jwt(key, claims(audience, payload, { issuedAt, expiresAt }), { header })}`;
}

/** Header with the signature of an answer. */
export const ANSWER_HEADER = "x-farhand-signature";

/** Its value for the answer of `audience` to the request with this `authorization`. */
export function signAnswer(secret, { audience = "bridge", authorization, nonce, status, body, issuedAt }) {
  const answers = nonce ?? payloadOf(authorization).nonce;
  const keys = bridgeKeys(secret);
  const key = audience === "bridge" ? keys.bridge : keys.edge;
  const header = { alg: "HS256", kid: keys.id };
  return jwt(key, claims(audience, { status, body: sha256(body), answers }, { issuedAt }), { header });
}

/** The claims of a token between edge and bridge that `signer` wrote with this secret; throws where it did not. */
export function verify(secret, signer, token) {
  const keys = bridgeKeys(secret);
  const [header, payload, signature] = token.split(".");
  const { alg, kid } = JSON.parse(Buffer.from(header, "base64url").toString());
  const expected = createHmac("sha256", keys[signer]).update(`${header}.${payload}`).digest("base64url");
  if (alg !== "HS256" || kid !== keys.id || signature !== expected) throw new Error("not signed so");
  return payloadOf(token);
}

/** Throws unless `signature` is what `audience` proves this answer with. */
export function verifyAnswer(secret, { audience, authorization, signature, status, body }) {
  const claims = verify(secret, audience, signature);
  const { aud, status: said, body: hash, answers } = claims;
  const right = [audience, status, sha256(body), payloadOf(authorization).nonce];
  if (JSON.stringify([aud, said, hash, answers]) !== JSON.stringify(right))
    throw new Error(`the signature is of another answer: ${JSON.stringify(claims)}`);
  return claims;
}

/** The claims of a token, unverified. */
export const payloadOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
