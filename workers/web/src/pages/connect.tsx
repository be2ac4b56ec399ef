/** Where a browser extension asks to work in somebody's name: nothing is given before that person says so here. */
import type { User } from "@farhand/protocol";
import { createSignal, type JSX, onMount } from "solid-js";
import { messageOf } from "../account.js";
import { api } from "../api.js";
import { Entrance, PersonButton } from "../components/entrance.jsx";

export default function Connect(props: { user: User }): JSX.Element {
  const query = new URLSearchParams(location.search);
  const asked = (name: string): string => query.get(name) ?? "";
  const [busy, setBusy] = createSignal(false);
  const [error, setError] = createSignal<string | null>(null);
  onMount(() => {
    document.title = "Connect the extension · Farhand";
  });
  const allow = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      const grant = { client: asked("client"), challenge: asked("challenge"), state: asked("state") };
      location.assign((await api.grantKey(grant)).redirect);
    } catch (cause) {
      setError(messageOf(cause));
      setBusy(false);
    }
  };
  return (
    <Entrance title="Connect the extension?" error={error()}>
      <p class="quiet">
        The browser extension <code class="client-id">{asked("client")}</code> asks to start sessions and
        write prompts in your name for 90 days. Close this page if you did not ask for it.
      </p>
      <PersonButton
        user={props.user}
        name={`Connect as ${props.user.name}`}
        detail={props.user.login}
        disabled={busy()}
        busy={busy() ? "connecting" : undefined}
        onChoose={() => void allow()}
      />
    </Entrance>
  );
}
