/**
 * Files that go along with a prompt: pictures, made small enough and without what cameras write into them, and text. Knows the limits of
 * the wire, shows nothing.
 */
import type { Attachment, AttachmentLimits, Picture } from "@farhand/protocol";

/** Longer edges bring models nothing. */
const EDGE_MAX = 1568;
const QUALITIES = [0.85, 0.7, 0.5] as const;
const SHRINK = 0.75;
const TRIES = 9;
/** One picture leaves room for others. */
const PICTURE_BYTES_MAX = 80 * 1024;
/** What an attachment needs beside its content. */
const FRAME_BYTES = 400;

/** A file as it is sent, or why it cannot be. */
export type ReadFile = { attachment: Attachment } | { problem: string };

export function attachmentBytes(attachments: readonly Attachment[]): number {
  return attachments.reduce((sum, one) => sum + byteLength(JSON.stringify(one)), 0);
}

/** `before` is what goes along already. */
export async function readFile(
  file: File,
  before: readonly Attachment[],
  limits: AttachmentLimits,
): Promise<ReadFile> {
  if (before.length >= limits.attachmentsMax) {
    return {
      problem: `A prompt takes ${limits.attachmentsMax} attachments. Remove one to add ${file.name}.`,
    };
  }
  const room = limits.bytesMax - attachmentBytes(before) - FRAME_BYTES;
  const full = `${file.name} does not fit: attachments have ${Math.floor(limits.bytesMax / 1024)} KiB together.`;
  if (file.type.startsWith("image/") && file.type !== "image/svg+xml") {
    const most = Math.min(PICTURE_BYTES_MAX, Math.floor((room * 3) / 4));
    const picture = most > 1024 ? await shrink(file, most) : null;
    if (picture !== null) return { attachment: { type: "image", name: named(file, "picture"), picture } };
    return { problem: most > 1024 ? `${file.name} is no picture that can be read here.` : full };
  }
  if (file.size > room) return { problem: full };
  const text = await readText(file);
  if (text === null) return { problem: `${file.name} is neither a picture nor text.` };
  if (text === "") return { problem: `${file.name} is empty.` };
  const attachment: Attachment = { type: "text", name: named(file, "text"), text };
  return attachmentBytes([attachment]) > room + FRAME_BYTES ? { problem: full } : { attachment };
}

async function readText(file: File): Promise<string | null> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

/** Drawn anew, so that neither place nor camera is told. */
async function shrink(file: File, bytesMax: number): Promise<Picture | null> {
  let whole: ImageBitmap;
  try {
    whole = await createImageBitmap(file);
  } catch {
    return null;
  }
  try {
    let scale = Math.min(1, EDGE_MAX / Math.max(whole.width, whole.height));
    for (let tries = 0; tries < TRIES; tries += 1) {
      const canvas = new OffscreenCanvas(
        Math.max(1, Math.round(whole.width * scale)),
        Math.max(1, Math.round(whole.height * scale)),
      );
      const context = canvas.getContext("2d");
      if (context === null) return null;
      context.imageSmoothingQuality = "high";
      context.drawImage(whole, 0, 0, canvas.width, canvas.height);
      for (const quality of QUALITIES) {
        // A browser that writes no WebP writes PNG.
        const blob = await canvas.convertToBlob({ type: "image/webp", quality });
        if (blob.size > bytesMax) continue;
        const data = toBase64(new Uint8Array(await blob.arrayBuffer()));
        return { mediaType: blob.type, data, width: canvas.width, height: canvas.height };
      }
      scale *= SHRINK;
    }
    return null;
  } finally {
    whole.close();
  }
}

function named(file: File, without: string): string {
  return file.name === "" ? without : file.name;
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000)
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
