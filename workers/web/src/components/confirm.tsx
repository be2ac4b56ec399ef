/** Asks before something that cannot be undone, shows that it goes on, and why it failed. */
import { Icon, Spinner } from "@farhand/session-view";
import { createSignal, type JSX, onMount, Show } from "solid-js";
import { messageOf } from "../account.js";
import { Field } from "./parts.jsx";

export interface ConfirmProps {
  title: string;
  text: string;
  action: string;
  /** Whether what it does takes something away, as most that is asked about does. */
  tone?: "danger" | "primary";
  /** What leaving everything as it is is called. */
  keep?: string;
  /** What is to be typed before it can be done. */
  typed?: string;
  /** Rejects with words for people when it could not be done. */
  onConfirm(): Promise<void>;
  onClose(): void;
}

export function Confirm(props: ConfirmProps): JSX.Element {
  const [working, setWorking] = createSignal(false);
  const [error, setError] = createSignal<string | null>(null);
  const [typed, setTyped] = createSignal("");
  const isTyped = (): boolean => props.typed === undefined || typed().trim() === props.typed;
  let dialog: HTMLDialogElement | undefined;
  onMount(() => dialog?.showModal());
  const confirm = async (): Promise<void> => {
    setWorking(true);
    setError(null);
    try {
      await props.onConfirm();
      dialog?.close();
    } catch (cause) {
      setError(messageOf(cause));
    } finally {
      setWorking(false);
    }
  };
  return (
    <dialog
      class="dialog"
      ref={dialog}
      aria-labelledby="confirm-title"
      aria-describedby="confirm-text"
      onClose={() => props.onClose()}
      onCancel={(event) => working() && event.preventDefault()}
    >
      <h2 id="confirm-title">{props.title}</h2>
      <p id="confirm-text">{props.text}</p>
      <Show when={props.typed}>
        {(word) => <Field label={`Type ${word()} to confirm`} value={typed()} onInput={setTyped} mono />}
      </Show>
      <Show when={error()}>
        {(message) => (
          <p class="form-error" role="alert">
            <Icon name="alert" />
            {message()}
          </p>
        )}
      </Show>
      <div class="dialog-tools">
        <button type="button" class="button" disabled={working()} onClick={() => dialog?.close()}>
          {props.keep ?? "Keep it"}
        </button>
        <button
          type="button"
          class={`button is-${props.tone ?? "danger"}`}
          disabled={working() || !isTyped()}
          onClick={() => void confirm()}
        >
          <Show when={working()}>
            <Spinner />
          </Show>
          {props.action}
        </button>
      </div>
    </dialog>
  );
}
