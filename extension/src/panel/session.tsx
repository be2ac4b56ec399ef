/** One session in the panel: its timeline and its lower edge, where selections wait. */
import {
  ConnectionBar,
  Dock,
  Icon,
  openSession,
  type StopReason,
  TicketRefused,
  TimelineView,
} from "@farhand/session-view";
import { ApiError } from "@farhand/session-view/api-error";
import { createEffect, type JSX, Match, on, Show, Switch } from "solid-js";
import { Chips } from "./chips.jsx";
import type { Selection } from "./selection.js";
import type { Known } from "./workspace.jsx";

export function SessionView(props: {
  sessionId: string;
  known: Known;
  selection: Selection;
  onSignedOut(): void;
  onLeave(): void;
}): JSX.Element {
  const { deployment, configuration, user } = props.known;
  const session = openSession({
    sessionId: props.sessionId,
    socketUrl: deployment.socketUrl(props.sessionId),
    fetchTicket: async (signal) => {
      try {
        return (await deployment.ticket(props.sessionId, signal)).ticket;
      } catch (error) {
        throw error instanceof ApiError && error.code !== "unavailable"
          ? new TicketRefused(error.code)
          : error;
      }
    },
    fetchHistory: async (before, signal) => deployment.history(props.sessionId, before, signal),
    artifacts: {
      url: (id) => deployment.artifactUrl(props.sessionId, id),
      fetch: (id, signal) => deployment.artifact(props.sessionId, id, signal),
    },
    storage: localStorage,
    origin: "extension",
  });
  const stopped = (): StopReason | undefined => {
    const status = session.status();
    return status.state === "stopped" ? status.reason : undefined;
  };
  createEffect(
    on(stopped, (reason) => {
      if (reason === "signed_out") props.onSignedOut();
    }),
  );
  return (
    <Switch>
      <Match when={stopped() === "gone" || stopped() === "forbidden"}>
        <main class="page">
          <div class="problem">
            <Icon name="alert" size={22} />
            <h2>{stopped() === "gone" ? "This session is no more" : "No access"}</h2>
            <p>
              {stopped() === "gone"
                ? "It was deleted. Its branch is at the code host as it was."
                : "You may not see this session. Somebody who can see its repository can tell you more."}
            </p>
            <button type="button" class="button" onClick={() => props.onLeave()}>
              Start a new one
            </button>
          </div>
        </main>
      </Match>
      <Match when={true}>
        <main class="conversation">
          <ConnectionBar session={session} />
          <Show
            when={session.state.snapshot}
            fallback={
              <div class="timeline-frame" aria-busy="true">
                <div class="skeleton is-conversation" aria-hidden="true">
                  <span />
                  <span />
                  <span />
                </div>
              </div>
            }
          >
            <TimelineView session={session} />
          </Show>
          <Dock
            session={session}
            me={user}
            models={configuration}
            storage={localStorage}
            attachments={{ view: <Chips selection={props.selection} />, take: props.selection.take }}
          />
        </main>
      </Match>
    </Switch>
  );
}
