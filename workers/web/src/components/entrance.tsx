/** The card on an empty page where somebody comes in, or lets something in: its heading, one or more ways on, and why one failed. */
import { Avatar, Icon, Spinner } from "@farhand/session-view";
import { type JSX, Show } from "solid-js";
import { Mark } from "./mark.jsx";

export function Entrance(props: { title: string; error: string | null; children: JSX.Element }): JSX.Element {
  return (
    <main class="page sign-in">
      <div class="sign-in-card">
        <p class="brand">
          <Mark />
          Farhand
        </p>
        <h1>{props.title}</h1>
        {props.children}
        <Show when={props.error}>
          {(message) => (
            <p class="form-error" role="alert">
              <Icon name="alert" size={14} />
              {message()}
            </p>
          )}
        </Show>
      </div>
    </main>
  );
}

/** A person to go on as. */
export function PersonButton(props: {
  user: { id: string; name: string };
  name: string;
  detail: string;
  disabled: boolean;
  /** What goes on after the press; absent while nothing does. */
  busy: string | undefined;
  onChoose(): void;
}): JSX.Element {
  return (
    <button type="button" class="user-button" disabled={props.disabled} onClick={() => props.onChoose()}>
      <Avatar id={props.user.id} name={props.user.name} />
      <span class="user-text">
        <span class="user-name">{props.name}</span>
        <span class="user-login">{props.detail}</span>
      </span>
      <Show when={props.busy} fallback={<Icon name="chevron" />}>
        {(label) => <Spinner label={label()} />}
      </Show>
    </button>
  );
}
