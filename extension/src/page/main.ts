/**
 * The script that the worker puts beside a page when somebody selects: answers the worker's messages and nobody else's. In a world of its
 * own, so that the page sees neither it nor what it reads.
 */
import type { ContextCapture } from "../capture/capture.js";
import { parseAnswer } from "../framework/request.js";
import type { PageMessage, ScriptMessage } from "../messages.js";
import { shownBox } from "./collect.js";
import { extractSelection, type Target } from "./extract.js";
import type { AskPage } from "./names.js";
import { type Picking, startPicking } from "./picker.js";

/** Set once in this world; the page has another. */
const MARK = "farhandSelection";

let picking: Picking | null = null;
let picked: Target | null = null;

function say(message: ScriptMessage): Promise<unknown> {
  return chrome.runtime.sendMessage(message);
}

const ask: AskPage = async (request) =>
  parseAnswer(await say({ type: "NAME_COMPONENTS", request }), request.places.length);

function start(): void {
  picking?.stop();
  picked = null;
  picking = startPicking(ask, (target) => {
    picking = null;
    picked = target;
    if (target === null) {
      void say({ type: "SELECTION_CANCELLED" });
      return;
    }
    const box = target.kind === "area" ? target.area : shownBox(target.element);
    void nextPicture().then(() => say({ type: "SELECTION_PICKED", box, kind: target.kind }));
  });
}

/** Until the page has been drawn without the highlight, which is not to be in a picture of it. */
function nextPicture(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 300);
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        clearTimeout(timer);
        resolve();
      }),
    );
  });
}

async function extract(
  message: Extract<PageMessage, { type: "EXTRACT_SELECTION" }>,
): Promise<ContextCapture | null> {
  const target = message.area === undefined ? picked : ({ kind: "area", area: message.area } as const);
  return target === null ? null : extractSelection(target, ask, picking?.highlight.host ?? null);
}

function receive(message: PageMessage, answer: (value: unknown) => void): boolean {
  switch (message.type) {
    case "START_SELECTION":
      try {
        start();
        answer(true);
      } catch {
        answer(false);
      }
      return false;
    case "CANCEL_SELECTION":
      picking?.cancel();
      return false;
    case "SELECTION_KEY":
      picking?.key(message.key);
      return false;
    case "EXTRACT_SELECTION":
      extract(message).then(answer, () => answer(false));
      return true;
    default:
      return false;
  }
}

const world = globalThis as Record<string, unknown>;
if (world[MARK] === undefined) {
  world[MARK] = true;
  chrome.runtime.onMessage.addListener((message: PageMessage, sender, answer) => {
    if (sender.id !== chrome.runtime.id || sender.tab !== undefined) return false;
    return receive(message, answer);
  });
}
