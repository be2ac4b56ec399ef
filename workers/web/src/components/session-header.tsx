/** The head of a session: title, where it works, sandbox, people, what can be done with it, and the switch of the inspector. */
import type { UserId } from "@farhand/protocol";
import {
  evaluatePermission,
  Icon,
  keyName,
  People,
  RefusalLine,
  roleOf,
  SandboxPill,
  type Session,
} from "@farhand/session-view";
import { createSignal, type JSX, Show } from "solid-js";
import { RailButton } from "./rail-button.jsx";
import { SessionMenu } from "./session-menu.jsx";
import { TitleField } from "./title-field.jsx";

export interface SessionHeaderProps {
  session: Session;
  me: UserId;
  title: string;
  running: boolean;
  onRail(): void;
  inspector: boolean;
  onInspector(open: boolean): void;
  onArchive(archived: boolean): void;
  onDelete(): void;
}

export function SessionHeader(props: SessionHeaderProps): JSX.Element {
  const [renaming, setRenaming] = createSignal(false);
  const snapshot = () => props.session.state.snapshot;
  const mayRename = (): boolean => {
    const now = snapshot();
    return now !== null && evaluatePermission(roleOf(now, props.me), "rename");
  };
  return (
    <header class="session-head">
      <RailButton onRail={props.onRail} />
      <div class="session-title">
        <TitleField
          session={props.session}
          title={snapshot() === null ? "Loading…" : props.title}
          editable={mayRename()}
          editing={renaming()}
          onEditing={setRenaming}
        />
        <Show when={snapshot()}>
          {(now) => (
            <p class="session-place">
              <Show when={now().session.archivedAt !== undefined}>
                <span class="chip is-archived">archived</span>
              </Show>
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
        <RefusalLine session={props.session} place="title" />
      </div>
      <Show when={snapshot()}>
        {(now) => (
          <>
            <SandboxPill sandbox={now().sandbox} running={props.running} />
            <People session={props.session} me={props.me} />
            <SessionMenu
              session={now().session}
              role={roleOf(now(), props.me)}
              busy={props.running || now().queue.length > 0}
              onRename={() => setRenaming(true)}
              onArchive={props.onArchive}
              onDelete={props.onDelete}
            />
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
