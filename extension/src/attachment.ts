/**
 * How captures travel with a prompt. `PromptAttachment` is what the deployment is sent where its configuration says that it takes captures;
 * to others the outline goes as text. Pure.
 */
import type { PromptRequest } from "@farhand/protocol";
import { byteLength, type ContextCapture } from "./capture/capture.js";
import { captureName, fenceOutline, renderOutline } from "./capture/outline.js";
import type { Delivery, Picture } from "./inbox.js";

/** The server checks and redacts the capture again, and makes its own outline for the model; ours is what the person saw. */
export interface PromptAttachment {
  type: "capture";
  capture: ContextCapture;
  outline: string;
  picture?: Picture;
}

export type PromptWithAttachments = Omit<PromptRequest, "attachments"> & { attachments?: PromptAttachment[] };

export const CAPTURES_MAX = 3;
/** Together with the longest text they fit into one frame of 256 KiB. */
export const ATTACHMENTS_BYTES_MAX = 180 * 1024;

/** One capture in the composer. */
export interface Chip {
  id: string;
  name: string;
  elements: number;
  bytes: number;
  attachment: PromptAttachment;
}

export function createChip(id: string, delivery: Delivery): Chip {
  const { capture, picture } = delivery;
  const attachment: PromptAttachment = { type: "capture", capture, outline: renderOutline(capture) };
  if (picture !== undefined) attachment.picture = picture;
  return {
    id,
    name: captureName(capture),
    elements: capture.counts.kept,
    bytes: byteLength(capture),
    attachment,
  };
}

/** Why another capture cannot be taken along, or null. */
export function evaluateRoom(chips: readonly Chip[], more: Chip): string | null {
  if (chips.length >= CAPTURES_MAX)
    return `A prompt takes ${CAPTURES_MAX} selections. Remove one to add another.`;
  const all = [...chips, more].map((chip) => chip.attachment);
  if (byteLength(all) > ATTACHMENTS_BYTES_MAX)
    return "The pictures are too large for one prompt. Select without a picture.";
  return null;
}

/** What is sent for the words of a prompt and its chips. */
export function withAttachments(
  text: string,
  chips: readonly Chip[],
  takesCaptures: boolean,
): { text: string; attachments?: PromptAttachment[] } {
  if (chips.length === 0) return { text };
  const attachments = chips.map((chip) => chip.attachment);
  if (takesCaptures) return { text, attachments };
  return { text: [text, ...attachments.map(({ outline }) => fenceOutline(outline))].join("\n\n") };
}
