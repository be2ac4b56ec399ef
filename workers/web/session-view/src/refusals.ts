/**
 * Where a refusal belongs. The session refuses in the order of asking and names only prompts, so what was asked is remembered until
 * an event shows that it was done, and a refusal is shown beside the control that asked.
 */
import type { ErrorBody, PromptId, PromptRequest, SessionEvent, UserId } from "@farhand/protocol";
import { createStore } from "solid-js/store";

/** Something that was asked for: the composer's prompt, one waiting prompt, the title, somebody's role, the end of the turn. */
export type Place = "composer" | `prompt:${PromptId}` | "title" | `role:${UserId}` | "stop";

/** A refusal to show: the words of the session, and the prompt that it gives back. */
export interface Refusal {
  error: ErrorBody;
  prompt?: PromptRequest;
}

export interface Refusals {
  at(place: Place): Refusal | undefined;
  dismiss(place: Place): void;
  /** Something was asked for at this place; what was refused there before is settled. */
  asked(place: Place): void;
  refused(error: ErrorBody, promptId: PromptId | undefined, prompt: PromptRequest | undefined): void;
  /** An event may show that something was done. */
  noted(event: SessionEvent): void;
  /** The connection is lost: nobody answers what was asked. */
  forgetAsked(): void;
}

/** What asks for nothing new is answered by nothing; after this long no refusal is meant for it. */
const ANSWERED_WITHIN_MS = 15_000;

export function createRefusals(): Refusals {
  const [shown, setShown] = createStore<Partial<Record<Place, Refusal>>>({});
  let asked: { place: Place; at: number }[] = [];
  const dismiss = (place: Place): void => setShown(place, undefined);
  const settle = (place: Place): void => {
    const at = asked.findIndex((one) => one.place === place);
    if (at >= 0) asked.splice(at, 1);
  };
  const placeOf = (promptId: PromptId | undefined): Place => {
    if (promptId !== undefined) return `prompt:${promptId}`;
    const open = asked.filter((one) => Date.now() - one.at < ANSWERED_WITHIN_MS).map((one) => one.place);
    return open.find((place) => !place.startsWith("prompt:")) ?? open[0] ?? "composer";
  };
  return {
    at: (place) => shown[place],
    dismiss,
    asked(place) {
      dismiss(place);
      settle(place);
      asked.push({ place, at: Date.now() });
    },
    refused(error, promptId, prompt) {
      if (prompt !== undefined) {
        setShown("composer", { error, prompt });
        return;
      }
      const place = placeOf(promptId);
      settle(place);
      setShown(place, { error });
    },
    noted(event) {
      for (const place of placesOf(event)) settle(place);
    },
    forgetAsked() {
      asked = [];
    },
  };
}

function placesOf(event: SessionEvent): Place[] {
  switch (event.type) {
    case "title_changed":
      return ["title"];
    case "role_changed":
      return [`role:${event.userId}`];
    case "prompt_edited":
    case "prompt_moved":
    case "prompt_cancelled":
      return [`prompt:${event.promptId}`];
    case "stop_requested":
    case "turn_ended":
      return ["stop"];
    default:
      return [];
  }
}
