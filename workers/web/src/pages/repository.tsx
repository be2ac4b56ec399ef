/** One repository: its image and warm pool, builds with their logs, what was set for it, and what tells it apart in Slack. */
import type { RepositoryId, RepositoryStatus } from "@farhand/protocol";
import { CopyButton, formatBytes, Icon, Spinner } from "@farhand/session-view";
import { createEffect, createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import { messageOf } from "../account.js";
import { api } from "../api.js";
import { Builds } from "../components/builds.jsx";
import { Await, Section, Sheet } from "../components/parts.jsx";
import { RecipeFacts } from "../components/recipe-facts.jsx";
import { RepositoryHintsForm } from "../components/repository-hints.jsx";
import { RepositorySettings } from "../components/repository-settings.jsx";
import { createLoad, noteFailure } from "../load.js";
import { ageText, fetchStatus, imageStanding, poolText } from "../repository-status.js";
import { followLink } from "../router.js";
import { dateText } from "../words.js";
import "../styles/sheet.css";

/** How often a state that changes is asked for while somebody looks. */
const REFRESH_EVERY_MS = 5000;

export default function Repository(props: { repository: RepositoryId; onRail(): void }): JSX.Element {
  const status = createLoad(() => fetchStatus(props.repository));
  onMount(() => {
    document.title = `${props.repository} · Farhand`;
  });
  onCleanup(() => {
    document.title = "Farhand";
  });
  const timer = setInterval(() => {
    if (document.visibilityState === "visible" && status.now().state === "ready") void status.again();
  }, REFRESH_EVERY_MS);
  onCleanup(() => clearInterval(timer));
  return (
    <Sheet
      title={props.repository}
      above={
        <a class="way-back" href="/repositories" onClick={followLink}>
          <Icon name="chevron" size={13} />
          Repositories
        </a>
      }
      onRail={props.onRail}
    >
      <Await load={status} lines={4}>
        {(now) => (
          <Show when={now()} fallback={<NotYet />}>
            {(known) => <Facts repository={props.repository} status={known()} again={status.again} />}
          </Show>
        )}
      </Await>
      <RepositoryHintsForm repository={props.repository} />
    </Sheet>
  );
}

function NotYet(): JSX.Element {
  return (
    <Section
      title="Image"
      text="Nobody has worked on this repository yet. Its first image is built when its first session starts."
    >
      <a class="button is-primary" href="/new" onClick={followLink}>
        <Icon name="plus" size={16} />
        New session
      </a>
    </Section>
  );
}

function Facts(props: {
  repository: RepositoryId;
  status: RepositoryStatus;
  again(): Promise<void>;
}): JSX.Element {
  return (
    <>
      <Section title="Image">
        <dl class="facts">
          <dt>State</dt>
          <dd>
            <span class={`standing is-${imageStanding(props.status, Date.now()).tone}`}>
              {imageStanding(props.status, Date.now()).text}
            </span>
          </dd>
          <Show when={props.status.image}>
            {(image) => (
              <>
                <dt>Commit</dt>
                <dd class="mono">
                  {image().origin.commit.slice(0, 12)}
                  <CopyButton text={image().origin.commit} label="Copy the commit" />
                </dd>
                <dt>Built</dt>
                <dd>
                  {ageText(image().builtAt, Date.now())}, {formatBytes(image().sizeBytes)}
                </dd>
              </>
            )}
          </Show>
          <dt>Next build</dt>
          <dd>{dateText(props.status.nextBuildAt)}</dd>
          <dt>Warm pool</dt>
          <dd>{poolText(props.status)}</dd>
        </dl>
        <Show when={props.status.pause}>
          {(pause) => (
            <p class="form-error" role="alert">
              <Icon name="alert" size={14} />
              <span>
                Nothing is asked of the provider until {dateText(pause().until)}: {pause().reason}
              </span>
            </p>
          )}
        </Show>
        <BuildNow repository={props.repository} status={props.status} again={props.again} />
      </Section>
      <Section title="Builds" text="Newest first.">
        <Builds repository={props.repository} builds={props.status.builds} />
      </Section>
      <RecipeFacts status={props.status} />
      <RepositorySettings repository={props.repository} status={props.status} again={props.again} />
    </>
  );
}

function BuildNow(props: {
  repository: RepositoryId;
  status: RepositoryStatus;
  again(): Promise<void>;
}): JSX.Element {
  const [asked, setAsked] = createSignal(false);
  const [error, setError] = createSignal<string | null>(null);
  const runs = (): boolean => props.status.builds[0]?.endedAt === undefined && props.status.builds.length > 0;
  createEffect(() => runs() && setAsked(false));
  const build = async (): Promise<void> => {
    setAsked(true);
    setError(null);
    try {
      await api.build(props.repository);
      await props.again();
    } catch (cause) {
      noteFailure(cause);
      setError(messageOf(cause));
    }
    setAsked(false);
  };
  return (
    <div class="form-foot">
      <button type="button" class="button" disabled={asked() || runs()} onClick={() => void build()}>
        <Show when={asked() || runs()}>
          <Spinner />
        </Show>
        {runs() ? "A build runs" : "Build now"}
      </button>
      <Show when={error()}>
        {(message) => (
          <span class="form-state is-error" role="alert">
            {message()}
          </span>
        )}
      </Show>
    </div>
  );
}
