/** Short words at the lower edge about what was just done, with the way to undo it. They stay while the pointer or the focus is on them. */
import { Icon } from "@farhand/session-view";
import { createSignal, For, type JSX, onCleanup, Show } from "solid-js";

const SHOWN_MS = 8000;

export interface Toast {
  text: string;
  problem?: boolean;
  undo?: () => void;
}

const [toasts, setToasts] = createSignal<readonly Toast[]>([]);

/** Shows it; the one before goes. */
export function showToast(toast: Toast): void {
  setToasts([toast]);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      <For each={toasts()}>{(toast) => <ToastView toast={toast} />}</For>
    </div>
  );
}

function ToastView(props: { toast: Toast }): JSX.Element {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const close = (): void => {
    setToasts((all) => all.filter((one) => one !== props.toast));
  };
  const hold = (): void => clearTimeout(timer);
  const release = (): void => {
    clearTimeout(timer);
    timer = setTimeout(close, SHOWN_MS);
  };
  release();
  onCleanup(hold);
  return (
    <div
      class="toast"
      classList={{ "is-problem": props.toast.problem === true }}
      onPointerEnter={hold}
      onPointerLeave={release}
      onFocusIn={hold}
      onFocusOut={release}
    >
      <Show when={props.toast.problem}>
        <Icon name="alert" size={14} />
      </Show>
      <span>{props.toast.text}</span>
      <Show when={props.toast.undo}>
        {(undo) => (
          <button
            type="button"
            class="text-button"
            onClick={() => {
              close();
              undo()();
            }}
          >
            Undo
          </button>
        )}
      </Show>
      <button type="button" class="icon-button" aria-label="Dismiss" onClick={close}>
        <Icon name="cross" size={14} />
      </button>
    </div>
  );
}
