/** The browsers in which a person is signed in, and the way out of one or of all. */
import type { SignedInBrowser } from "@farhand/protocol";
import { Icon } from "@farhand/session-view";
import { createSignal, For, type JSX, Show } from "solid-js";
import { leaveAccount, messageOf } from "../account.js";
import { api } from "../api.js";
import { createLoad, noteFailure } from "../load.js";
import { browserName, dateText } from "../words.js";
import { Confirm } from "./confirm.jsx";
import { Await, Section } from "./parts.jsx";

export function SignIns(): JSX.Element {
  const list = createLoad(async () => (await api.signIns()).signIns);
  const [everywhere, setEverywhere] = createSignal(false);
  const [error, setError] = createSignal<string | null>(null);
  const end = async (one: SignedInBrowser): Promise<void> => {
    setError(null);
    try {
      await api.endSignIn(one.id);
    } catch (cause) {
      noteFailure(cause);
      setError(messageOf(cause));
    }
    await list.again();
  };
  return (
    <Section title="Signed in" text="A browser that is signed out here loses what it has open.">
      <Await load={list}>
        {(signIns) => (
          <ul class="rows" aria-label="Browsers">
            <For each={signIns()} fallback={<li class="rows-none">No browser is signed in.</li>}>
              {(one) => (
                <li class="row">
                  <Icon name="globe" />
                  <span class="row-text">
                    <span class="row-name">
                      {browserName(one.browser)}
                      <Show when={one.current}>
                        <span class="chip">this browser</span>
                      </Show>
                    </span>
                    <span class="row-detail">
                      signed in {dateText(one.createdAt)} · used {dateText(one.usedAt)}
                    </span>
                  </span>
                  <Show when={!one.current}>
                    <button type="button" class="button is-small" onClick={() => void end(one)}>
                      Sign out<span class="visually-hidden"> {browserName(one.browser)}</span>
                    </button>
                  </Show>
                </li>
              )}
            </For>
          </ul>
        )}
      </Await>
      <Show when={error()}>
        {(message) => (
          <p class="form-error" role="alert">
            {message()}
          </p>
        )}
      </Show>
      <button type="button" class="button" onClick={() => setEverywhere(true)}>
        Sign out everywhere
      </button>
      <Show when={everywhere()}>
        <Confirm
          title="Sign out everywhere?"
          text="Every browser is signed out, this one too. Keys of the API stay."
          action="Sign out everywhere"
          keep="Stay signed in"
          onConfirm={async () => {
            await api.signOutEverywhere();
            leaveAccount();
          }}
          onClose={() => setEverywhere(false)}
        />
      </Show>
    </Section>
  );
}
