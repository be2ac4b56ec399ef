/** The pull request that a session has opened: title, number, author, size, and the one thing to do with it. */
import type { ArtifactContent, Check, CheckState, PullState } from "@farhand/protocol";
import { For, type JSX, Show } from "solid-js";
import { plural } from "../format.js";
import { allowedHref } from "../markdown/nodes.js";
import { LineCounts } from "./fold-row.jsx";
import { Icon } from "./icons.jsx";

export interface PullRequestCardProps {
  pullRequest: Extract<ArtifactContent, { type: "pull_request" }>;
  authorName: string;
  /** Of the branch as it is; absent while it is not known. */
  size: { filesChanged: number; additions: number; deletions: number } | undefined;
}

const states: Record<PullState, string> = {
  open: "Open",
  closed: "Closed",
  merged: "Merged",
  unknown: "Changed",
};
const outcomes: Record<CheckState, string> = {
  pending: "running",
  passed: "passed",
  failed: "failed",
  skipped: "skipped",
  unknown: "unknown",
};

/** The failed ones first: they are why somebody looks. */
function inOrder(checks: readonly Check[]): Check[] {
  const rank: Record<CheckState, number> = { failed: 0, pending: 1, unknown: 2, passed: 3, skipped: 4 };
  return [...checks].sort((one, other) => rank[one.state] - rank[other.state]);
}

function PullChecks(props: { checks: readonly Check[] }): JSX.Element {
  return (
    <ul class="pull-checks" aria-label="Checks">
      <For each={inOrder(props.checks)}>
        {(check) => (
          <li class={`pull-check is-${check.state}`}>
            <Show when={allowedHref(check.url)} fallback={<span>{check.name}</span>}>
              {(address) => (
                <a href={address()} target="_blank" rel="noopener noreferrer">
                  {check.name}
                </a>
              )}
            </Show>{" "}
            {outcomes[check.state]}
          </li>
        )}
      </For>
    </ul>
  );
}

export function PullRequestCard(props: PullRequestCardProps): JSX.Element {
  const href = (): string | null => allowedHref(props.pullRequest.url);
  const progress = () => props.pullRequest.progress;
  return (
    <section class="pull-card" aria-label={`Pull request ${props.pullRequest.number}`}>
      <Icon name="pull" size={18} class="pull-icon" />
      <div class="pull-text">
        <p class="pull-title" title={props.pullRequest.title}>
          {props.pullRequest.title} <span class="pull-number">#{props.pullRequest.number}</span>
        </p>
        <p class="pull-meta">
          <span class={`pull-state is-${progress()?.state ?? "open"}`}>
            {states[progress()?.state ?? "open"]}
          </span>
          <span class="dot">·</span>
          opened {progress()?.byApp ? "for" : "as"} <strong>{props.authorName}</strong>
          <span class="dot">·</span>
          into <span class="mono">{props.pullRequest.base}</span>
          <Show when={props.size}>
            {(size) => (
              <>
                <span class="dot">·</span>
                <LineCounts additions={size().additions} deletions={size().deletions} /> in{" "}
                {plural(size().filesChanged, "file")}
              </>
            )}
          </Show>
        </p>
        <Show when={progress()?.flagged}>
          {(files) => (
            <p class="pull-flagged">
              Look first at {files().join(", ")}: {files().length === 1 ? "it" : "they"} may run with secrets
              later, or decide who reviews.
            </p>
          )}
        </Show>
        <Show when={progress()?.checks}>{(checks) => <PullChecks checks={checks()} />}</Show>
      </div>
      <Show when={href()}>
        {(address) => (
          <a class="button is-primary pull-open" href={address()} target="_blank" rel="noopener noreferrer">
            Review
            <Icon name="external" size={14} />
          </a>
        )}
      </Show>
    </section>
  );
}
