/** A prompt as it stands in the timeline: who, from where, when, and the words as written. */
import type { Participant, Prompt } from "@farhand/protocol";
import type { JSX } from "solid-js";
import { formatTime } from "../format.js";
import { Avatar } from "./avatar.jsx";

const ORIGINS: Record<string, string> = {
  extension: "from the Chrome extension",
  slack: "from Slack",
  api: "through the API",
};

export function PromptCard(props: { prompt: Prompt; author: Participant | undefined }): JSX.Element {
  const name = (): string => props.author?.name ?? "Somebody";
  return (
    <article class="prompt" aria-label={`Prompt of ${name()}`}>
      <Avatar id={props.prompt.author} name={name()} />
      <div class="prompt-card">
        <header class="prompt-head">
          <strong>{name()}</strong>
          <span class="prompt-origin">{ORIGINS[props.prompt.origin] ?? ""}</span>
          <time datetime={new Date(props.prompt.submittedAt).toISOString()}>
            {formatTime(props.prompt.submittedAt)}
          </time>
        </header>
        <div class="prompt-text">{props.prompt.text}</div>
      </div>
    </article>
  );
}
