/** One session: header, live timeline, dock, and beside them what has changed and the facts. */
import type { Configuration, User } from "@farhand/protocol";
import {
  artifactOf,
  ConnectionBar,
  Details,
  DiffView,
  Dock,
  Icon,
  openSession,
  People,
  runningTurn,
  SandboxPill,
  type Session,
  type StopReason,
  TicketRefused,
  TimelineView,
} from "@farhand/session-view";
import {
  createEffect,
  createMemo,
  createSignal,
  type JSX,
  Match,
  on,
  onCleanup,
  Show,
  Switch,
} from "solid-js";
import { leaveAccount } from "../account.js";
import { ApiError, api, socketUrl } from "../api.js";
import { Problem } from "../components/problem.jsx";
import { followLink } from "../router.js";
import type { SessionListing } from "../session-list.js";

export interface SessionPageProps {
  sessionId: string;
  user: User;
  configuration: Configuration;
  listing: SessionListing;
  onRail(): void;
  inspector: boolean;
  onInspector(open: boolean): void;
}

type Tab = "changes" | "details";

export function SessionPage(props: SessionPageProps): JSX.Element {
  const session = openSession({
    sessionId: props.sessionId,
    socketUrl: socketUrl(props.sessionId),
    fetchTicket: (signal) => fetchTicket(props.sessionId, signal),
    storage: localStorage,
    origin: "web",
  });
  const [tab, setTab] = createSignal<Tab>("changes");
  const snapshot = () => session.state.snapshot;
  const stopped = (): StopReason | undefined => {
    const status = session.status();
    return status.state === "stopped" ? status.reason : undefined;
  };
  const title = (): string => snapshot()?.session.title || "New session";
  const running = createMemo(() => {
    const now = snapshot();
    return now !== null && runningTurn(now) !== undefined;
  });
  createEffect(() => {
    document.title = `${snapshot() === null ? "Session" : title()} · Farhand`;
  });
  createEffect(
    on(stopped, (reason) => {
      if (reason === "signed_out") leaveAccount();
    }),
  );
  // The list beside shows the same facts; it need not wait for its next round.
  createEffect(on([running, title], () => void props.listing.refresh(), { defer: true }));
  onCleanup(() => {
    document.title = "Farhand";
  });
  const files = createMemo(() => {
    const now = snapshot();
    return now === null ? [] : (artifactOf(now, "diff")?.content.files ?? []);
  });
  const show = (next: Tab): void => {
    setTab(next);
    props.onInspector(true);
  };
  return (
    <Switch>
      <Match when={stopped() === "gone"}>
        <main class="page" id="content">
          <Problem title="This session does not exist" text="It was removed, or the address is not complete.">
            <a class="button" href="/" onClick={followLink}>
              To the sessions
            </a>
          </Problem>
        </main>
      </Match>
      <Match when={stopped() === "forbidden"}>
        <main class="page" id="content">
          <Problem
            title="No access"
            text="You may not see this session. Somebody who can see its repository can tell you more."
          >
            <a class="button" href="/" onClick={followLink}>
              To the sessions
            </a>
          </Problem>
        </main>
      </Match>
      <Match when={true}>
        <main class="session" id="content" classList={{ "is-inspector-open": props.inspector }}>
          <Header
            session={session}
            title={title()}
            running={running()}
            onRail={props.onRail}
            inspector={props.inspector}
            onInspector={props.onInspector}
          />
          <PhoneTabs
            tab={props.inspector ? tab() : "chat"}
            files={files().length}
            onChat={() => props.onInspector(false)}
            onShow={show}
          />
          <div class="conversation">
            <ConnectionBar session={session} />
            <Show when={snapshot()} fallback={<ConversationSkeleton />}>
              <TimelineView session={session} />
            </Show>
            <Dock
              session={session}
              me={props.user}
              models={props.configuration.models}
              storage={localStorage}
            />
          </div>
          <button
            type="button"
            class="backdrop inspector-backdrop"
            aria-label="Close the inspector"
            onClick={() => props.onInspector(false)}
          />
          <aside class="inspector" aria-label="Changes and details">
            <div class="tabs">
              <div class="tab-list" role="tablist" aria-label="Inspector">
                <TabButton name="changes" selected={tab() === "changes"} onSelect={setTab}>
                  Changes
                  <Show when={files().length > 0}>
                    <span class="count">{files().length}</span>
                  </Show>
                </TabButton>
                <TabButton name="details" selected={tab() === "details"} onSelect={setTab}>
                  Details
                </TabButton>
              </div>
              <button
                type="button"
                class="icon-button tabs-close"
                aria-label="Close the inspector"
                onClick={() => props.onInspector(false)}
              >
                <Icon name="cross" />
              </button>
            </div>
            <h2 class="visually-hidden">{tab() === "changes" ? "Changes" : "Details"}</h2>
            <div
              class="inspector-body"
              role="tabpanel"
              id="inspector-panel"
              aria-labelledby={`tab-${tab()}`}
              tabindex="0"
            >
              <Show when={tab() === "changes"} fallback={<Details session={session} />}>
                <Show when={files().length > 0} fallback={<NoChanges running={running()} />}>
                  <DiffView files={files()} />
                </Show>
              </Show>
            </div>
          </aside>
        </main>
      </Match>
    </Switch>
  );
}

