/** One waiting prompt: grip, author, words, what is special about it, and on request the words as a field. */
import type { Prompt } from "@farhand/protocol";
import { createEffect, createSignal, type JSX, on, onCleanup, Show } from "solid-js";
import { keyName } from "../keys.js";
import type { Session } from "../session-store.js";
import { Avatar } from "./avatar.jsx";
import { Icon } from "./icons.jsx";
import type { RowShift } from "./queue-drag.js";
import { RefusalLine } from "./refusal.jsx";

export interface QueueRowProps {
  session: Session;
  prompt: Prompt;
  mine: boolean;
  /** Its place in a word. */
  mark: string;
  /** Whether there is a connection to ask on. */
  enabled: boolean;
  mayOrder: boolean;
  movable: boolean;
  dragged: RowShift | undefined;
  onGrab(event: PointerEvent): void;
  /** Up is -1. */
  onStep(step: number): void;
  onCancel(): void;
  /** The prompt went on its way while its words were being changed. */
  onLost(text: string): void;
  /** The row goes away with the focus in it. */
  onFocusLost(): void;
}

export function QueueRow(props: QueueRowProps): JSX.Element {
  const [editing, setEditing] = createSignal(false);
  let row: HTMLLIElement | undefined;
  onCleanup(() => {
    if (row?.contains(document.activeElement) === true) props.onFocusLost();
  });
  const close = (): void => {
    setEditing(false);
    queueMicrotask(() => row?.querySelector<HTMLElement>("[data-edit]")?.focus());
  };
  return (
    <li
      ref={row}
      class="queue-item"
      classList={{ "is-held": props.dragged?.held === true, "is-dragging": props.dragged !== undefined }}
      style={props.dragged === undefined ? {} : { translate: `0 ${props.dragged.y}px` }}
      data-prompt={props.prompt.id}
    >
      <Show when={editing()} fallback={<RowLine {...props} onEdit={() => setEditing(true)} />}>
        <EditForm
          text={props.prompt.text}
          enabled={props.enabled}
          onSave={(text) => props.session.edit(props.prompt.id, text)}
          onClose={close}
          onLost={props.onLost}
        />
      </Show>
      <RefusalLine session={props.session} place={`prompt:${props.prompt.id}`} />
    </li>
  );
}

function RowLine(props: QueueRowProps & { onEdit(): void }): JSX.Element {
  const nameOf = (id: string): string =>
    props.session.state.snapshot?.participants.find((one) => one.userId === id)?.name ?? "Somebody";
  const name = (): string => nameOf(props.prompt.author);
  return (
    <div class="queue-row">
      <Grip {...props} name={name()} />
      <Avatar id={props.prompt.author} name={name()} size="small" />
      <span class="visually-hidden">{name()}: </span>
      <span class="queue-text" title={props.prompt.text}>
        {props.prompt.text}
      </span>
      <Show when={props.prompt.attachments?.length}>
        {(count) => <span class="chip">{count()} attached</span>}
      </Show>
      <Show when={props.prompt.editedBy}>
        {(by) => (
          <span class="queue-note" title={`Edited by ${nameOf(by())}`}>
            edited
          </span>
        )}
      </Show>
      <span
        class="chip"
        classList={{ "is-steering": props.mark === "steering" }}
        title={props.mark === "steering" ? "The running turn takes it up at its next step" : undefined}
      >
        {props.mark}
      </span>
      <Show when={props.mayOrder}>
        <span class="queue-tools">
          <Show when={props.mine}>
            <button
              type="button"
              class="icon-button"
              data-edit
              aria-label="Edit this prompt"
              title={props.enabled ? "Edit" : "No connection"}
              disabled={!props.enabled}
              onClick={() => props.onEdit()}
            >
              <Icon name="edit" size={14} />
            </button>
          </Show>
          <button
            type="button"
            class="icon-button"
            aria-label={`Take back the prompt of ${name()}`}
            title={props.enabled ? "Take back" : "No connection"}
            disabled={!props.enabled}
            onClick={() => props.onCancel()}
          >
            <Icon name="cross" size={14} />
          </button>
        </span>
      </Show>
    </div>
  );
}

function Grip(props: QueueRowProps & { name: string }): JSX.Element {
  let grip: HTMLButtonElement | undefined;
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    event.preventDefault();
    props.onStep(event.key === "ArrowUp" ? -1 : 1);
    // A moved element loses the focus in some browsers.
    queueMicrotask(() => grip?.focus());
  };
  return (
    <Show
      when={props.mayOrder && props.movable}
      fallback={
        <span class="queue-grip" aria-hidden="true">
          <Icon name="clock" />
        </span>
      }
    >
      <button
        type="button"
        class="queue-grip"
        ref={grip}
        aria-label={`Move the prompt of ${props.name}, now ${props.mark}. Arrow up and down move it.`}
        title="Drag, or press the arrow keys"
        disabled={!props.enabled}
        onPointerDown={(event) => props.onGrab(event)}
        onKeyDown={onKeyDown}
      >
        <Icon name="grip" />
      </button>
    </Show>
  );
}

interface EditFormProps {
  text: string;
  enabled: boolean;
  /** False when it could not be sent. */
  onSave(text: string): boolean;
  onClose(): void;
  onLost(text: string): void;
}

function EditForm(props: EditFormProps): JSX.Element {
  // The text as it was when the field opened; what others see does not move under the cursor.
  const before = props.text;
  const [text, setText] = createSignal(before);
  const [field, setField] = createSignal<HTMLTextAreaElement>();
  let settled = false;
  const close = (): void => {
    settled = true;
    props.onClose();
  };
  const save = (): void => {
    const wanted = text().trim();
    if (wanted === "") return;
    if (wanted === before || props.onSave(wanted)) close();
  };
  createEffect(
    on(field, (element) => {
      element?.focus();
      element?.setSelectionRange(before.length, before.length);
    }),
  );
  onCleanup(() => {
    if (!settled && text().trim() !== before) props.onLost(text());
  });
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (event.key === "Enter" && (event.metaKey || event.ctrlKey) && !event.isComposing) {
      event.preventDefault();
      save();
    }
  };
  return (
    <form
      class="queue-edit"
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <textarea
        ref={setField}
        aria-label="Text of the waiting prompt"
        rows={2}
        value={text()}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <div class="queue-edit-tools">
        <button type="button" class="button is-small" onClick={close}>
          Discard
        </button>
        <button
          type="submit"
          class="button is-small is-primary"
          disabled={text().trim() === "" || !props.enabled}
          title={props.enabled ? `Save (${keyName("⌘↵")})` : "No connection"}
        >
          Save
        </button>
      </div>
    </form>
  );
}
