/** A picture or a text large, over the page, with the others beside it. Opened from the shelf and from the rows of the timeline. */
import { createMemo, type JSX, Match, Show, Switch, useContext } from "solid-js";
import { Artifacts } from "../artifact-source.js";
import { formatBytes, plural } from "../format.js";
import type { KeptArtifact } from "../kept-artifacts.js";
import { ArtifactPicture } from "./artifact-picture.jsx";
import { Icon, type IconName } from "./icons.jsx";
import { StoredText } from "./stored-text.jsx";

/** What can be shown over the page. */
type ShownArtifact = Extract<KeptArtifact, { kind: "picture" | "text" }>;

export function isShown(one: KeptArtifact): one is ShownArtifact {
  return one.kind === "picture" || one.kind === "text";
}

interface ViewerProps {
  /** Those that can be shown are. */
  artifacts: readonly KeptArtifact[];
  /** The one that is open. */
  id: string | undefined;
  /** To another one, or to none. */
  onMove(id: string | undefined): void;
}

/** One artifact large. Arrow keys go to the others, Escape closes; the focus goes back to where it was. */
export function ArtifactViewer(props: ViewerProps): JSX.Element {
  return <Show when={props.id}>{(id) => <Viewer {...props} id={id()} />}</Show>;
}

function Viewer(props: ViewerProps): JSX.Element {
  const artifacts = useContext(Artifacts);
  const shown = createMemo(() => props.artifacts.filter(isShown));
  const at = (): number => shown().findIndex(({ id }) => id === props.id);
  const one = (): ShownArtifact | undefined => shown()[at()];
  const move = (step: number): void => {
    const next = shown()[at() + step];
    if (next !== undefined) props.onMove(next.id);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined || (event.target instanceof Element && event.target.matches("pre"))) return;
    event.preventDefault();
    move(step);
  };
  return (
    <dialog
      class="viewer"
      ref={(dialog) => queueMicrotask(() => dialog.showModal())}
      aria-label={one()?.name}
      onKeyDown={onKeyDown}
      onClose={() => props.onMove(undefined)}
      onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}
    >
      <header class="viewer-head">
        <h2 class="viewer-name">{one()?.name}</h2>
        <p class="viewer-facts">
          <Show when={one()}>{(artifact) => factsOf(artifact())}</Show>
        </p>
        <Show when={shown().length > 1}>
          <Step icon="chevron" back name="Previous" enabled={at() > 0} onStep={() => move(-1)} />
          <Step icon="chevron" name="Next" enabled={at() < shown().length - 1} onStep={() => move(1)} />
        </Show>
        <Show when={one()}>
          {(artifact) => (
            <a
              class="icon-button"
              href={artifacts?.url(artifact().id)}
              target="_blank"
              rel="noopener"
              aria-label="Open in a new tab"
              title="Open in a new tab"
            >
              <Icon name="external" />
            </a>
          )}
        </Show>
        <button
          type="button"
          class="icon-button"
          aria-label="Close"
          title="Close (Esc)"
          onClick={(event) => event.currentTarget.closest("dialog")?.close()}
        >
          <Icon name="cross" />
        </button>
      </header>
      <p class="visually-hidden" role="status">
        {one()?.name}, {at() + 1} of {plural(shown().length, "artifact")}
      </p>
      <div class="viewer-body">
        <Show when={one()} keyed>
          {(artifact) => (
            <Switch>
              <Match when={artifact.kind === "picture" && artifact}>
                {(picture) => (
                  <ArtifactPicture
                    id={picture().id}
                    class="viewer-picture"
                    alt={picture().name}
                    width={picture().width}
                    height={picture().height}
                    fallback={<p class="is-quiet">The picture cannot be loaded now.</p>}
                  />
                )}
              </Match>
              <Match when={artifact.kind === "text"}>
                <StoredText id={artifact.id} />
              </Match>
            </Switch>
          )}
        </Show>
      </div>
    </dialog>
  );
}

function Step(props: {
  icon: IconName;
  name: string;
  back?: boolean;
  enabled: boolean;
  onStep(): void;
}): JSX.Element {
  return (
    <button
      type="button"
      class="icon-button"
      classList={{ "is-back": props.back === true }}
      aria-label={props.name}
      title={`${props.name} (${props.back === true ? "←" : "→"})`}
      aria-disabled={!props.enabled}
      onClick={() => props.enabled && props.onStep()}
    >
      <Icon name={props.icon} />
    </button>
  );
}

function factsOf(artifact: ShownArtifact): string {
  const size = formatBytes(artifact.bytes);
  const extent = artifact.kind === "picture" ? `${artifact.width}×${artifact.height} · ` : "";
  return `${extent}${size} · from ${artifact.from}`;
}
