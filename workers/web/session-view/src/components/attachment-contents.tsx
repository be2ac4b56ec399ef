/** What is behind the chip of an attachment: its picture, its text, and where both are in full. Loaded when one is opened. */
import type { PromptAttachment } from "@farhand/protocol";
import { type JSX, Show, useContext } from "solid-js";
import { Artifacts } from "../artifact-source.js";
import { ArtifactPicture } from "./artifact-picture.jsx";
import { Icon } from "./icons.jsx";
import { StoredText } from "./stored-text.jsx";

export function AttachmentContents(props: { attachment: PromptAttachment }): JSX.Element {
  return (
    <>
      <Show when={props.attachment.pageUrl}>
        {(url) => <p class="attachment-page">Selected at {url()}</p>}
      </Show>
      <Show when={props.attachment.picture}>
        {(picture) => (
          <>
            <ArtifactPicture
              id={picture().artifactId}
              class="attachment-picture"
              alt={props.attachment.kind === "capture" ? "What was selected" : props.attachment.name}
              width={picture().width}
              height={picture().height}
            />
            <OpenLink id={picture().artifactId} label="Open the picture" />
          </>
        )}
      </Show>
      <Show when={props.attachment.textId}>
        {(id) => (
          <>
            <StoredText id={id()} />
            <OpenLink id={id()} label="Open the text" />
          </>
        )}
      </Show>
    </>
  );
}

function OpenLink(props: { id: string; label: string }): JSX.Element {
  const artifacts = useContext(Artifacts);
  return (
    <a class="text-button" href={artifacts?.url(props.id)} target="_blank" rel="noopener">
      {props.label}
      <Icon name="external" size={12} />
    </a>
  );
}
