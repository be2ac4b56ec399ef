/** What went along with a prompt, as chips in the timeline: each opens its outline, its text or its picture. */
import type { PromptAttachment } from "@farhand/protocol";
import { For, type JSX, lazy, Show, Suspense } from "solid-js";
import { formatBytes } from "../format.js";
import { Icon, type IconName, Spinner } from "./icons.jsx";
import { createPopover } from "./popover.js";

const AttachmentContents = lazy(async () => ({
  default: (await import("./attachment-contents.jsx")).AttachmentContents,
}));

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
          <Suspense fallback={<Spinner label="loading" />}>
            <AttachmentContents attachment={props.attachment} />
          </Suspense>
        </div>
      </Show>
    </li>
  );
}
