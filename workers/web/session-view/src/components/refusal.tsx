/** What the session refused, in its words, beside the control that asked. */
import type { Attachment } from "@farhand/protocol";
import { type JSX, Show } from "solid-js";
import { capitalised } from "../format.js";
import type { Place } from "../refusals.js";
import type { Session } from "../session-store.js";
import { Icon } from "./icons.jsx";

export interface RefusalLineProps {
  session: Session;
  place: Place;
  /** Takes back a refused prompt: its words, and what went along with it. */
  onRestore?: (text: string, attachments: readonly Attachment[]) => void;
}

export function RefusalLine(props: RefusalLineProps): JSX.Element {
  return (
    <Show when={props.session.refusal(props.place)}>
      {(refusal) => (
        <div class="refusal" role="alert">
          <Icon name="alert" size={15} />
          <span>{capitalised(refusal().error.message)}</span>
          <Show when={props.onRestore !== undefined && refusal().prompt}>
            {(prompt) => (
              <button
                type="button"
                class="text-button"
                onClick={() => {
                  props.onRestore?.(prompt().text, prompt().attachments ?? []);
                  props.session.dismissRefusal(props.place);
                }}
              >
                Edit again
              </button>
            )}
          </Show>
          <button
            type="button"
            class="icon-button"
            aria-label="Dismiss"
            onClick={() => props.session.dismissRefusal(props.place)}
          >
            <Icon name="cross" size={14} />
          </button>
        </div>
      )}
    </Show>
  );
}
