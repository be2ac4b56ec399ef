/**
 * The artifacts of a session as small pictures and tiles; each opens large, over the page. Loaded when a session has some. Everything
 * comes from the session's own deployment.
 */
import { createMemo, createSignal, For, type JSX, Show } from "solid-js";
import { Artifacts } from "../artifact-source.js";
import { joinEarlier } from "../history.js";
import { type KeptArtifact, keptArtifacts } from "../kept-artifacts.js";
import type { Session } from "../session-store.js";
import { ArtifactPicture } from "./artifact-picture.jsx";
import { ArtifactViewer, isShown } from "./artifact-viewer.jsx";
import { Icon, type IconName, Spinner } from "./icons.jsx";

export function ArtifactShelf(props: { session: Session }): JSX.Element {
  const [open, setOpen] = createSignal<string>();
  const kept = createMemo(() => artifactsOf(props.session));
  return (
    <Artifacts.Provider value={props.session.artifacts}>
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
                  when={isShown(one)}
                  fallback={
                    <a
                      class="shelf-item"
                      href={props.session.artifacts.url(one.id)}
                      target="_blank"
                      rel="noopener"
                      download={one.kind === "file" ? one.name : undefined}
                      title={`${one.name}, ${one.kind === "file" ? "from " : ""}${one.from}`}
                    >
                      <Tile artifact={one} />
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
                    <Tile artifact={one} />
                  </button>
                </Show>
              </li>
            )}
          </For>
        </ul>
        <ArtifactViewer artifacts={kept()} id={open()} onMove={setOpen} />
      </section>
    </Artifacts.Provider>
  );
}

/** All that is known of the session, earlier pages included. */
export function artifactsOf(session: Session): KeptArtifact[] {
  const now = session.state.snapshot;
  if (now === null) return [];
  const { prompts, items } = joinEarlier(session.history.earlier, now);
  return keptArtifacts(prompts, items, now.participants, now.artifacts);
}

const ICONS: Record<Exclude<KeptArtifact["kind"], "picture">, IconName> = {
  text: "file",
  file: "file",
  output: "terminal",
};

function Tile(props: { artifact: KeptArtifact }): JSX.Element {
  const icon = (): IconName => {
    const { kind } = props.artifact;
    return kind === "picture" ? "camera" : ICONS[kind];
  };
  return (
    <>
      <span class="shelf-tile">
        <Show when={props.artifact.kind === "picture"} fallback={<Icon name={icon()} size={20} />}>
          <ArtifactPicture id={props.artifact.id} alt="" lazy fallback={<Icon name={icon()} size={20} />} />
        </Show>
      </span>
      <span class="shelf-name">{props.artifact.name}</span>
      <Show when={props.artifact.kind === "output"}>
        <span class="visually-hidden">, {props.artifact.from}, opens in a new tab</span>
      </Show>
      <Show when={props.artifact.kind === "file"}>
        <span class="visually-hidden">, download</span>
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
