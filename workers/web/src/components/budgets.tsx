/** For operators: how much may be spent on models, how many may work at once, and the switch that stops everything. */
import type { Budget, Budgets as BudgetList, BudgetRequest, BudgetScope, Halt } from "@farhand/protocol";
import {
  atOnceText,
  Icon,
  isFull,
  limitText,
  percentSpent,
  periodOf,
  plural,
  takenText,
  WARN_PERCENT,
} from "@farhand/session-view";
import { createSignal, For, type JSX, Show } from "solid-js";
import { api } from "../api.js";
import { createLoad, isConcealed } from "../load.js";
import { dateText } from "../words.js";
import { Confirm } from "./confirm.jsx";
import { Await, Field, Form, Section } from "./parts.jsx";

const DOLLAR = 1_000_000;
const MINUTE_MS = 60_000;

export function Budgets(): JSX.Element {
  const list = createLoad(() => api.budgets());
  const [removing, setRemoving] = createSignal<Budget | null>(null);
  return (
    <Show when={!isConcealed(list)}>
      <Section
        title="Budgets"
        text="What agents may spend on models, and how many may work at once. A budget that is used up stops the agent at its next call, and its session says so; prompts wait until it is raised or begins anew. Where as many sessions or sandboxes are at work as may be, the next prompt waits for its turn. Prices of models are the sandbox bridge's."
      >
        <Await load={list}>
          {(all) => (
            <ul class="rows" aria-label="Budgets">
              <For each={all().budgets} fallback={<li class="rows-none">Nothing is limited.</li>}>
                {(budget) => <BudgetRow budget={budget} onRemove={() => setRemoving(budget)} />}
              </For>
            </ul>
          )}
        </Await>
        <NewBudget onSaved={() => list.again()} />
        <Show when={removing()}>
          {(budget) => (
            <Confirm
              title={`Remove the budget ${ofWhom(budget())}?`}
              text="What it limited is not limited by it any more, and prompts that wait for it go on."
              action="Remove"
              onConfirm={async () => {
                const { scope, subject, period } = budget();
                await api.setBudget({ scope, subject, period });
                await list.again();
              }}
              onClose={() => setRemoving(null)}
            />
          )}
        </Show>
      </Section>
      <Section
        title="Stop everything"
        text="Ends every sandbox at once and lets no turn begin, in all sessions, until you lift it. What agents had not committed is lost; their prompts wait and run again."
      >
        <Await load={list}>{(all) => <HaltSwitch list={all()} onDone={() => list.again()} />}</Await>
      </Section>
    </Show>
  );
}

function BudgetRow(props: { budget: Budget; onRemove(): void }): JSX.Element {
  const shared = (): boolean => props.budget.subject === "*";
  const percent = (): number => percentSpent(props.budget);
  const detail = (): string => {
    const limits = limitText(props.budget);
    const own = shared() ? limits.replaceAll(/\S+(?: tokens)? of /g, "") : limits;
    const period = periodOf(props.budget);
    const parts = [
      period && PERIODS[period],
      own,
      shared() ? atOnceText(props.budget) : takenText(props.budget),
    ];
    return parts.filter(Boolean).join(" · ");
  };
  return (
    <li class="row">
      <Icon name="lock" />
      <span class="row-text">
        <span class="row-name">{nameOf(props.budget)}</span>
        <span class="row-detail">{detail()}</span>
      </span>
      <Show when={isFull(props.budget)}>
        <span class="chip is-strong">full</span>
      </Show>
      <Show when={!shared() && percent() > 0}>
        <span class="chip" classList={{ "is-strong": percent() >= WARN_PERCENT }}>
          {percent()} % spent
        </span>
      </Show>
      <button type="button" class="button is-small" onClick={() => props.onRemove()}>
        Remove<span class="visually-hidden"> the budget {ofWhom(props.budget)}</span>
      </button>
    </li>
  );
}

const PERIODS = { life: "in its life", day: "a day", month: "a month", unknown: "in a time of its own" };

function nameOf({ scope, subject }: Pick<Budget, "scope" | "subject">): string {
  if (scope === "organisation") return "Everybody here together";
  if (subject !== "*") return subject;
  return { session: "Each session", user: "Each user", repository: "Each repository", unknown: "Each" }[
    scope
  ];
}

const ofWhom = (budget: Budget): string => {
  const name = nameOf(budget);
  return `of ${name.charAt(0).toLowerCase()}${name.slice(1)}`;
};

const SCOPES: readonly { scope: BudgetScope; name: string }[] = [
  { scope: "organisation", name: "everybody here together" },
  { scope: "user", name: "a user" },
  { scope: "repository", name: "a repository" },
  { scope: "session", name: "a session" },
];

