/** The builds of a repository: how each ended, and on request its log, which grows while the build runs. */
import type { BuildDescription, RepositoryId } from "@farhand/protocol";
import { Icon, type IconName, Output, Spinner } from "@farhand/session-view";
import { createEffect, createSignal, For, type JSX, on, onCleanup, Show } from "solid-js";
import { createStore, reconcile } from "solid-js/store";
import { messageOf } from "../account.js";
import { api } from "../api.js";
import { noteFailure } from "../load.js";
import { ageText, buildStanding, type Tone } from "../repository-status.js";

/** How often a log that grows is asked for. */
const LOG_EVERY_MS = 1500;

const ICONS: Record<Tone, IconName> = { ok: "check", warning: "clock", error: "cross", quiet: "dash" };

export function Builds(props: {
  repository: RepositoryId;
  builds: readonly BuildDescription[];
}): JSX.Element {
  // The same build stays the same row, so that an open log stays open while the state is asked for again.
  const [state, setState] = createStore<{ builds: BuildDescription[] }>({ builds: [] });
  createEffect(() => setState("builds", reconcile([...props.builds], { key: "buildId" })));
  return (
    <ul class="rows" aria-label="Builds">
      <For each={state.builds} fallback={<li class="rows-none">No build yet.</li>}>
        {(build) => <BuildRow repository={props.repository} build={build} />}
      </For>
    </ul>
  );
}

function BuildRow(props: { repository: RepositoryId; build: BuildDescription }): JSX.Element {
  const [open, setOpen] = createSignal(false);
  const standing = () => buildStanding(props.build);
  const reason = (): string | undefined => {
    const { outcome } = props.build;
    return outcome?.type === "failed" ? outcome.reason : undefined;
  };
  return (
    <li>
      <button type="button" class="row is-link" aria-expanded={open()} onClick={() => setOpen(!open())}>
        <Show when={props.build.outcome !== undefined} fallback={<Spinner label="runs" />}>
          <Icon name={ICONS[standing().tone]} class={`standing is-${standing().tone}`} />
        </Show>
        <span class="row-text">
          <span class="row-name">{standing().text}</span>
          <Show when={reason()}>{(text) => <span class="row-reason">{text()}</span>}</Show>
        </span>
        <span class="row-detail">{ageText(props.build.startedAt, Date.now())}</span>
        <Icon name="chevron" size={13} class="fold-chevron" />
      </button>
      <Show when={open()}>
        <BuildLog repository={props.repository} build={props.build} />
      </Show>
    </li>
  );
}

function BuildLog(props: { repository: RepositoryId; build: BuildDescription }): JSX.Element {
  const [text, setText] = createSignal("");
  const [error, setError] = createSignal<string | null>(null);
  const stop = new AbortController();
  let from = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const read = async (): Promise<void> => {
    clearTimeout(timer);
    const runs = props.build.outcome === undefined;
    try {
      const piece = await api.buildLog(props.repository, props.build.buildId, from, stop.signal);
      if (piece.text !== "") setText((before) => before + piece.text);
      from = Math.max(from, piece.end);
      setError(null);
    } catch (cause) {
      if (stop.signal.aborted) return;
      noteFailure(cause);
      setError(messageOf(cause));
    }
    if (runs && !stop.signal.aborted) timer = setTimeout(() => void read(), LOG_EVERY_MS);
  };
  // Once more when it has ended, for its last words.
  createEffect(
    on(
      () => props.build.outcome === undefined,
      () => void read(),
    ),
  );
  onCleanup(() => {
    stop.abort();
    clearTimeout(timer);
  });
  return (
    <div class="build-log">
      <Show when={error()}>
        {(message) => (
          <p class="form-error" role="alert">
            {message()}
          </p>
        )}
      </Show>
      <Show when={text() !== ""} fallback={<p class="rows-none">It has said nothing.</p>}>
        <Output text={text()} omittedBytes={0} artifactId={undefined} />
      </Show>
    </div>
  );
}
