/** The panel of somebody who is signed in: which session, the page beside it, and the session or the start of a new one. */
import type { SessionSummary, User } from "@farhand/protocol";
import { Icon } from "@farhand/session-view";
import { ApiError } from "@farhand/session-view/api-error";
import { createResource, createSignal, type JSX, Match, onCleanup, Show, Switch } from "solid-js";
import type { Account } from "../account.js";
import { type ClientConfiguration, createDeployment, type Deployment } from "../deployment.js";
import { PanelHeader } from "./header.jsx";
import { NewSession } from "./new-session.jsx";
import { followPage } from "./page.js";
import { PageRow } from "./page-row.jsx";
import { createSelection } from "./selection.js";
import { SessionView } from "./session.jsx";

const CURRENT = "farhand.session";
const LIST_EVERY_MS = 30_000;

export interface Known {
  deployment: Deployment;
  configuration: ClientConfiguration;
  user: User;
}

export function Workspace(props: {
  account: Required<Account>;
  windowId: number;
  onSignOut(): void;
  onRefused(): void;
}): JSX.Element {
  const deployment = createDeployment(props.account.address, props.account.key.text);
  /** A key that was ended elsewhere. */
  const guarded = async <T,>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof ApiError && (error.code === "sign_in_required" || error.code === "token_invalid"))
        props.onRefused();
      throw error;
    }
  };
  const [known, { refetch }] = createResource<Known>(async () => {
    const [configuration, user] = await guarded(Promise.all([deployment.configuration(), deployment.me()]));
    return { deployment, configuration, user };
  });
  const failure = (): string =>
    known.error instanceof Error ? known.error.message : "Something went wrong. Try again.";
  return (
    <Switch
      fallback={
        <main class="page" aria-busy="true">
          <div class="skeleton" aria-hidden="true">
            <span />
            <span />
            <span />
          </div>
        </main>
      }
    >
      <Match when={known.error !== undefined}>
        <main class="page">
          <div class="problem">
            <Icon name="alert" size={22} />
            <h1>Farhand does not answer</h1>
            <p>{failure()}</p>
            <button type="button" class="button is-primary" onClick={() => void refetch()}>
              Try again
            </button>
            <button type="button" class="text-button" onClick={() => props.onSignOut()}>
              Sign out
            </button>
          </div>
        </main>
      </Match>
      <Match when={known()}>
        {(facts) => (
          <Work
            known={facts()}
            windowId={props.windowId}
            onSignOut={props.onSignOut}
            onRefused={props.onRefused}
          />
        )}
      </Match>
    </Switch>
  );
}

function Work(props: { known: Known; windowId: number; onSignOut(): void; onRefused(): void }): JSX.Element {
  const { deployment } = props.known;
  const [current, setCurrent] = createSignal<string | null>(localStorage.getItem(CURRENT));
  const [sessions, setSessions] = createSignal<readonly SessionSummary[]>([]);
  const page = followPage(props.windowId);
  const selection = createSelection(
    props.windowId,
    page,
    () => props.known.configuration.captures?.version === 1,
    () => document.querySelector<HTMLElement>(".composer-field")?.focus(),
  );
  const list = async (): Promise<void> => {
    try {
      setSessions((await deployment.sessions()).sessions);
    } catch (error) {
      // The list is beside the matter; what it does not know, the session itself tells.
      if (error instanceof ApiError && error.code === "sign_in_required") props.onRefused();
    }
  };
  const go = (sessionId: string | null): void => {
    setCurrent(sessionId);
    if (sessionId === null) localStorage.removeItem(CURRENT);
    else localStorage.setItem(CURRENT, sessionId);
    void list();
  };
  void list();
  const timer = setInterval(() => {
    if (document.visibilityState === "visible") void list();
  }, LIST_EVERY_MS);
  onCleanup(() => clearInterval(timer));
  return (
    <div class="panel">
      <PanelHeader
        known={props.known}
        current={current()}
        sessions={sessions()}
        onList={() => void list()}
        onOpen={go}
        onSignOut={props.onSignOut}
      />
      <PageRow page={page} selection={selection} />
      <Show
        when={current()}
        keyed
        fallback={<NewSession known={props.known} page={page} selection={selection} onCreated={go} />}
      >
        {(sessionId) => (
          <SessionView
            sessionId={sessionId}
            known={props.known}
            selection={selection}
            onSignedOut={props.onRefused}
            onLeave={() => go(null)}
          />
        )}
      </Show>
    </div>
  );
}
