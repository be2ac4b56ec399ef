/** One turn: its prompt, its rows as they come, what it is doing now, and how it ended. */
import type {
  Artifact,
  HoldKind,
  Item,
  Participant,
  Prompt,
  SandboxStatus,
  SessionSnapshot,
  Turn,
} from "@farhand/protocol";
import { createMemo, For, type JSX, lazy, Match, Show, Suspense, Switch } from "solid-js";
import { filesByStep } from "../artifacts.js";
import { formatDuration } from "../format.js";
import { artifactOf, type Row, turnRows } from "../timeline.js";
import { LineCounts } from "./fold-row.jsx";
import { Icon, Spinner } from "./icons.jsx";
import { ItemMore } from "./item-more.jsx";
import { ExploredRow, type Folds, ItemView, NoticeLine } from "./item-view.jsx";
import { PromptCard } from "./prompt-card.jsx";
import { PullRequestCard } from "./pull-request-card.jsx";

// Most turns bring none.
const RowFiles = lazy(async () => ({ default: (await import("./row-files.jsx")).RowFiles }));

export interface TurnViewProps {
  turn: Turn;
  prompt: Prompt | undefined;
  /** Whether no other attempt at its prompt is shown above. */
  first: boolean;
  items: readonly Item[];
  /** Prompts that it took up while it ran, in the order of submission. */
  steered: readonly Prompt[];
  snapshot: SessionSnapshot;
  folds: Folds;
}

export function TurnView(props: TurnViewProps): JSX.Element {
  const live = (): boolean => props.turn.end === undefined;
  const rows = createMemo<Row[]>((before) => keepRows(before, turnRows(props.items, props.steered)), []);
  const person = (id: string | undefined): Participant | undefined =>
    props.snapshot.participants.find((one) => one.userId === id);
  const stopping = (): string | undefined =>
    props.turn.stopRequestedBy === undefined
      ? undefined
      : `Stopping, asked by ${person(props.turn.stopRequestedBy)?.name ?? "somebody"}`;
  const files = createMemo(() => filesByStep(props.snapshot.artifacts, props.turn.id));
  const ofThisTurn = (artifact: Artifact["turnId"] | undefined): boolean => artifact === props.turn.id;
  const pullRequest = createMemo(() => {
    const found = artifactOf(props.snapshot, "pull_request");
    return ofThisTurn(found?.turnId) ? found?.content : undefined;
  });
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for controls
    <section
      class="turn"
      role="group"
      aria-label={live() ? "Running turn" : "Turn"}
      data-things={props.turn.id}
    >
      <Show when={props.first && props.prompt}>
        {(prompt) => <PromptCard prompt={prompt()} people={props.snapshot.participants} />}
      </Show>
      <Show when={props.turn.attempt > 1}>
        <NoticeLine level="warning" text={`Attempt ${props.turn.attempt}: the one before was lost.`} />
      </Show>
      <div class="turn-rows">
        <For each={rows()}>
          {(row) => (
            <RowView
              row={row}
              live={live()}
              folds={props.folds}
              people={props.snapshot.participants}
              files={files()}
            />
          )}
        </For>
        <FilesOf files={files().get("")} of="turn" />
        <Show when={live() && !showsItsWork(props.items)}>
          <ActivityLine text={stopping() ?? waitingFor(props.snapshot.sandbox)} />
        </Show>
        <TurnFoot
          turn={props.turn}
          trace={props.prompt?.traceparent}
          stoppedBy={person(props.turn.stopRequestedBy)?.name}
        />
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

function FilesOf(props: { files: readonly Artifact[] | undefined; of: "step" | "turn" }): JSX.Element {
  return (
    <Show when={props.files?.length ? props.files : undefined}>
      {(files) => (
        <Suspense>
          <RowFiles files={files()} of={props.of} />
        </Suspense>
      )}
    </Show>
  );
}

interface RowViewProps {
  row: Row;
  live: boolean;
  folds: Folds;
  people: readonly Participant[];
  /** Of the turn, by step. */
  files: ReadonlyMap<string, readonly Artifact[]>;
}

function RowView(props: RowViewProps): JSX.Element {
  const of = <T extends Row["type"]>(type: T) =>
    props.row.type === type ? (props.row as Extract<Row, { type: T }>) : undefined;
  const things = (): string =>
    props.row.type === "explored" ? props.row.items.map(({ id }) => id).join(" ") : props.row.id;
  const files = createMemo(() =>
    props.files.size === 0
      ? []
      : things()
          .split(" ")
          .flatMap((id) => props.files.get(id) ?? []),
  );
  return (
    <Show
      when={of("prompt")}
      fallback={
        <div class="row-frame" data-things={things()}>
          <Switch>
            <Match when={of("item")}>
              {(one) => <ItemView item={one().item} live={props.live} folds={props.folds} />}
            </Match>
            <Match when={of("explored")}>
              {(one) => (
                <ExploredRow id={one().id} items={one().items} live={props.live} folds={props.folds} />
              )}
            </Match>
          </Switch>
          <FilesOf files={files()} of="step" />
          <ItemMore id={props.row.id} of={nameOf(props.row)} />
        </div>
      }
    >
      {(one) => <PromptCard prompt={one().prompt} people={props.people} steered />}
    </Show>
  );
}

/** What a row is called where it is spoken of. */
function nameOf(row: Row): string {
  if (row.type !== "item") return "step";
  return row.item.content.type === "text" ? "answer" : "step";
}

const HOLDS: Record<HoldKind, string> = {
  budget: "a budget",
  time: "its time limit",
  loop: "the loop detector",
  halt: "an operator",
  slots: "a limit on what works at once",
  unknown: "a limit",
};

function TurnFoot(props: {
  turn: Turn;
  /** The `traceparent` of its prompt. */
  trace: string | undefined;
  stoppedBy: string | undefined;
}): JSX.Element {
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
                  <Show when={props.trace?.split("-")[1]}>
                    {(id) => (
                      <p class="failure-trace">
                        Whoever runs Farhand finds more under <code>{id()}</code>
                      </p>
                    )}
                  </Show>
                </div>
              </div>
            )}
          </Show>
          <p class="turn-foot">
            <span>
              {ended().held !== undefined
                ? `Stopped by ${HOLDS[ended().held?.kind ?? "unknown"]} after`
                : ended().outcome.type !== "stopped"
                  ? "Took"
                  : props.stoppedBy === undefined
                    ? "Stopped after"
                    : `Stopped by ${props.stoppedBy} after`}{" "}
              {duration()}
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
    if (old.type === "prompt" && row.type === "prompt") return old.prompt === row.prompt ? old : row;
    return row;
  });
}
