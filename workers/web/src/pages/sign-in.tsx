/** Sign-in: with the local method one picks a user. Other methods are the deployment's to offer. */
import type { Configuration, User } from "@farhand/protocol";
import { Avatar, Icon, Spinner } from "@farhand/session-view";
import { createSignal, For, type JSX, Show } from "solid-js";
import { messageOf, signIn } from "../account.js";
import { Mark } from "../components/mark.jsx";

export function SignIn(props: { configuration: Configuration }): JSX.Element {
  const users = (): User[] => {
    const method = props.configuration.signIn;
    return method.type === "local" ? method.users : [];
  };
  const [busy, setBusy] = createSignal<string | null>(null);
  const [error, setError] = createSignal<string | null>(null);
  const enter = async (login: string): Promise<void> => {
    setBusy(login);
    setError(null);
    try {
      await signIn(login);
    } catch (cause) {
      setError(messageOf(cause));
      setBusy(null);
    }
  };
  return (
    <main class="page sign-in">
      <div class="sign-in-card">
        <p class="brand">
          <Mark />
          Farhand
        </p>
        <h1>Sign in</h1>
        <Show
          when={props.configuration.signIn.type === "local"}
          fallback={
            <p class="quiet">
              This deployment signs people in through GitHub, which this client does not offer yet. On a
              machine of your own, set SIGN_IN to "local".
            </p>
          }
        >
          <p class="quiet">This is a local deployment without passwords. Who are you?</p>
          <ul class="user-list">
            <For each={users()} fallback={<li class="quiet">No users are configured: set LOCAL_USERS.</li>}>
              {(user) => (
                <li>
                  <button
                    type="button"
                    class="user-button"
                    disabled={busy() !== null}
                    onClick={() => void enter(user.login)}
                  >
                    <Avatar id={user.id} name={user.name} />
                    <span class="user-text">
                      <span class="user-name">{user.name}</span>
                      <span class="user-login">
                        {user.login} · {user.email}
                      </span>
                    </span>
                    <Show when={busy() === user.login} fallback={<Icon name="chevron" />}>
                      <Spinner label="signing in" />
                    </Show>
                  </button>
                </li>
              )}
            </For>
          </ul>
        </Show>
        <Show when={error()}>
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
