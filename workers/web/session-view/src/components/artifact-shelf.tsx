/**
 * The artifacts of a session as small pictures and tiles; each opens large, over the page. Loaded when a session has some. Everything
 * comes from the session's own deployment.
 */
import { createMemo, createSignal, For, type JSX, Match, Show, Switch } from "solid-js";
import { type KeptArtifact, keptArtifacts } from "../artifacts.js";
import { formatBytes, plural } from "../format.js";
import { joinEarlier } from "../history.js";
import type { Session } from "../session-store.js";
import { Icon, type IconName, Spinner } from "./icons.jsx";
import { StoredText } from "./stored-text.jsx";

type Shown = Exclude<KeptArtifact, { kind: "output" }>;

export function ArtifactShelf(props: { session: Session }): JSX.Element {
  const [open, setOpen] = createSignal<string>();
  const kept = createMemo(() => artifactsOf(props.session));
  const shown = createMemo(() => kept().filter((one): one is Shown => one.kind !== "output"));
  const url = (one: KeptArtifact): string => props.session.artifactUrl(one.id);
  return (
    <section class="shelf" aria-label="Artifacts">
      <header class="shelf-head">
        <h3>Artifacts</h3>
        <span class="count">{kept().length}</span>
        <Earlier session={props.session} />
      </header>
      <ul class="shelf-list">
        <For each={kept()}>
          {(one) => (
            <li>
              <Show
                when={one.kind !== "output"}
                fallback={
                  <a
                    class="shelf-item"
                    href={url(one)}
                    target="_blank"
                    rel="noopener"
                    title={`${one.name}, ${one.from}`}
                  >
                    <Tile artifact={one} url={url(one)} />
                  </a>
                }
              >
                <button
                  type="button"
                  class="shelf-item"
                  aria-haspopup="dialog"
                  title={`${one.name}, from ${one.from}`}
                  onClick={() => setOpen(one.id)}
                >
                  <Tile artifact={one} url={url(one)} />
                </button>
              </Show>
            </li>
          )}
        </For>
      </ul>
      <Show when={open()}>
        {(id) => (
          <Viewer
            artifacts={shown()}
            id={id()}
            url={url}
            onMove={setOpen}
            onClose={() => setOpen(undefined)}
          />
        )}
      </Show>
    </section>
  );
}

/** All that is known of the session, earlier pages included. */
export function artifactsOf(session: Session): KeptArtifact[] {
  const now = session.state.snapshot;
  if (now === null) return [];
  const { prompts, items } = joinEarlier(session.history.earlier, now);
  return keptArtifacts(prompts, items, now.participants);
}

const ICONS: Record<Exclude<KeptArtifact["kind"], "picture">, IconName> = {
  text: "file",
  output: "terminal",
};

function Tile(props: { artifact: KeptArtifact; url: string }): JSX.Element {
  const [failed, setFailed] = createSignal(false);
  const icon = (): IconName => {
    const { kind } = props.artifact;
    return kind === "picture" ? "camera" : ICONS[kind];
  };
  return (
    <>
      <span class="shelf-tile">
        <Show
          when={props.artifact.kind === "picture" && !failed()}
          fallback={<Icon name={icon()} size={20} />}
        >
          <img src={props.url} alt="" loading="lazy" decoding="async" onError={() => setFailed(true)} />
        </Show>
      </span>
      <span class="shelf-name">{props.artifact.name}</span>
      <Show when={props.artifact.kind === "output"}>
        <span class="visually-hidden">, {props.artifact.from}, opens in a new tab</span>
      </Show>
    </>
  );
}

/** What the snapshot left out may have more. */
function Earlier(props: { session: Session }): JSX.Element {
  const { history } = props.session;
  const hasMore = (): boolean => {
    const now = props.session.state.snapshot;
    return now !== null && history.hasMore(now);
  };
  return (
    <Show when={hasMore()}>
      <button
        type="button"
        class="text-button"
        disabled={history.loading()}
        title={history.error() ?? "Artifacts of turns that are not loaded yet"}
        onClick={() => void props.session.loadEarlier()}
      >
        <Show when={history.loading()} fallback="Look in earlier turns">
          <Spinner /> Looking…
        </Show>
      </button>
    </Show>
  );
}

interface ViewerProps {
  artifacts: readonly Shown[];
  id: string;
  url(artifact: KeptArtifact): string;
  onMove(id: string): void;
  onClose(): void;
}

/** One artifact large. Arrow keys go to the others, Escape closes; the focus goes back to where it was. */
function Viewer(props: ViewerProps): JSX.Element {
  const at = (): number => props.artifacts.findIndex(({ id }) => id === props.id);
  const one = (): Shown | undefined => props.artifacts[at()];
  const move = (step: number): void => {
    const next = props.artifacts[at() + step];
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
      onClose={() => props.onClose()}
      onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}
    >
      <header class="viewer-head">
        <h2 class="viewer-name">{one()?.name}</h2>
        <p class="viewer-facts">
          <Show when={one()}>{(artifact) => factsOf(artifact())}</Show>
        </p>
        <Show when={props.artifacts.length > 1}>
          <Step icon="chevron" back name="Previous" enabled={at() > 0} onStep={() => move(-1)} />
          <Step
            icon="chevron"
            name="Next"
            enabled={at() < props.artifacts.length - 1}
            onStep={() => move(1)}
          />
        </Show>
        <Show when={one()}>
          {(artifact) => (
            <a
              class="icon-button"
              href={props.url(artifact())}
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
        {one()?.name}, {at() + 1} of {plural(props.artifacts.length, "artifact")}
      </p>
      <div class="viewer-body">
        <Show when={one()} keyed>
          {(artifact) => (
            <Switch>
              <Match when={artifact.kind === "picture" && artifact}>
                {(picture) => <LargePicture picture={picture()} url={props.url(artifact)} />}
              </Match>
              <Match when={artifact.kind === "text"}>
                <StoredText url={props.url(artifact)} />
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

function LargePicture(props: {
  picture: Extract<KeptArtifact, { kind: "picture" }>;
  url: string;
}): JSX.Element {
  const [failed, setFailed] = createSignal(false);
  return (
    <Show when={!failed()} fallback={<p class="is-quiet">The picture cannot be loaded now.</p>}>
      <img
        class="viewer-picture"
        src={props.url}
        alt={props.picture.name}
        width={props.picture.width}
        height={props.picture.height}
        onError={() => setFailed(true)}
      />
    </Show>
  );
}

function factsOf(artifact: Shown): string {
  const size = formatBytes(artifact.bytes);
  const extent = artifact.kind === "picture" ? `${artifact.width}×${artifact.height} · ` : "";
  return `${extent}${size} · from ${artifact.from}`;
}
