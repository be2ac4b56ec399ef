/** Beside the timeline, or over it where there is no room: what has changed, and the facts. On a phone it is one of three tabs. */
import type { FileDiff, UserId } from "@farhand/protocol";
import { createViewedFiles, DiffView, hasArtifacts, Icon, type Session } from "@farhand/session-view";
import { createMemo, type JSX, lazy, Show, Suspense } from "solid-js";
import { InspectorEdge } from "./inspector-width.jsx";

const Details = lazy(async () => ({ default: (await import("@farhand/session-view/details")).Details }));
// Most sessions have none.
const ArtifactShelf = lazy(async () => ({
  default: (await import("@farhand/session-view/artifacts")).ArtifactShelf,
}));

export type InspectorTab = "changes" | "details";

export interface InspectorProps {
  session: Session;
  me: UserId;
  files: readonly FileDiff[];
  running: boolean;
  tab: InspectorTab;
  onTab(tab: InspectorTab): void;
  onClose(): void;
}

export function Inspector(props: InspectorProps): JSX.Element {
  const viewed = createViewedFiles(props.session.id, localStorage);
  const keepsSome = createMemo(() => hasArtifacts(props.session));
  return (
    <>
      <button
        type="button"
        class="backdrop inspector-backdrop"
        aria-label="Close the inspector"
        onClick={() => props.onClose()}
      />
      <aside class="inspector" aria-label="Changes and details">
        <InspectorEdge />
        <div class="tabs">
          <div class="tab-list" role="tablist" aria-label="Inspector">
            <TabButton name="changes" selected={props.tab === "changes"} onSelect={props.onTab}>
              Changes
              <Show when={props.files.length > 0}>
                <span class="count">{props.files.length}</span>
              </Show>
            </TabButton>
            <TabButton name="details" selected={props.tab === "details"} onSelect={props.onTab}>
              Details
            </TabButton>
          </div>
          <button
            type="button"
            class="icon-button tabs-close"
            aria-label="Close the inspector"
            onClick={() => props.onClose()}
          >
            <Icon name="cross" />
          </button>
        </div>
        <h2 class="visually-hidden">{props.tab === "changes" ? "Changes" : "Details"}</h2>
        <div
          class="inspector-body"
          role="tabpanel"
          id="inspector-panel"
          aria-labelledby={`tab-${props.tab}`}
          tabindex="0"
        >
          <Show
            when={props.tab === "changes"}
            fallback={
              <Suspense>
                <Details session={props.session} me={props.me} />
              </Suspense>
            }
          >
            <Show when={props.files.length > 0} fallback={<NoChanges running={props.running} />}>
              <DiffView files={props.files} viewed={viewed} storage={localStorage} />
            </Show>
          </Show>
        </div>
        <Suspense>
          <Show when={props.tab === "changes" && keepsSome()}>
            <ArtifactShelf session={props.session} />
          </Show>
        </Suspense>
      </aside>
    </>
  );
}

export function PhoneTabs(props: {
  tab: InspectorTab | "chat";
  files: number;
  onChat(): void;
  onShow(tab: InspectorTab): void;
}): JSX.Element {
  const current = (tab: InspectorTab | "chat"): "page" | undefined =>
    props.tab === tab ? "page" : undefined;
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
  name: InspectorTab;
  selected: boolean;
  onSelect(tab: InspectorTab): void;
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
