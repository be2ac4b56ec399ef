/** Makes ids of the client's own choosing. Sending the same prompt id again is what makes a resend safe. */
import type { PromptId, ReservationId } from "@farhand/protocol";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

export const newPromptId = (random?: Uint8Array): PromptId => newId("prm", random);

export const newReservationId = (): ReservationId => newId("rsv");

/** The prefix and 16 random bytes as 26 characters of lower-case base 32. */
function newId(prefix: string, random: Uint8Array = crypto.getRandomValues(new Uint8Array(16))): string {
  let number = 0n;
  for (const byte of random) number = (number << 8n) | BigInt(byte);
  let text = "";
  for (let position = 0; position < 26; position += 1) {
    text = (ALPHABET[Number(number & 31n)] ?? "0") + text;
    number >>= 5n;
  }
  return `${prefix}_${text}`;
}
