/** A prompt as it stands in the timeline: who, from where, when, and the words as written or last edited. */
import type { Participant, Prompt } from "@farhand/protocol";
import { type JSX, Show } from "solid-js";
import { formatTime, modelName } from "../format.js";
import { own } from "../own.js";
import { Avatar } from "./avatar.jsx";
import { Icon } from "./icons.jsx";
import { ItemMore } from "./item-more.jsx";
import { PromptAttachments } from "./prompt-attachments.jsx";

const ORIGINS: Record<string, string> = {
  extension: "from the Chrome extension",
  slack: "from Slack",
  api: "through the API",
};

export interface PromptCardProps {
  prompt: Prompt;
  people: readonly Participant[];
  /** Whether it went into a turn that ran already. */
  steered?: boolean;
}

export function PromptCard(props: PromptCardProps): JSX.Element {
  const nameOf = (id: string): string => props.people.find((one) => one.userId === id)?.name ?? "Somebody";
  const name = (): string => nameOf(props.prompt.author);
  const edited = (): string | undefined => {
    const by = props.prompt.editedBy;
    if (by === undefined) return undefined;
    return by === props.prompt.author ? "edited" : `edited by ${nameOf(by)}`;
  };
  const asked = (): string => {
    const { model, effort } = props.prompt;
    const parts = [
      ...(model === undefined ? [] : [modelName(model)]),
      ...(effort === undefined ? [] : [`${effort} effort`]),
    ];
    return parts.join(", ");
  };
  return (
    <article
      class="prompt"
      classList={{ "is-steered": props.steered === true }}
      data-things={props.prompt.id}
      aria-label={`${props.steered === true ? "Steering prompt" : "Prompt"} of ${name()}`}
    >
      <Avatar id={props.prompt.author} name={name()} size={props.steered === true ? "small" : "medium"} />
      <div class="prompt-card">
        <header class="prompt-head">
          <strong>{name()}</strong>
          <Show when={props.steered}>
            <span class="prompt-steered">
              <Icon name="steer" size={13} />
              steered
            </span>
          </Show>
          <span class="prompt-origin">{own(ORIGINS, props.prompt.origin) ?? ""}</span>
          <Show when={asked()}>{(text) => <span class="prompt-origin">{text()}</span>}</Show>
          <span class="prompt-when">
            <Show when={edited()}>{(text) => <span>{text()} · </span>}</Show>
            <time datetime={new Date(props.prompt.submittedAt).toISOString()}>
              {formatTime(props.prompt.submittedAt)}
            </time>
          </span>
          <ItemMore id={props.prompt.id} of="prompt" />
        </header>
        <div class="prompt-text">{props.prompt.text}</div>
        <Show when={props.prompt.attachments}>
          {(attachments) => <PromptAttachments attachments={attachments()} />}
        </Show>
      </div>
    </article>
  );
}
