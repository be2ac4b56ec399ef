/** What a person can do with everything that is stored about them: take it, or have it deleted. */
import type { User } from "@farhand/protocol";
import { createSignal, type JSX, Show } from "solid-js";
import { leaveAccount } from "../account.js";
import { api, exportUrl } from "../api.js";
import { Confirm } from "./confirm.jsx";
import { Section } from "./parts.jsx";

/** What people are told before it, about themselves and about others. */
export const ERASURE_TEXT =
  "Sign-ins, keys, tokens and Slack links go, and sessions that nobody else was in, with everything they had. Sessions of others keep what was written, by “Removed person”. Commits and pull requests at the code host stay. This cannot be undone.";

export function OwnData(props: { user: User }): JSX.Element {
  const [asking, setAsking] = createSignal(false);
  return (
    <Section title="Your data" text="Everything that this deployment has of you, as lines of JSON.">
      <div class="sheet-tools">
        <a class="button" href={exportUrl()} download="">
          Export my data
        </a>
        <button type="button" class="button" onClick={() => setAsking(true)}>
          Delete my account
        </button>
      </div>
      <Show when={asking()}>
        <Confirm
          title="Delete your account?"
          text={ERASURE_TEXT}
          action="Delete my account"
          typed={props.user.login}
          keep="Keep my account"
          onConfirm={async () => {
            await api.eraseSelf({ login: props.user.login });
            leaveAccount();
          }}
          onClose={() => setAsking(false)}
        />
      </Show>
    </Section>
  );
}
