/** The head of a session: title, where it works, sandbox, people, and on a wide screen the switch of the inspector. */
import { Icon, keyName, People, SandboxPill, type Session } from "@farhand/session-view";
import { type JSX, Show } from "solid-js";
import { RailButton } from "./rail-button.jsx";

export interface SessionHeaderProps {
  session: Session;
  title: string;
  running: boolean;
  onRail(): void;
  inspector: boolean;
  onInspector(open: boolean): void;
}

export function SessionHeader(props: SessionHeaderProps): JSX.Element {
  const snapshot = () => props.session.state.snapshot;
  return (
    <header class="session-head">
      <RailButton onRail={props.onRail} />
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
        title={`${props.inspector ? "Hide" : "Show"} the changes (${keyName("⌘.")})`}
        onClick={() => props.onInspector(!props.inspector)}
      >
        <Icon name="panel" size={17} />
      </button>
    </header>
  );
}
