/** A picture of the selected area, small enough to travel with a prompt. Only when asked for: a picture has everything that is on screen. */
import type { Box } from "../capture/capture.js";
import type { Picture } from "../inbox.js";

/** A prompt with its captures and pictures is one frame of at most 256 KiB. */
export const PICTURE_BYTES_MAX = 72 * 1024;
const EDGE_MAX = 1600;
const QUALITIES = [0.86, 0.7, 0.5];
const SHRINK = 0.7;
const TRIES = 8;

/** The part of the visible tab that the box shows; null when the browser refuses. */
export async function takePicture(
  windowId: number,
  box: Box,
  viewport: { width: number; height: number; pixelRatio: number },
): Promise<Picture | null> {
  try {
    const shot = await chrome.tabs.captureVisibleTab(windowId, { format: "png" });
    const whole = await createImageBitmap(new Blob([fromBase64(shot.slice(shot.indexOf(",") + 1))]));
    const [left, top, width, height] = clip(box, viewport);
    if (width < 1 || height < 1) return null;
    const ratio = Math.min(8, Math.max(0.25, viewport.pixelRatio));
    return await encode(whole, [left * ratio, top * ratio, width * ratio, height * ratio]);
  } catch {
    return null;
  }
}

async function encode(whole: ImageBitmap, [x, y, width, height]: Box): Promise<Picture | null> {
  let scale = Math.min(1, EDGE_MAX / Math.max(width, height));
  for (let tries = 0; tries < TRIES; tries += 1) {
    const canvas = new OffscreenCanvas(
      Math.max(1, Math.round(width * scale)),
      Math.max(1, Math.round(height * scale)),
    );
    const context = canvas.getContext("2d");
    if (context === null) return null;
    context.imageSmoothingQuality = "high";
    context.drawImage(whole, x, y, width, height, 0, 0, canvas.width, canvas.height);
    for (const quality of QUALITIES) {
      const blob = await canvas.convertToBlob({ type: "image/webp", quality });
      if (blob.size > PICTURE_BYTES_MAX) continue;
      const data = toBase64(new Uint8Array(await blob.arrayBuffer()));
      return { mediaType: "image/webp", data, width: canvas.width, height: canvas.height };
    }
    scale *= SHRINK;
  }
  return null;
}

/** The part of a box that is inside the viewport. */
function clip([x, y, width, height]: Box, viewport: { width: number; height: number }): Box {
  const left = Math.max(0, x);
  const top = Math.max(0, y);
  return [left, top, Math.min(viewport.width, x + width) - left, Math.min(viewport.height, y + height) - top];
}

/** The policy of our own pages forbids to fetch data from an address that has it inside. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000)
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}
