/** How keys are written on this machine. */
const APPLE = typeof navigator !== "undefined" && /Mac|iPhone|iPad/.test(navigator.platform);

/** `⌘K` as it is on a Mac, `Ctrl K` elsewhere. */
export function keyName(keys: string): string {
  return APPLE ? keys : keys.replace("⌘", "Ctrl ").replace("⌥", "Alt ");
}
