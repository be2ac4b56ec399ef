/** One turn: its prompt, its rows as they come, what it is doing now, and how it ended. */
import type {
  Artifact,
  Item,
  Participant,
  Prompt,
  SandboxStatus,
  SessionSnapshot,
  Turn,
} from "@farhand/protocol";
import { createMemo, For, type JSX, Show } from "solid-js";
import { formatDuration } from "../format.js";
import { artifactOf, foldRows, type Row } from "../timeline.js";
import { LineCounts } from "./fold-row.jsx";
import { Icon, Spinner } from "./icons.jsx";
import { ExploredRow, type Folds, ItemView, NoticeLine } from "./item-view.jsx";
import { PromptCard } from "./prompt-card.jsx";
import { PullRequestCard } from "./pull-request-card.jsx";

export interface TurnViewProps {
  turn: Turn;
  prompt: Prompt | undefined;
  items: Item[];
  snapshot: SessionSnapshot;
  /** Whether its end was asked for. */
  stopping: boolean;
  folds: Folds;
}

export function TurnView(props: TurnViewProps): JSX.Element {
  const live = (): boolean => props.turn.end === undefined;
  const rows = createMemo<Row[]>((before) => keepRows(before, foldRows(props.items)), []);
  const person = (id: string): Participant | undefined =>
    props.snapshot.participants.find((one) => one.userId === id);
  const ofThisTurn = (artifact: Artifact["turnId"] | undefined): boolean => artifact === props.turn.id;
  const pullRequest = createMemo(() => {
    const found = artifactOf(props.snapshot, "pull_request");
    return ofThisTurn(found?.turnId) ? found?.content : undefined;
  });
  return (
    <section class="turn" aria-label={live() ? "Running turn" : "Turn"}>
      <Show
        when={props.turn.attempt === 1}
        fallback={
          <NoticeLine level="warning" text={`Attempt ${props.turn.attempt}: the one before was lost.`} />
        }
      >
        <Show when={props.prompt}>
          {(prompt) => <PromptCard prompt={prompt()} author={person(prompt().author)} />}
        </Show>
      </Show>
      <div class="turn-rows">
        <For each={rows()}>
          {(row) => (
            <Show
              when={row.type === "item" && row}
              fallback={
                <ExploredRow
                  id={row.id}
                  items={(row as Extract<Row, { type: "explored" }>).items}
                  live={live()}
                  folds={props.folds}
                />
              }
            >
              {(one) => <ItemView item={one().item} live={live()} folds={props.folds} />}
            </Show>
          )}
        </For>
        <Show when={live() && !showsItsWork(props.items)}>
          <ActivityLine text={props.stopping ? "Stopping" : waitingFor(props.snapshot.sandbox)} />
        </Show>
        <TurnFoot turn={props.turn} />
        <Show when={pullRequest()}>
          {(content) => (
            <PullRequestCard
              pullRequest={content()}
              authorName={person(content().author)?.name ?? "a participant"}
              size={artifactOf(props.snapshot, "branch")?.content.change}
            />
          )}
        </Show>
      </div>
    </section>
  );
}

/** What goes on while there is nothing to read yet. */
export function ActivityLine(props: { text: string }): JSX.Element {
  return (
    <p class="activity">
      <Spinner />
      <span>{props.text}…</span>
    </p>
  );
}

/** In words, what a prompt or turn waits for. */
export function waitingFor(sandbox: SandboxStatus): string {
  if (sandbox.state === "starting") return `Starting the sandbox: ${sandbox.step}`;
  if (sandbox.state === "ready") return "Working";
  return "Waiting for a sandbox";
}

function TurnFoot(props: { turn: Turn }): JSX.Element {
  const end = () => props.turn.end;
  const duration = (): string => formatDuration((end()?.endedAt ?? 0) - props.turn.startedAt);
  const failure = (): string | undefined => {
    const outcome = end()?.outcome;
    return outcome?.type === "failed" ? outcome.reason : undefined;
  };
  return (
    <Show when={end()}>
      {(ended) => (
        <>
          <Show when={failure()}>
            {(reason) => (
              <div class="failure" role="alert">
                <Icon name="alert" size={16} />
                <div>
                  <strong>The turn failed</strong>
                  <p>{reason()}</p>
                </div>
              </div>
            )}
          </Show>
          <p class="turn-foot">
            <span>
              {ended().outcome.type === "stopped" ? "Stopped after" : "Took"} {duration()}
            </span>
            <Show when={ended().change}>
              {(change) => (
                <>
                  <span class="dot">·</span>
                  <span class="mono" title={change().commit}>
                    {change().commit.slice(0, 7)}
                  </span>
                  <span class="turn-subject">{change().subject}</span>
                  <LineCounts additions={change().additions} deletions={change().deletions} />
                </>
              )}
            </Show>
          </p>
        </>
      )}
    </Show>
  );
}

/** Whether the last item moves by itself, so that no line has to say that work goes on. */
function showsItsWork(items: readonly Item[]): boolean {
  const content = items.at(-1)?.content;
  if (content === undefined) return false;
  if (content.type === "text" || content.type === "reasoning") return !content.done && content.text !== "";
  return content.type === "tool" && content.state.type === "running";
}

/** Rows that say the same as before stay the same objects, so that their views stay. */
function keepRows(before: readonly Row[], now: Row[]): Row[] {
  return now.map((row, index) => {
    const old = before[index];
    if (old === undefined || old.type !== row.type || old.id !== row.id) return row;
    if (old.type === "item" && row.type === "item") return old.item === row.item ? old : row;
    if (old.type === "explored" && row.type === "explored") {
      const same =
        old.items.length === row.items.length && old.items.every((item, at) => item === row.items[at]);
      return same ? old : row;
    }
    return row;
  });
}
