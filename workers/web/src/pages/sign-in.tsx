/** Sign-in: through GitHub by a link that leaves this page; with the local method one picks a user. */
import type { Configuration, User } from "@farhand/protocol";
import { Icon, own } from "@farhand/session-view";
import { createSignal, For, type JSX, Show } from "solid-js";
import { messageOf, signIn } from "../account.js";
import { Entrance, PersonButton } from "../components/entrance.jsx";
import { keepFragment } from "../fragment.js";

/** What the edge says in `?sign-in=` when somebody came back from GitHub and is not signed in. */
const PROBLEMS: Record<string, string> = {
  denied: "GitHub was told not to let Farhand know who you are. Sign in again to allow it.",
  expired: "That sign-in was started in another browser, took too long, or was used before. Sign in again.",
  not_allowed: "Your GitHub account is not one of those that may use this deployment. Ask its operator.",
  no_email: "GitHub knows no verified primary address of yours. Verify one in your GitHub settings.",
  unavailable: "GitHub or the server does not answer. Try again in a moment.",
  misconfigured: "GitHub does not accept this deployment's application. Its operator has to check it.",
};

/** Why the last attempt failed, if one did. */
function problem(): string | null {
  const code = new URLSearchParams(location.search).get("sign-in");
  return code === null ? null : (own(PROBLEMS, code) ?? "That did not work. Sign in again.");
}

/** The way to GitHub and back to this page. */
function githubUrl(): string {
  const here = new URL(location.href);
  here.searchParams.delete("sign-in");
  return `/api/sign-in/github?to=${encodeURIComponent(here.pathname + here.search)}`;
}

export function SignIn(props: { configuration: Configuration }): JSX.Element {
  const users = (): User[] => {
    const method = props.configuration.signIn;
    return method.type === "local" ? method.users : [];
  };
  const [busy, setBusy] = createSignal<string | null>(null);
  const [error, setError] = createSignal<string | null>(problem());
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
    <Entrance title="Sign in" error={error()}>
      <Show
        when={props.configuration.signIn.type === "local"}
        fallback={
          <>
            <p class="quiet">Your prompts, commits and pull requests carry your GitHub account's name.</p>
            <a class="user-button" href={githubUrl()} onClick={keepFragment}>
              <span class="user-text">
                <span class="user-name">Continue with GitHub</span>
              </span>
              <Icon name="chevron" />
            </a>
          </>
        }
      >
        <p class="quiet">This is a local deployment without passwords. Who are you?</p>
        <ul class="user-list">
          <For each={users()} fallback={<li class="quiet">No users are configured: set LOCAL_USERS.</li>}>
            {(user) => (
              <li>
                <PersonButton
                  user={user}
                  name={user.name}
                  detail={`${user.login} · ${user.email}`}
                  disabled={busy() !== null}
                  busy={busy() === user.login ? "signing in" : undefined}
                  onChoose={() => void enter(user.login)}
                />
              </li>
            )}
          </For>
        </ul>
      </Show>
    </Entrance>
  );
}
