/** Puts a text on the clipboard and says so for a moment. */
import { createSignal, type JSX, onCleanup } from "solid-js";
import { Icon } from "./icons.jsx";

export function CopyButton(props: { text: string; label: string }): JSX.Element {
  const [copied, setCopied] = createSignal(false);
  let timer: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(timer));
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(props.text);
    setCopied(true);
    clearTimeout(timer);
    timer = setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button
      type="button"
      class="icon-button copy-button"
      aria-label={copied() ? "Copied" : props.label}
      title={copied() ? "Copied" : props.label}
      onClick={() => void copy()}
    >
      <Icon name={copied() ? "check" : "copy"} size={14} />
    </button>
  );
}
