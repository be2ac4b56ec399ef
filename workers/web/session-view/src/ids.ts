/** Makes ids of the client's own choosing. Sending the same prompt id again is what makes a resend safe. */
import type { PromptId } from "@farhand/protocol";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** `prm_` and 16 random bytes as 26 characters of lower-case base 32. */
export function newPromptId(random: Uint8Array = crypto.getRandomValues(new Uint8Array(16))): PromptId {
  let number = 0n;
  for (const byte of random) number = (number << 8n) | BigInt(byte);
  let text = "";
  for (let position = 0; position < 26; position += 1) {
    text = (ALPHABET[Number(number & 31n)] ?? "0") + text;
    number >>= 5n;
  }
  return `prm_${text}`;
}
