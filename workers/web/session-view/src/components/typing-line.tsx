/** Who writes now, in a line that is always there, so that nothing moves when somebody begins. */
import type { UserId } from "@farhand/protocol";
import { type JSX, Show } from "solid-js";
import { typingText } from "../format.js";
import type { Session } from "../session-store.js";

export function TypingLine(props: { session: Session; me: UserId }): JSX.Element {
  const names = (): string[] => {
    const people = props.session.state.snapshot?.participants ?? [];
    return props.session
      .typing()
      .filter((id) => id !== props.me)
      .map((id) => people.find((one) => one.userId === id)?.name ?? "Somebody");
  };
  return (
    <p class="typing">
      <Show when={names().length > 0}>
        <span class="typing-dots" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
        <span>{typingText(names())}</span>
      </Show>
    </p>
  );
}
