/** One item of a turn: prose, reasoning, a tool call, the plan, a notice. Kinds of a newer runner say that they are not understood. */
import type { Item, ItemContent, PlanStepState } from "@farhand/protocol";
import { createMemo, For, type JSX, Match, Show, Switch } from "solid-js";
import { Markdown } from "../markdown/markdown.jsx";
import { own } from "../own.js";
import { exploredSummary, type ToolContent } from "../timeline.js";
import { FoldRow } from "./fold-row.jsx";
import { Icon, type IconName, Spinner } from "./icons.jsx";
import { ItemMore } from "./item-more.jsx";
import { ToolRow } from "./tool-row.jsx";

/** What people opened and closed, by row. */
export interface Folds {
  get(id: string): boolean | undefined;
  set(id: string, open: boolean): void;
}

type Of<T extends ItemContent["type"]> = Extract<ItemContent, { type: T }>;

export function ItemView(props: { item: Item; live: boolean; folds: Folds }): JSX.Element {
  const content = <T extends ItemContent["type"]>(type: T): Of<T> | undefined =>
    props.item.content.type === type ? (props.item.content as Of<T>) : undefined;
  return (
    <Switch
      fallback={<NoticeLine level="info" text="Something that this version of the client cannot show." />}
    >
      <Match when={content("text")}>
        {(text) => <Markdown text={text().text} done={text().done || !props.live} />}
      </Match>
      <Match when={content("reasoning")}>
        {(reasoning) => (
          <ReasoningRow id={props.item.id} reasoning={reasoning()} live={props.live} folds={props.folds} />
        )}
      </Match>
      <Match when={content("tool")}>
        {(tool) => (
          <ToolRow
            tool={tool()}
            live={props.live}
            open={props.folds.get(props.item.id)}
            onToggle={(open) => props.folds.set(props.item.id, open)}
          />
        )}
      </Match>
      <Match when={content("plan")}>
        {(plan) => <PlanRow id={props.item.id} plan={plan()} live={props.live} folds={props.folds} />}
      </Match>
      <Match when={content("notice")}>
        {(notice) => <NoticeLine level={notice().level} text={notice().text} />}
      </Match>
    </Switch>
  );
}

export function ExploredRow(props: { id: string; items: Item[]; live: boolean; folds: Folds }): JSX.Element {
  const running = (): boolean =>
    props.live &&
    props.items.some((item) => item.content.type === "tool" && item.content.state.type === "running");
  return (
    <FoldRow
      icon="search"
      running={running()}
      verb={running() ? "Exploring" : "Explored"}
      argument={exploredSummary(props.items)}
      open={props.folds.get(`${props.id}+`) === true}
      onToggle={(open) => props.folds.set(`${props.id}+`, open)}
      hasBody
    >
      <div class="fold-nested">
        <For each={props.items}>
          {(item) => (
            <div class="row-frame" data-things={item.id}>
              <ToolRow
                tool={item.content as ToolContent}
                live={props.live}
                open={props.folds.get(item.id)}
                onToggle={(open) => props.folds.set(item.id, open)}
              />
              <ItemMore id={item.id} of="step" />
            </div>
          )}
        </For>
      </div>
    </FoldRow>
  );
}

function ReasoningRow(props: {
  id: string;
  reasoning: Of<"reasoning">;
  live: boolean;
  folds: Folds;
}): JSX.Element {
  const running = (): boolean => props.live && !props.reasoning.done;
  const firstLine = createMemo(
    () => props.reasoning.text.trimStart().split("\n", 1)[0]?.replaceAll("*", "") ?? "",
  );
  return (
    <FoldRow
      icon="thought"
      running={running()}
      verb={running() ? "Thinking" : "Thought"}
      argument={firstLine()}
      open={props.folds.get(props.id) === true}
      onToggle={(open) => props.folds.set(props.id, open)}
      hasBody={props.reasoning.text.trim() !== ""}
    >
      <div class="reasoning">
        <Markdown text={props.reasoning.text} done={!running()} />
      </div>
    </FoldRow>
  );
}

function PlanRow(props: { id: string; plan: Of<"plan">; live: boolean; folds: Folds }): JSX.Element {
  const done = (): number => props.plan.steps.filter((step) => step.state === "done").length;
  return (
    <FoldRow
      icon="plan"
      verb="Plan"
      argument={`${done()} of ${props.plan.steps.length} done`}
      open={props.folds.get(props.id) ?? true}
      onToggle={(open) => props.folds.set(props.id, open)}
      hasBody={props.plan.steps.length > 0}
    >
      <ol class="well plan">
        <For each={props.plan.steps}>
          {(step) => (
            <li class={`plan-step is-${step.state}`}>
              <StepMark state={step.state} live={props.live} />
              <span>{step.text}</span>
            </li>
          )}
        </For>
      </ol>
    </FoldRow>
  );
}

const STEP_ICONS: Record<PlanStepState, IconName> = {
  pending: "circle",
  running: "circle",
  done: "check",
  cancelled: "dash",
  unknown: "circle",
};

function StepMark(props: { state: PlanStepState; live: boolean }): JSX.Element {
  return (
    <span class="plan-mark">
      <Show
        when={props.live && props.state === "running"}
        fallback={<Icon name={STEP_ICONS[props.state] ?? "circle"} />}
      >
        <Spinner />
      </Show>
      <span class="visually-hidden">{props.state}: </span>
    </span>
  );
}

const NOTICE_ICONS: Record<string, IconName> = { warning: "warning", error: "alert" };

/** One thin line that is not the agent's. */
export function NoticeLine(props: { level: string; text: string; children?: JSX.Element }): JSX.Element {
  return (
    <p class={`notice is-${props.level}`}>
      <Icon name={own(NOTICE_ICONS, props.level) ?? "info"} size={14} />
      <span>
        {props.text} {props.children}
      </span>
    </p>
  );
}
