/** Selections in the composer: what each is called, how much it is, what exactly will be sent, and how to be rid of it. */
import { formatBytes, Icon } from "@farhand/session-view";
import { createSignal, For, type JSX, Show } from "solid-js";
import type { Chip } from "../attachment.js";
import type { Selection } from "./selection.js";

export function Chips(props: { selection: Selection }): JSX.Element {
  return (
    <Show when={props.selection.chips().length > 0}>
      <ul class="captures" aria-label="Selections">
        <For each={props.selection.chips()}>
          {(chip) => <CaptureChip chip={chip} onRemove={() => props.selection.remove(chip.id)} />}
        </For>
      </ul>
    </Show>
  );
}

function CaptureChip(props: { chip: Chip; onRemove(): void }): JSX.Element {
  const [open, setOpen] = createSignal(false);
  const elements = (): string =>
    props.chip.elements === 1 ? "1 element" : `${props.chip.elements} elements`;
  const withheld = (): number => props.chip.attachment.capture.counts.redacted;
  return (
    <li class="capture">
      <div class="capture-head">
        <button
          type="button"
          class="capture-open"
          aria-expanded={open()}
          title="What will be sent"
          onClick={() => setOpen(!open())}
        >
          <Icon name="select" />
          <span class="capture-name">{props.chip.name}</span>
          <span class="capture-facts">
            {elements()} · {formatBytes(props.chip.bytes)}
          </span>
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label={`Remove the selection ${props.chip.name}`}
          onClick={() => props.onRemove()}
        >
          <Icon name="cross" size={13} />
        </button>
      </div>
      <Show when={props.chip.attachment.picture}>
        {(picture) => (
          <img
            class="capture-picture"
            src={`data:${picture().mediaType};base64,${picture().data}`}
            alt="What was selected"
            width={picture().width}
            height={picture().height}
          />
        )}
      </Show>
      <Show when={open()}>
        <pre class="capture-outline" tabindex="0">
          {props.chip.attachment.outline}
        </pre>
        <p class="capture-note">
          Sent with the prompt.{" "}
          <Show when={withheld() > 0} fallback="Nothing had to be withheld.">
            Withheld: {withheld()} {withheld() === 1 ? "place" : "places"} with field values, or what looks
            like a secret.
          </Show>
        </p>
      </Show>
    </li>
  );
}
