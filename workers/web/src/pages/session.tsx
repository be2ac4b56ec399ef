/** One session: header, live timeline, dock, and beside them what has changed and the facts. */
import type { Configuration, User } from "@farhand/protocol";
import {
  artifactOf,
  ConnectionBar,
  Dock,
  forgetSession,
  Icon,
  openSession,
  runningTurn,
  type Session,
  type StopReason,
  TicketRefused,
  TimelineView,
  viewedKey,
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
import { leaveAccount, messageOf } from "../account.js";
import { ApiError, api, artifactUrl, socketUrl } from "../api.js";
import { Confirm } from "../components/confirm.jsx";
import { Inspector, type InspectorTab, PhoneTabs } from "../components/inspector.jsx";
import { inspectorWidth } from "../components/inspector-width.jsx";
import { Problem } from "../components/problem.jsx";
import { SessionHeader } from "../components/session-header.jsx";
import { showToast } from "../components/toasts.jsx";
import { createLinkedPlace, followLink, navigate } from "../router.js";
import { markSeen } from "../seen.js";
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

export function SessionPage(props: SessionPageProps): JSX.Element {
  const session = openSession({
    sessionId: props.sessionId,
    socketUrl: socketUrl(props.sessionId),
    fetchTicket: (signal) => fetchTicket(props.sessionId, signal),
    fetchHistory: async (before, signal) => api.history(props.sessionId, before, signal),
    artifacts: { url: (id) => artifactUrl(props.sessionId, id) },
    allowHostUrl: (repository, host) => `/repositories/${repository}?host=${encodeURIComponent(host)}`,
    placeUrl: (place) => `${location.origin}/sessions/${props.sessionId}#e${place}`,
    storage: localStorage,
    origin: "web",
  });
  const linked = createLinkedPlace();
  const actions = createSessionActions(props);
  const [tab, setTab] = createSignal<InspectorTab>("changes");
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
  const archivedAt = createMemo(() => snapshot()?.session.archivedAt);
  createEffect(() => {
    document.title = `${snapshot() === null ? "Session" : title()} · Farhand`;
  });
  createEffect(
    on(stopped, (reason) => {
      if (reason === "signed_out") leaveAccount();
    }),
  );
  // The list beside shows the same facts; it need not wait for its next round.
  createEffect(on([running, title, archivedAt], () => void props.listing.refresh(), { defer: true }));
  createEffect(() => {
    const row = props.listing.state.sessions.find((one) => one.sessionId === props.sessionId);
    if (row !== undefined && document.visibilityState === "visible") markSeen(row.sessionId, row.updatedAt);
  });
  onCleanup(() => {
    document.title = "Farhand";
  });
  const files = createMemo(() => {
    const now = snapshot();
    return now === null ? [] : (artifactOf(now, "diff")?.content.files ?? []);
  });
  const show = (next: InspectorTab): void => {
    setTab(next);
    props.onInspector(true);
  };
  return (
    <Switch>
      <Match when={stopped() === "gone"}>
        <Gone session={session} />
      </Match>
      <Match when={stopped() === "forbidden"}>
        <Closed
          title="No access"
          text="You may not see this session. Somebody who can see its repository can tell you more."
        />
      </Match>
      <Match when={true}>
        <main
          class="session"
          id="content"
          classList={{ "is-inspector-open": props.inspector }}
          style={{ "--inspector": `${inspectorWidth()}px` }}
        >
          <SessionHeader
            session={session}
            me={props.user.id}
            title={title()}
            running={running()}
            onRail={props.onRail}
            inspector={props.inspector}
            onInspector={props.onInspector}
            onArchive={(archived) => void actions.archive(archived)}
            onDelete={() => actions.setDeleting(true)}
          />
          <PhoneTabs
            tab={props.inspector ? tab() : "chat"}
            files={files().length}
            onChat={() => props.onInspector(false)}
            onShow={show}
          />
          <div class="conversation">
            <ConnectionBar session={session} />
            <ProblemLine text={actions.problem()} onDismiss={actions.dismiss} />
            <Show when={snapshot()} fallback={<ConversationSkeleton />}>
              <TimelineView session={session} linked={linked()} />
            </Show>
            <Dock
              session={session}
              me={props.user}
              models={props.configuration}
              limits={props.configuration.attachments}
              storage={localStorage}
              onUnarchive={() => void actions.archive(false)}
            />
          </div>
          <Inspector
            session={session}
            me={props.user.id}
            files={files()}
            running={running()}
            tab={tab()}
            onTab={setTab}
            onClose={() => props.onInspector(false)}
          />
          <Show when={actions.deleting()}>
            <Confirm
              title="Delete this session?"
              text="Its conversation, outputs, snapshots and sandbox are removed for everybody and for good. The branch and the pull request stay at the code host."
              action="Delete"
              onConfirm={actions.remove}
              onClose={() => actions.setDeleting(false)}
            />
          </Show>
        </main>
      </Match>
    </Switch>
  );
}

/** What can be done with the session as a whole, and how it went. */
function createSessionActions(props: SessionPageProps) {
  const [deleting, setDeleting] = createSignal(false);
  const [problem, setProblem] = createSignal<string | null>(null);
  return {
    deleting,
    setDeleting,
    problem,
    dismiss: () => setProblem(null),
    async archive(archived: boolean): Promise<void> {
      setProblem(null);
      try {
        await api.archive(props.sessionId, { archived });
        showToast({
          text: archived ? "The session is archived." : "The session takes prompts again.",
          undo: () => void this.archive(!archived),
        });
      } catch (error) {
        setProblem(messageOf(error));
      }
    },
    async remove(): Promise<void> {
      const { sessionId } = props;
      await api.deleteSession(sessionId);
      forgetSession(sessionId, localStorage);
      localStorage.removeItem(viewedKey(sessionId));
      props.listing.forget(sessionId);
      navigate("/", "replace");
    },
  };
}

function ProblemLine(props: { text: string | null; onDismiss(): void }): JSX.Element {
  return (
    <Show when={props.text}>
      <p class="form-error session-problem" role="alert">
        <Icon name="alert" />
        <span>{props.text}</span>
        <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => props.onDismiss()}>
          <Icon name="cross" size={14} />
        </button>
      </p>
    </Show>
  );
}

/** The session is no more, or never was. */
function Gone(props: { session: Session }): JSX.Element {
  return (
    <Show
      when={props.session.state.snapshot}
      fallback={
        <Closed title="This session does not exist" text="It was deleted, or the address is not complete." />
      }
    >
      {(last) => (
        <Closed
          title="This session was deleted"
          text={`An owner has just deleted it. Its branch ${last().session.branch} is at the code host as it was.`}
        />
      )}
    </Show>
  );
}

function Closed(props: { title: string; text: string }): JSX.Element {
  return (
    <main class="page" id="content">
      <Problem title={props.title} text={props.text}>
        <a class="button" href="/" onClick={followLink}>
          To the sessions
        </a>
      </Problem>
    </main>
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
