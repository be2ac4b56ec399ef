/** The title of a session, and in its place a field when one clicks it. Enter and leaving it rename, Escape does not. */
import type { Session } from "@farhand/session-view";
import { createEffect, createSignal, type JSX, on, Show } from "solid-js";

/** The limit of the wire. */
const TITLE_CHARACTERS_MAX = 80;

export interface TitleFieldProps {
  session: Session;
  title: string;
  editable: boolean;
  editing: boolean;
  onEditing(editing: boolean): void;
}

export function TitleField(props: TitleFieldProps): JSX.Element {
  const [field, setField] = createSignal<HTMLInputElement>();
  let button: HTMLButtonElement | undefined;
  createEffect(
    on(field, (element) => {
      element?.focus();
      element?.select();
    }),
  );
  const finish = (title: string | undefined): void => {
    // Taking the field away takes its focus, which is no second end.
    if (!props.editing) return;
    const wanted = title?.trim() ?? "";
    if (wanted !== "" && wanted !== props.title) props.session.rename(wanted);
    props.onEditing(false);
  };
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLInputElement }): void => {
    if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
    event.preventDefault();
    event.stopPropagation();
    finish(event.key === "Enter" ? event.currentTarget.value : undefined);
    queueMicrotask(() => button?.focus());
  };
  return (
    <h1 title={props.editing ? undefined : props.title}>
      <Show
        when={!props.editing || !props.editable}
        fallback={
          <input
            ref={setField}
            class="title-field"
            aria-label="Title of the session"
            maxlength={TITLE_CHARACTERS_MAX}
            value={props.title}
            onKeyDown={onKeyDown}
            onBlur={(event) => finish(event.currentTarget.value)}
          />
        }
      >
        <Show when={props.editable} fallback={props.title}>
          <button
            type="button"
            class="title-button"
            ref={button}
            aria-label={`${props.title}, rename`}
            onClick={() => props.onEditing(true)}
          >
            {props.title}
          </button>
        </Show>
      </Show>
    </h1>
  );
}
