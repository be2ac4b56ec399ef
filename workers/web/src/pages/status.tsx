/** How the deployment is at this moment, for those who run it: bridge, sessions and repositories; asked again every ten seconds. */
import type { Reason, Replica, RepositoryLoad, SessionLoad } from "@farhand/protocol";
import { formatDuration, Icon, plural } from "@farhand/session-view";
import { For, type JSX, Match, onCleanup, onMount, Show, Switch } from "solid-js";
import { api } from "../api.js";
import { Section, Sheet } from "../components/parts.jsx";
import {
  backlogText,
  failing,
  outboxText,
  queueText,
  reasonName,
  replicaStanding,
  replicaText,
  repositoryStanding,
  repositoryText,
  wholeStanding,
} from "../deployment-status.js";
import { createFresh } from "../fresh.js";
import type { Standing } from "../repository-status.js";
import { followLink } from "../router.js";
import { clockText } from "../words.js";
import "../styles/sheet.css";

const AGAIN_MS = 10_000;

export default function Status(props: { onRail(): void }): JSX.Element {
  const fresh = createFresh((signal) => api.status(signal), AGAIN_MS);
  onMount(() => {
    document.title = "Status · Farhand";
  });
  onCleanup(() => {
    document.title = "Farhand";
  });
  return (
    <Sheet
      title="Status"
      onRail={props.onRail}
      aside={
        <Show when={fresh.value()}>
          {(status) => <span class="quiet">as of {clockText(status().at)}</span>}
        </Show>
      }
    >
      <Show when={fresh.failure()}>
        {(failure) => (
          <Show
            when={failure().code !== "forbidden"}
            fallback={<p class="rows-none">How this deployment is, is shown to those who run it.</p>}
          >
            <p class="form-error" role="alert">
              <Icon name="alert" size={14} />
              <span>{failure().message}</span>
              <button type="button" class="text-button" onClick={fresh.again}>
                Try again
              </button>
            </p>
          </Show>
        )}
      </Show>
      <Switch>
        <Match when={fresh.value()}>
          {(status) => (
            <>
              <p class={`sheet-text standing is-${wholeStanding(status()).tone}`} role="status">
                {wholeStanding(status()).text}
              </p>
              <Show when={status().reasons.length > 0}>
                <Section title="Edge">
                  <Reasons of="Edge" reasons={status().reasons} />
                </Section>
              </Show>
              <Section
                title="Sandbox bridge"
                text="The common address, and the replicas that sessions are connected to."
              >
                <ul class="rows" aria-label="Replicas">
                  <For each={status().replicas}>
                    {(replica) => <ReplicaRow replica={replica} now={status().at} />}
                  </For>
                </ul>
              </Section>
              <Section
                title="Sessions"
                text={`${status().sessions.running} running, ${status().sessions.failed} whose last turn failed, ${status().sessions.idle} at rest.`}
              >
                <ul class="rows" aria-label="Sessions">
                  <Line name="Queue" detail={queueText(status().sessions)} />
                  <Line
                    name="Outbox"
                    detail={outboxText(status().sessions)}
                    standing={
                      failing(status().sessions).length > 0
                        ? { tone: "warning", text: "behind" }
                        : { tone: "ok", text: "keeps up" }
                    }
                  />
                  <Show when={status().sessions.silent > 0}>
                    <Line
                      name="No answer"
                      detail={`${plural(status().sessions.silent, "session")} did not say how ${status().sessions.silent === 1 ? "it is" : "they are"}`}
                      standing={{ tone: "error", text: "silent" }}
                    />
                  </Show>
                  <For each={failing(status().sessions)}>{(load) => <SessionRow load={load} />}</For>
                </ul>
              </Section>
              <Section
                title="Repositories"
                text="Image, warm sandboxes, and whether the provider is left alone for a while."
              >
                <ul class="rows" aria-label="Repositories">
                  <For
                    each={status().repositories}
                    fallback={<li class="rows-none">Nobody has worked in any repository yet.</li>}
                  >
                    {(load) => <RepositoryRow load={load} now={status().at} />}
                  </For>
                </ul>
              </Section>
            </>
          )}
        </Match>
        <Match when={fresh.failure() === undefined}>
          <div class="skeleton" aria-hidden="true">
            {Array.from({ length: 6 }, () => (
              <span />
            ))}
          </div>
        </Match>
      </Switch>
    </Sheet>
  );
}

function Reasons(props: { of: string; reasons: Reason[] }): JSX.Element {
  return (
    <ul class="rows" aria-label={`What keeps it from working: ${props.of}`}>
      <For each={props.reasons}>
        {(reason) => (
          <Line
            name={reasonName(reason.code)}
            detail={reason.message}
            standing={{ tone: "error", text: "missing" }}
          />
        )}
      </For>
    </ul>
  );
}

function Line(props: { name: string; detail: string; standing?: Standing }): JSX.Element {
  return (
    <li class="row">
      <span class="row-text">
        <span class="row-name">{props.name}</span>
        <span class="row-detail">{props.detail}</span>
      </span>
      <Show when={props.standing}>
        {(standing) => <span class={`row-standing standing is-${standing().tone}`}>{standing().text}</span>}
      </Show>
    </li>
  );
}

function ReplicaRow(props: { replica: Replica; now: number }): JSX.Element {
  const since = () => {
    const startedAt = props.replica.status?.startedAt;
    return startedAt === undefined ? "" : ` · up for ${formatDuration(props.now - startedAt)}`;
  };
  return (
    <li class="row">
      <span class="row-text">
        <span class="row-name">{props.replica.url}</span>
        <span class="row-detail">
          {replicaText(props.replica)}
          {since()}
        </span>
        <For each={props.replica.status?.reasons ?? []}>
          {(reason) => (
            <span class="row-reason">
              {reasonName(reason.code)}: {reason.message}
            </span>
          )}
        </For>
      </span>
      <span class={`row-standing standing is-${replicaStanding(props.replica).tone}`}>
        {replicaStanding(props.replica).text}
      </span>
    </li>
  );
}

function SessionRow(props: { load: SessionLoad }): JSX.Element {
  return (
    <li>
      <a class="row is-link" href={`/sessions/${props.load.sessionId}`} onClick={followLink}>
        <span class="row-text">
          <span class="row-name">{props.load.sessionId}</span>
          <span class="row-detail">{backlogText(props.load)}</span>
        </span>
        <span class="row-standing standing is-warning">tried again</span>
        <Icon name="chevron" size={13} />
      </a>
    </li>
  );
}

function RepositoryRow(props: { load: RepositoryLoad; now: number }): JSX.Element {
  const standing = () => repositoryStanding(props.load, props.now);
  return (
    <li>
      <a class="row is-link" href={`/repositories/${props.load.repository}`} onClick={followLink}>
        <span class="row-text">
          <span class="row-name">{props.load.repository}</span>
          <span class="row-detail">{repositoryText(props.load)}</span>
          <Show when={props.load.status?.pause}>
            {(pause) => (
              <span class="row-reason">
                The provider is left alone until {clockText(pause().until)}: {pause().reason}
              </span>
            )}
          </Show>
        </span>
        <span class={`row-standing standing is-${standing().tone}`}>{standing().text}</span>
        <Icon name="chevron" size={13} />
      </a>
    </li>
  );
}
