/** A page that cannot show what was asked for: what happened, and the one thing to do about it. */
import { Icon } from "@farhand/session-view";
import { type JSX, Show } from "solid-js";

export function Problem(props: {
  title: string;
  text: string;
  retry?: () => void;
  children?: JSX.Element;
}): JSX.Element {
  return (
    <div class="problem">
      <Icon name="alert" size={22} />
      <h1>{props.title}</h1>
      <p>{props.text}</p>
      <Show when={props.retry}>
        {(retry) => (
          <button type="button" class="button is-primary" onClick={() => retry()()}>
            Try again
          </button>
        )}
      </Show>
      {props.children}
    </div>
  );
}
