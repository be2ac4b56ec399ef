/** Facts about a session: people, pull request, branch, sandbox, model, what it has used. */
import type { Budget, BudgetPeriod, BudgetScope, UserId } from "@farhand/protocol";
import { For, type JSX, Show } from "solid-js";
import { atOnceText, limitText, periodOf } from "../budgets.js";
import { formatCost, formatCount, formatDuration } from "../format.js";
import { allowedHref } from "../markdown/nodes.js";
import type { Session } from "../session-store.js";
import { artifactOf } from "../timeline.js";
import { CopyButton } from "./copy-button.jsx";
import { PeopleList } from "./people.jsx";
import { SandboxFacts } from "./sandbox-facts.jsx";

export function Details(props: { session: Session; me: UserId }): JSX.Element {
  const snapshot = () => props.session.state.snapshot;
  return (
    <Show when={snapshot()}>
      {(now) => (
        <div class="details">
          <section aria-label="Participants">
            <h3 class="group-label">Participants</h3>
            <PeopleList session={props.session} me={props.me} />
          </section>
          <section aria-label="Facts">
            <h3 class="group-label">Session</h3>
            <dl class="facts">
              <dt>Repository</dt>
              <dd class="mono">{now().session.repository}</dd>
              <dt>Branch</dt>
              <dd class="mono">
                <span class="facts-long">{now().session.branch}</span>
                <CopyButton text={now().session.branch} label="Copy branch name" />
              </dd>
              <Show when={artifactOf(now(), "pull_request")?.content}>
                {(pull) => (
                  <>
                    <dt>Pull request</dt>
                    <dd>
                      <a
                        href={allowedHref(pull().url) ?? undefined}
                        target="_blank"
                        rel="noopener noreferrer"
                      >
                        #{pull().number} into {pull().base}
                      </a>
                    </dd>
                  </>
                )}
              </Show>
              <dt>Model</dt>
              <dd class="mono">{now().session.model}</dd>
              <dt>Started</dt>
              <dd>
                {new Date(now().session.createdAt).toLocaleString(undefined, {
                  dateStyle: "medium",
                  timeStyle: "short",
                })}
              </dd>
            </dl>
          </section>
          <SandboxSection session={props.session} />
          <BudgetFacts budgets={now().budget?.budgets ?? []} />
          <UsageFacts session={props.session} />
        </div>
      )}
    </Show>
  );
}

function BudgetFacts(props: { budgets: readonly Budget[] }): JSX.Element {
  return (
    <Show when={props.budgets.length > 0}>
      <section aria-label="Budgets">
        <h3 class="group-label">Budgets</h3>
        <dl class="facts">
          <For each={props.budgets}>
            {(budget) => (
              <>
                <dt>{SCOPES[budget.scope]}</dt>
                <dd>
                  {[`${limitText(budget)}${timeOf(budget)}`, atOnceText(budget)].filter(Boolean).join(", ")}
                </dd>
              </>
            )}
          </For>
        </dl>
      </section>
    </Show>
  );
}

const SCOPES: Record<BudgetScope, string> = {
  session: "Session",
  user: "User",
  repository: "Repository",
  organisation: "Everybody",
  unknown: "Other",
};

const timeOf = (budget: Budget): string => TIMES[periodOf(budget) ?? "life"];

const TIMES: Record<BudgetPeriod, string> = { life: "", day: " today", month: " this month", unknown: "" };

function SandboxSection(props: { session: Session }): JSX.Element {
  const description = () => {
    const sandbox = props.session.state.snapshot?.sandbox;
    return sandbox?.state === "ready" ? sandbox.description : undefined;
  };
  return (
    <Show when={description()}>
      {(facts) => (
        <section aria-label="Sandbox">
          <h3 class="group-label">Sandbox</h3>
          <SandboxFacts description={facts()} />
        </section>
      )}
    </Show>
  );
}

function UsageFacts(props: { session: Session }): JSX.Element {
  const usage = () => props.session.state.snapshot?.usage;
  const firstToken = (): number | undefined =>
    props.session.state.snapshot?.turns.findLast((turn) => turn.end?.firstTokenMs !== undefined)?.end
      ?.firstTokenMs;
  return (
    <Show when={usage()}>
      {(sum) => (
        <section aria-label="Usage">
          <h3 class="group-label">Usage of ended turns</h3>
          <dl class="facts">
            <dt>Read</dt>
            <dd>
              {formatCount(sum().inputTokens)} tokens
              <Show when={sum().cachedTokens > 0}>, {formatCount(sum().cachedTokens)} from the cache</Show>
            </dd>
            <dt>Written</dt>
            <dd>{formatCount(sum().outputTokens)} tokens</dd>
            <Show when={formatCost(sum().costUsd)}>
              {(cost) => (
                <>
                  <dt>Cost</dt>
                  <dd>{cost()}</dd>
                </>
              )}
            </Show>
            <Show when={firstToken()}>
              {(ms) => (
                <>
                  <dt>First token</dt>
                  <dd>{formatDuration(ms())} after the agent had the last prompt</dd>
                </>
              )}
            </Show>
          </dl>
        </section>
      )}
    </Show>
  );
}
