/** Where a person says that a Slack account is theirs: from then on what it writes to the bot is done in their name. */
import type { User } from "@farhand/protocol";
import { createResource, createSignal, type JSX, onMount, Show } from "solid-js";
import { messageOf } from "../account.js";
import { api } from "../api.js";
import { Entrance, PersonButton } from "../components/entrance.jsx";

export default function SlackLink(props: { user: User }): JSX.Element {
  // In the fragment, which no server and no log sees.
  const code = new URLSearchParams(location.hash.slice(1)).get("code") ?? "";
  const [account] = createResource(() => api.slackLink({ code, step: "look" }));
  const [busy, setBusy] = createSignal(false);
  const [done, setDone] = createSignal(false);
  const [error, setError] = createSignal<string | null>(null);
  onMount(() => {
    document.title = "Link Slack · Farhand";
  });
  const confirm = async (): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      await api.slackLink({ code, step: "confirm" });
      setDone(true);
    } catch (cause) {
      setError(messageOf(cause));
    }
    setBusy(false);
  };
  const problem = (): string | null => error() ?? (account.error ? messageOf(account.error) : null);
  return (
    <Entrance title={done() ? "Linked. Go back to Slack." : "Link your Slack account?"} error={problem()}>
      <Show when={!done() && !account.error && account()}>
        {(slack) => (
          <>
            <p class="quiet">
              The Slack account <strong>{slack().name}</strong> (<code>{slack().user}</code> in{" "}
              <code>{slack().team}</code>) will start sessions and write prompts in your name. Go on only if
              it is yours; close this page if somebody sent you the link.
            </p>
            <PersonButton
              user={props.user}
              name={`This is me, ${props.user.name}`}
              detail={props.user.login}
              disabled={busy()}
              busy={busy() ? "linking" : undefined}
              onChoose={() => void confirm()}
            />
          </>
        )}
      </Show>
    </Entrance>
  );
}
