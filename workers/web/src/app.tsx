/** Decides which page is shown: sign-in, or the workbench with the session list and one page beside it. */
import { type JSX, lazy, Match, onMount, Suspense, Switch } from "solid-js";
import { account, loadAccount } from "./account.js";
import { Problem } from "./components/problem.jsx";
import { SignIn } from "./pages/sign-in.jsx";
import { route } from "./router.js";
import { Workbench } from "./workbench.jsx";

// Seen once, if ever.
const Connect = lazy(() => import("./pages/connect.jsx"));
const SlackLink = lazy(() => import("./pages/slack.jsx"));

export function App(): JSX.Element {
  onMount(() => void loadAccount());
  const of = <S extends ReturnType<typeof account>["state"]>(state: S) => {
    const now = account();
    return now.state === state ? (now as Extract<ReturnType<typeof account>, { state: S }>) : undefined;
  };
  return (
    <Switch fallback={<main class="page is-loading" aria-busy="true" aria-label="Loading" />}>
      <Match when={of("failed")}>
        {(failed) => (
          <main class="page">
            <Problem
              title="Farhand cannot be reached"
              text={failed().message}
              retry={() => void loadAccount()}
            />
          </main>
        )}
      </Match>
      <Match when={of("signed_out")}>{(out) => <SignIn configuration={out().configuration} />}</Match>
      <Match when={of("signed_in")}>
        {(signedIn) => (
          <Switch fallback={<Workbench user={signedIn().user} configuration={signedIn().configuration} />}>
            <Match when={route().page === "connect"}>
              <Suspense>
                <Connect user={signedIn().user} />
              </Suspense>
            </Match>
            <Match when={route().page === "slack"}>
              <Suspense>
                <SlackLink user={signedIn().user} />
              </Suspense>
            </Match>
          </Switch>
        )}
      </Match>
    </Switch>
  );
}
