/**
 * How the session page feels while an agent writes: 100 tokens a second for ten seconds, in the frames in which the server sends them, into
 * a long conversation, while somebody types. Prints one line of JSON: the delay from a key to its handler, and pictures per second.
 * `cargo xtask bench STREAMING` runs it; the real clock counts here.
 */
import { expect, test } from "@playwright/test";
import { open } from "./fixture/deployment.js";
import { historyBefore, LONG_SEQ, long, running } from "./fixture/facts.js";

const SECONDS = 10;
/** The server sends at most so many frames. */
const FRAMES_PER_SECOND = 20;
const TOKENS_PER_FRAME = 5;
/** As fast as people write. */
const KEYS_PER_SECOND = 10;

interface Measured {
  delays: number[];
  frames: number[];
}

test("streaming", async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 1000 });
  const snapshot = long();
  const live = running();
  snapshot.turns = [...snapshot.turns.slice(0, -1), ...live.turns];
  snapshot.items = [...snapshot.items.filter(({ turnId }) => turnId !== "trn_1"), ...live.items];
  delete snapshot.places;
  const deployment = await open(page, "/sessions/ses_cart", {
    snapshot,
    seq: LONG_SEQ,
    history: historyBefore,
    ownsClock: false,
  });
  const field = page.getByRole("textbox", { name: "Prompt", exact: true });
  await field.focus();
  await page.evaluate(() => {
    const measured: Measured = { delays: [], frames: [] };
    const count = (now: number): void => {
      measured.frames.push(now);
      requestAnimationFrame(count);
    };
    requestAnimationFrame(count);
    addEventListener("keydown", (event) => measured.delays.push(performance.now() - event.timeStamp), true);
    Object.assign(globalThis, { measured });
  });
  let offset = liveText(live.items).length;
  let token = 0;
  const stream = (async () => {
    const began = performance.now();
    for (let frame = 0; frame < SECONDS * FRAMES_PER_SECOND; frame += 1) {
      const words = Array.from(
        { length: TOKENS_PER_FRAME },
        () => ` token${token++}${token % 40 === 0 ? ".\n\n" : ""}`,
      );
      const text = words.join("");
      deployment.emit({ type: "item_appended", itemId: "itm_live", offset, text });
      offset += text.length;
      await until(began + ((frame + 1) * 1000) / FRAMES_PER_SECOND);
    }
  })();
  const began = performance.now();
  for (let key = 0; key < SECONDS * KEYS_PER_SECOND; key += 1) {
    await page.keyboard.press("a");
    await until(began + ((key + 1) * 1000) / KEYS_PER_SECOND);
  }
  await stream;
  await expect(page.getByRole("log")).toContainText(`token${token - 1}`);
  const { delays, frames } = await page.evaluate(
    () => (globalThis as unknown as { measured: Measured }).measured,
  );
  await expect(field).toHaveValue("a".repeat(SECONDS * KEYS_PER_SECOND));
  const sorted = delays.toSorted((one, other) => one - other);
  const seconds = ((frames.at(-1) ?? 0) - (frames[0] ?? 0)) / 1000;
  const rounded = (value: number | undefined): number => Math.round((value ?? Number.NaN) * 10) / 10;
  console.log(
    JSON.stringify({
      input_p95_ms: rounded(sorted[Math.floor(sorted.length * 0.95)]),
      input_worst_ms: rounded(sorted.at(-1)),
      fps: rounded((frames.length - 1) / seconds),
    }),
  );
});

function liveText(items: ReturnType<typeof running>["items"]): string {
  const content = items.at(-1)?.content;
  return content?.type === "text" ? content.text : "";
}

async function until(moment: number): Promise<void> {
  const wait = moment - performance.now();
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
}