interface HeaderProps {
  session: Session;
  title: string;
  running: boolean;
  onRail(): void;
  inspector: boolean;
  onInspector(open: boolean): void;
}

function Header(props: HeaderProps): JSX.Element {
  const snapshot = () => props.session.state.snapshot;
  return (
    <header class="session-head">
      <button
        type="button"
        class="icon-button rail-open"
        aria-label="Show the session list"
        onClick={() => props.onRail()}
      >
        <Icon name="menu" size={18} />
      </button>
      <div class="session-title">
        <h1 title={props.title}>{snapshot() === null ? "Loading…" : props.title}</h1>
        <Show when={snapshot()}>
          {(now) => (
            <p class="session-place">
              <Icon name="repository" size={13} />
              <span>{now().session.repository}</span>
              <span class="slash">/</span>
              <Icon name="branch" size={13} />
              <span class="mono session-branch" title={now().session.branch}>
                {now().session.branch}
              </span>
            </p>
          )}
        </Show>
      </div>
      <Show when={snapshot()}>
        {(now) => (
          <>
            <SandboxPill sandbox={now().sandbox} running={props.running} />
            <People participants={now().participants} present={props.session.present()} />
          </>
        )}
      </Show>
      <button
        type="button"
        class="icon-button inspector-toggle"
        aria-label={props.inspector ? "Hide the changes" : "Show the changes"}
        aria-expanded={props.inspector}
        title={`${props.inspector ? "Hide" : "Show"} the changes (⌘.)`}
        onClick={() => props.onInspector(!props.inspector)}
      >
        <Icon name="panel" size={17} />
      </button>
    </header>
  );
}

function PhoneTabs(props: {
  tab: Tab | "chat";
  files: number;
  onChat(): void;
  onShow(tab: Tab): void;
}): JSX.Element {
  const current = (tab: Tab | "chat"): "page" | undefined => (props.tab === tab ? "page" : undefined);
  return (
    <nav class="phone-tabs" aria-label="Parts of the session">
      <button type="button" aria-current={current("chat")} onClick={() => props.onChat()}>
        Chat
      </button>
      <button type="button" aria-current={current("changes")} onClick={() => props.onShow("changes")}>
        Changes
        <Show when={props.files > 0}>
          <span class="count">{props.files}</span>
        </Show>
      </button>
      <button type="button" aria-current={current("details")} onClick={() => props.onShow("details")}>
        Details
      </button>
    </nav>
  );
}

function TabButton(props: {
  name: Tab;
  selected: boolean;
  onSelect(tab: Tab): void;
  children: JSX.Element;
}): JSX.Element {
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLElement }): void => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    event.preventDefault();
    const other = props.name === "changes" ? "details" : "changes";
    props.onSelect(other);
    document.getElementById(`tab-${other}`)?.focus();
  };
  return (
    <button
      type="button"
      role="tab"
      id={`tab-${props.name}`}
      aria-selected={props.selected}
      aria-controls="inspector-panel"
      tabindex={props.selected ? 0 : -1}
      onClick={() => props.onSelect(props.name)}
      onKeyDown={onKeyDown}
    >
      {props.children}
    </button>
  );
}

function NoChanges(props: { running: boolean }): JSX.Element {
  return (
    <div class="nothing">
      <Icon name="edit" size={20} />
      <p>{props.running ? "The changes of this turn appear when it ends." : "The branch has no changes."}</p>
    </div>
  );
}

function ConversationSkeleton(): JSX.Element {
  return (
    <div class="timeline-frame" aria-busy="true">
      <div class="timeline">
        <div class="timeline-column skeleton is-conversation" aria-hidden="true">
          <span />
          <span />
          <span />
        </div>
      </div>
    </div>
  );
}

async function fetchTicket(sessionId: string, signal: AbortSignal): Promise<string> {
  try {
    return (await api.ticket(sessionId, signal)).ticket;
  } catch (error) {
    if (error instanceof ApiError) throw new TicketRefused(error.code);
    throw error;
  }
}