function NewBudget(props: { onSaved(): Promise<void> }): JSX.Element {
  const [scope, setScope] = createSignal<BudgetScope>("organisation");
  const [subject, setSubject] = createSignal("");
  const [period, setPeriod] = createSignal<"day" | "month">("month");
  const [money, setMoney] = createSignal("");
  const [tokens, setTokens] = createSignal("");
  const [minutes, setMinutes] = createSignal("");
  const [sessions, setSessions] = createSignal("");
  const [sandboxes, setSandboxes] = createSignal("");
  /** Not those of a session, which has one turn and one sandbox. */
  const slots = (): string[] => (scope() === "session" ? [] : [sessions(), sandboxes()]);
  const limit = (text: string, unit: number): number | undefined =>
    text.trim() === "" ? undefined : Math.round(Number(text) * unit);
  const save = async (): Promise<void> => {
    const whose = subject().trim();
    const request: BudgetRequest = {
      scope: scope(),
      subject: scope() === "organisation" ? "" : whose === "" ? "*" : whose,
      period: scope() === "session" ? "life" : period(),
    };
    const limits = {
      moneyMicroDollars: limit(money(), DOLLAR),
      tokens: limit(tokens(), 1),
      turnMs: limit(minutes(), MINUTE_MS),
      sessionsMax: limit(slots()[0] ?? "", 1),
      sandboxesMax: limit(slots()[1] ?? "", 1),
    };
    for (const [name, value] of Object.entries(limits)) {
      if (value === undefined) continue;
      Object.assign(request, { [name]: value });
    }
    await api.setBudget(request);
    await props.onSaved();
  };
  return (
    <Form
      action="Set the budget"
      done="The budget is set."
      blocked={
        [money(), tokens(), minutes(), ...slots()].every((text) => text.trim() === "")
          ? "Limit something"
          : undefined
      }
      onSubmit={save}
    >
      <div class="fields">
        <label class="field">
          <span>Whose</span>
          <select
            value={scope()}
            onChange={(event) => {
              setScope(
                SCOPES.find((one) => one.scope === event.currentTarget.value)?.scope ?? "organisation",
              );
              setSubject("");
            }}
          >
            <For each={SCOPES}>{(one) => <option value={one.scope}>{one.name}</option>}</For>
          </select>
        </label>
        <Show when={scope() !== "organisation"}>
          <Field label="Its id; each one when empty" value={subject()} onInput={setSubject} mono />
        </Show>
        <Show when={scope() !== "session"}>
          <label class="field">
            <span>Period</span>
            <select
              value={period()}
              onChange={(event) => setPeriod(event.currentTarget.value === "day" ? "day" : "month")}
            >
              <option value="day">day (UTC)</option>
              <option value="month">month (UTC)</option>
            </select>
          </label>
        </Show>
        <Field label="Dollars" type="number" min={0} step="any" value={money()} onInput={setMoney} />
        <Field label="Tokens" type="number" min={0} value={tokens()} onInput={setTokens} />
        <Field label="Minutes of a turn" type="number" min={1} value={minutes()} onInput={setMinutes} />
        <Show when={scope() !== "session"}>
          <Field label="Sessions at once" type="number" min={1} value={sessions()} onInput={setSessions} />
          <Field label="Sandboxes at once" type="number" min={1} value={sandboxes()} onInput={setSandboxes} />
        </Show>
      </div>
    </Form>
  );
}

function HaltSwitch(props: { list: BudgetList; onDone(): Promise<void> }): JSX.Element {
  const [reason, setReason] = createSignal("");
  const [asked, setAsked] = createSignal<"halt" | "lift" | null>(null);
  const [told, setTold] = createSignal("");
  const halt = async (): Promise<void> => {
    const { ended, problem } = await api.halt({ reason: reason().trim() });
    setTold(problem ?? `${plural(ended, "sandbox", "sandboxes")} ended.`);
    setReason("");
    await props.onDone();
  };
  const lift = async (): Promise<void> => {
    await api.liftHalt();
    setTold("");
    await props.onDone();
  };
  return (
    <>
      <Show
        when={props.list.halt}
        fallback={
          <Form
            action="Stop everything …"
            done=""
            blocked={reason().trim() === "" ? "Say why: people read it in their sessions" : undefined}
            onSubmit={async () => void setAsked("halt")}
          >
            <div class="fields">
              <Field label="Why" value={reason()} onInput={setReason} required />
            </div>
          </Form>
        }
      >
        {(now) => <Halted halt={now()} onLift={() => setAsked("lift")} />}
      </Show>
      <p class="quiet" role="status">
        {told()}
      </p>
      <Show when={asked() === "halt"}>
        <Confirm
          title="Stop everything?"
          text="Every sandbox of every session ends now. What agents have not committed is lost. Prompts wait until you or another operator lifts it; everybody reads your reason."
          action="Stop everything"
          keep="Let it run"
          onConfirm={halt}
          onClose={() => setAsked(null)}
        />
      </Show>
      <Show when={asked() === "lift"}>
        <Confirm
          title="Let everything go on?"
          text="Prompts that wait begin at once, each in a new sandbox from its session's last snapshot."
          action="Let it go on"
          tone="primary"
          keep="Leave it stopped"
          onConfirm={lift}
          onClose={() => setAsked(null)}
        />
      </Show>
    </>
  );
}

function Halted(props: { halt: Halt; onLift(): void }): JSX.Element {
  return (
    <div class="budget-line is-held">
      <Icon name="alert" size={16} />
      <span>
        <strong>Everything is stopped</strong> since {dateText(props.halt.at)}, by {props.halt.by}:{" "}
        {props.halt.reason}
      </span>
      <button type="button" class="button is-small" onClick={() => props.onLift()}>
        Let it go on …
      </button>
    </div>
  );
}
