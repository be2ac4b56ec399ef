/** The panel from its first run on: address, sign-in, then the work. The account is shared by the panels of all windows. */
import { Icon } from "@farhand/session-view";
import { createSignal, type JSX, Match, onCleanup, Show, Switch } from "solid-js";
import { type Account, loadAccount, signOut, storeAccount } from "../account.js";
import { AddressForm, SignIn } from "./first-run.jsx";
import { Workspace } from "./workspace.jsx";

export function App(props: { windowId: number }): JSX.Element {
  const [account, setAccount] = createSignal<Account | null | undefined>();
  const load = async (): Promise<void> => {
    setAccount(await loadAccount(Date.now()));
  };
  const onChanged = (changes: Record<string, unknown>): void => {
    if ("account" in changes) void load();
  };
  chrome.storage.local.onChanged.addListener(onChanged);
  onCleanup(() => chrome.storage.local.onChanged.removeListener(onChanged));
  void load();
  const signedIn = (): Required<Account> | undefined => {
    const now = account();
    return now?.key === undefined ? undefined : { address: now.address, key: now.key };
  };
  const leave = async (): Promise<void> => {
    const now = account();
    if (now) await storeAccount(await signOut(now));
  };
  return (
    <Switch fallback={<Starting />}>
      <Match when={account() === null}>
        <AddressForm onAddress={(address) => void storeAccount({ address })} />
      </Match>
      <Match when={signedIn()} keyed>
        {(ready) => (
          <Workspace
            account={ready}
            windowId={props.windowId}
            onSignOut={() => void leave()}
            onRefused={() => void storeAccount({ address: ready.address })}
          />
        )}
      </Match>
      <Match when={account()}>
        {(known) => (
          <SignIn
            address={known().address}
            onSignedIn={(ready) => void storeAccount(ready)}
            onOther={() => void storeAccount(null)}
          />
        )}
      </Match>
    </Switch>
  );
}

function Starting(): JSX.Element {
  return (
    <main class="page" aria-busy="true">
      <div class="skeleton" aria-hidden="true">
        <span />
        <span />
        <span />
      </div>
    </main>
  );
}

/** A line that says what went wrong and can be put away. */
export function ProblemLine(props: { text: string | null; onDismiss(): void }): JSX.Element {
  return (
    <Show when={props.text}>
      <p class="form-error" role="alert">
        <Icon name="alert" size={14} />
        <span>{props.text}</span>
        <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => props.onDismiss()}>
          <Icon name="cross" size={13} />
        </button>
      </p>
    </Show>
  );
}
