/** The sheet with the keyboard shortcuts. */
import { Icon, keyName } from "@farhand/session-view";
import { For, type JSX } from "solid-js";
import { SHORTCUT_HELP } from "../keyboard.js";

export function Help(props: { dialog(element: HTMLDialogElement): void }): JSX.Element {
  let dialog: HTMLDialogElement | undefined;
  const keep = (element: HTMLDialogElement): void => {
    dialog = element;
    props.dialog(element);
  };
  return (
    <dialog class="help" ref={keep} aria-labelledby="help-title">
      <header>
        <h2 id="help-title">Keyboard</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={() => dialog?.close()}>
          <Icon name="cross" />
        </button>
      </header>
      <dl>
        <For each={SHORTCUT_HELP}>
          {([keys, meaning]) => (
            <div>
              <dt>
                <kbd>{keyName(keys)}</kbd>
              </dt>
              <dd>{meaning}</dd>
            </div>
          )}
        </For>
      </dl>
    </dialog>
  );
}
