/** What went along with a prompt, as chips in the timeline: each opens its outline, its text or its picture. */
import type { PromptAttachment } from "@farhand/protocol";
import { createSignal, For, type JSX, Show, useContext } from "solid-js";
import { formatBytes } from "../format.js";
import { Icon, type IconName } from "./icons.jsx";
import { ArtifactLinks } from "./output.jsx";
import { createPopover } from "./popover.js";
import { StoredText } from "./stored-text.jsx";

const ICONS: Record<string, IconName> = { capture: "select", image: "camera" };

export function PromptAttachments(props: { attachments: readonly PromptAttachment[] }): JSX.Element {
  return (
    <ul class="prompt-attachments" aria-label="Attachments">
      <For each={props.attachments}>{(one) => <AttachmentChip attachment={one} />}</For>
    </ul>
  );
}

function factsOf(attachment: PromptAttachment): string {
  const { elements, picture } = attachment;
  if (elements !== undefined) return elements === 1 ? "1 element" : `${elements} elements`;
  if (attachment.bytes === 0 && picture !== undefined) return `${picture.width}×${picture.height}`;
  return formatBytes(attachment.bytes);
}

function AttachmentChip(props: { attachment: PromptAttachment }): JSX.Element {
  const popover = createPopover();
  return (
    <li class="prompt-attachment" ref={popover.frame} onKeyDown={popover.onKeyDown}>
      <button
        type="button"
        class="attach-chip is-button"
        aria-expanded={popover.open()}
        aria-controls={popover.panelId}
        title={props.attachment.pageUrl ?? props.attachment.name}
        onClick={popover.toggle}
      >
        <Icon name={ICONS[props.attachment.kind] ?? "file"} size={14} />
        <span class="attach-name">{props.attachment.name}</span>
        <span class="attach-facts">{factsOf(props.attachment)}</span>
      </button>
      <Show when={popover.open()}>
        <div class="attachment-panel" id={popover.panelId}>
          <Contents attachment={props.attachment} />
        </div>
      </Show>
    </li>
  );
}

function Contents(props: { attachment: PromptAttachment }): JSX.Element {
  const link = useContext(ArtifactLinks);
  const textUrl = (): string | undefined =>
    props.attachment.textId === undefined ? undefined : link?.(props.attachment.textId);
  const pictureUrl = (): string | undefined =>
    props.attachment.picture === undefined ? undefined : link?.(props.attachment.picture.artifactId);
  return (
    <>
      <Show when={props.attachment.pageUrl}>
        {(url) => <p class="attachment-page">Selected at {url()}</p>}
      </Show>
      <Show when={pictureUrl()}>{(url) => <PictureView url={url()} attachment={props.attachment} />}</Show>
      <Show when={textUrl()}>{(url) => <TextView url={url()} />}</Show>
    </>
  );
}

function PictureView(props: { url: string; attachment: PromptAttachment }): JSX.Element {
  const [failed, setFailed] = createSignal(false);
  return (
    <>
      <Show when={!failed()}>
        <img
          class="attachment-picture"
          src={props.url}
          alt={props.attachment.kind === "capture" ? "What was selected" : props.attachment.name}
          width={props.attachment.picture?.width}
          height={props.attachment.picture?.height}
          onError={() => setFailed(true)}
        />
      </Show>
      <OpenLink url={props.url} label="Open the picture" />
    </>
  );
}

function TextView(props: { url: string }): JSX.Element {
  return (
    <>
      <StoredText url={props.url} />
      <OpenLink url={props.url} label="Open the text" />
    </>
  );
}

function OpenLink(props: { url: string; label: string }): JSX.Element {
  return (
    <a class="text-button" href={props.url} target="_blank" rel="noopener">
      {props.label}
      <Icon name="external" size={12} />
    </a>
  );
}
