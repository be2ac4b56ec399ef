/** Says that the connection is away, but only when it stays away: a short gap is nobody's concern. */
import { createEffect, createMemo, createSignal, type JSX, on, onCleanup, Show } from "solid-js";
import type { Session } from "../session-store.js";
import { Icon, Spinner } from "./icons.jsx";

const SHOWN_AFTER_MS = 2000;

export function ConnectionBar(props: { session: Session }): JSX.Element {
  const [late, setLate] = createSignal(false);
  const [online, setOnline] = createSignal(navigator.onLine);
  const listeners = new AbortController();
  window.addEventListener("online", () => setOnline(true), { signal: listeners.signal });
  window.addEventListener("offline", () => setOnline(false), { signal: listeners.signal });
  onCleanup(() => listeners.abort());
  // A memo, so that one attempt after the other counts as one absence.
  const away = createMemo(() => {
    const { state } = props.session.status();
    return state === "waiting" || state === "connecting";
  });
  createEffect(
    on(away, (isAway) => {
      setLate(false);
      if (!isAway) return;
      const timer = setTimeout(() => setLate(true), SHOWN_AFTER_MS);
      onCleanup(() => clearTimeout(timer));
    }),
  );
  return (
    <div role="status">
      <Show when={late() && away()}>
        <p class="connection-bar">
          <Show when={online()} fallback={<Icon name="warning" size={14} />}>
            <Spinner />
          </Show>
          {online() ? "Reconnecting… What you write is kept." : "Offline. Your draft is kept."}
        </p>
      </Show>
    </div>
  );
}
