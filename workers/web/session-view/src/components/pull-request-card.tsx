/** The pull request that a session has opened: title, number, author, size, and the one thing to do with it. */
import type { ArtifactContent } from "@farhand/protocol";
import { type JSX, Show } from "solid-js";
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

export function PullRequestCard(props: PullRequestCardProps): JSX.Element {
  const href = (): string | null => allowedHref(props.pullRequest.url);
  return (
    <section class="pull-card" aria-label={`Pull request ${props.pullRequest.number}`}>
      <Icon name="pull" size={18} class="pull-icon" />
      <div class="pull-text">
        <p class="pull-title" title={props.pullRequest.title}>
          {props.pullRequest.title} <span class="pull-number">#{props.pullRequest.number}</span>
        </p>
        <p class="pull-meta">
          opened as <strong>{props.authorName}</strong>
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
