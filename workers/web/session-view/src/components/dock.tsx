/** The lower edge of a session: prompts that wait, the composer or why there is none, Stop, who writes, what the session has used. */
import type { Attachment, AttachmentLimits, Delivery, UserId } from "@farhand/protocol";
import { createEffect, createSignal, type JSX, Match, on, Show, Switch } from "solid-js";
import { formatCost, formatCount } from "../format.js";
import type { KeyValueStore } from "../outbox.js";
import { evaluatePermission, roleOf } from "../policy.js";
import type { Session } from "../session-store.js";
import { runningTurn } from "../timeline.js";
import type { Command, Suggest } from "../trigger.js";
import { type Attachments, createAttachments } from "./attach.jsx";
import { BudgetLine } from "./budget-line.jsx";
import { ClosedComposer, Composer } from "./composer.jsx";
import { Spinner } from "./icons.jsx";
import { createModelChoice, type OfferedModels } from "./model-choice.jsx";
import { Queue } from "./queue.jsx";
import { RefusalLine } from "./refusal.jsx";
import { TypingLine } from "./typing-line.jsx";

/** The limit of the wire. */
const QUEUE_PROMPTS_MAX = 100;

/** What the application around the session lets prompts carry, such as selections of a web page. */
export interface DockAttachments {
  /** Shown in the composer, above the text. */
  view: JSX.Element;
  /** Controls in the composer's row of tools. */
  tools?: JSX.Element;
  /** What a prompt with these words is sent as; nothing waits in the composer afterwards. */
  take(text: string): { text: string; attachments?: readonly Attachment[] };
}

export interface DockProps {
  session: Session;
  me: { id: UserId; name: string };
  models: OfferedModels;
  storage: KeyValueStore;
  /** Offers to take an archived session up again; absent where that cannot be done. */
  onUnarchive?: (() => void) | undefined;
  attachments?: DockAttachments | undefined;
  /** How many files prompts may carry; none where absent. */
  limits?: AttachmentLimits | undefined;
}

export function Dock(props: DockProps): JSX.Element {
  let dock: HTMLDivElement | undefined;
  const [restored, setRestored] = createSignal<Restored | undefined>();
  const snapshot = () => props.session.state.snapshot;
  const may = (action: "prompt" | "stop_turn" | "archive"): boolean => {
    const now = snapshot();
    return now === null || evaluatePermission(roleOf(now, props.me.id), action);
  };
  const running = () => {
    const now = snapshot();
    return now === null ? undefined : runningTurn(now);
  };
  const archived = (): boolean => snapshot()?.session.archivedAt !== undefined;
  const restore = (text: string, attachments: readonly Attachment[] = []): void => {
    setRestored({ text, attachments });
  };
  return (
    <div class="dock" ref={dock}>
      <div class="dock-column">
        <BudgetLine session={props.session} mayPrompt={may("prompt")} />
        <RefusalLine session={props.session} place="composer" onRestore={restore} />
        <RefusalLine session={props.session} place="stop" />
        <Queue
          session={props.session}
          me={props.me}
          onRestore={restore}
          onFocusLost={() => dock?.querySelector("textarea")?.focus()}
        />
        <Switch
          fallback={
            <PromptComposer
              {...props}
              turnId={running()?.id}
              restored={restored()}
              onSent={() => setRestored(undefined)}
            />
          }
        >
          <Match when={archived()}>
            <ClosedComposer reason="This session is archived and takes no prompts.">
              <Show when={may("archive") && props.onUnarchive}>
                {(unarchive) => (
                  <button type="button" class="button is-small" onClick={() => unarchive()()}>
                    Take it up again
                  </button>
                )}
              </Show>
            </ClosedComposer>
          </Match>
          <Match when={!may("prompt")}>
            <ClosedComposer reason="You are a viewer here: you see everything, and an owner can make you a driver." />
          </Match>
        </Switch>
        <TypingLine session={props.session} me={props.me.id} />
      </div>
    </div>
  );
}

/** A prompt that is given back to be changed; a new object each time, the same words may come twice. */
interface Restored {
  text: string;
  attachments: readonly Attachment[];
}

interface PromptComposerProps extends DockProps {
  /** The running turn. */
  turnId: string | undefined;
  restored: Restored | undefined;
  onSent(): void;
}

function PromptComposer(props: PromptComposerProps): JSX.Element {
  const [delivery, setDelivery] = createSignal<Delivery>("queue");
  const files = createAttachments(() => props.limits);
  const snapshot = () => props.session.state.snapshot;
  const running = (): boolean => props.turnId !== undefined;
  const choice = createModelChoice(
    () => props.models,
    () => snapshot()?.session.model ?? props.models.models[0] ?? "",
  );
  const blocked = (): string | undefined => {
    const status = props.session.status();
    const now = snapshot();
    if (status.state === "stopped") return "This session cannot take prompts any more";
    if (now === null) return "Loading the session";
    if (now.queue.length >= QUEUE_PROMPTS_MAX) return `The queue is full: ${QUEUE_PROMPTS_MAX} prompts wait`;
    return undefined;
  };
  const steers = (other: boolean): boolean => running() && (delivery() === "steer") !== other;
  const placeholder = (): string => {
    if (!running()) return "Write a prompt";
    return delivery() === "steer"
      ? "Tell the agent something while it works"
      : "Add a follow-up. It is queued while the agent works.";
  };
  const label = (steer: boolean): string => (running() ? (steer ? "Steer" : "Queue") : "Send");
  const suggest: Suggest = {
    session: props.session,
    commands: () => [
      ...turnCommands(props, setDelivery),
      ...(props.limits === undefined ? [] : [attachCommand(files)]),
      ...choice.commands(),
    ],
  };
  createEffect(on(() => props.restored?.attachments ?? [], files.giveBack));
  return (
    <Composer
      label="Prompt"
      placeholder={placeholder()}
      draftName={props.session.id}
      storage={props.storage}
      blocked={blocked()}
      restore={props.restored}
      sendLabel={label(delivery() === "steer")}
      otherLabel={running() ? label(delivery() !== "steer") : undefined}
      onTyped={props.session.typed}
      onSend={(text, other) => {
        props.onSent();
        const content = props.attachments?.take(text) ?? { text };
        const attachments = [...(content.attachments ?? []), ...files.take()];
        const { model, effort } = choice;
        props.session.submit({
          text: content.text,
          attachments,
          model: model(),
          effort: effort(),
          steer: steers(other),
        });
        return true;
      }}
      attachments={props.attachments?.view}
      files={props.limits === undefined ? undefined : files}
      suggest={suggest}
      tools={
        <>
          {props.attachments?.tools}
          {choice.view}
        </>
      }
      status={
        <>
          <UsageLine session={props.session} />
          <Show when={running()}>
            <DeliveryChoice value={delivery()} onChange={setDelivery} />
          </Show>
          <Show when={props.turnId}>
            {(turnId) => <StopButton session={props.session} turnId={turnId()} me={props.me.id} />}
          </Show>
        </>
      }
    />
  );
}

function attachCommand(files: Attachments): Command {
  return { name: "attach", detail: "Attach pictures or text files", run: files.choose };
}

/** What can be told to the running turn, or about how prompts reach it. */
function turnCommands(props: PromptComposerProps, setDelivery: (value: Delivery) => void): Command[] {
  const { turnId, session } = props;
  if (turnId === undefined) return [];
  const now = session.state.snapshot;
  const mayStop = now !== null && evaluatePermission(roleOf(now, props.me.id), "stop_turn");
  const stop: Command = {
    name: "stop",
    detail: "Stop the running turn",
    run: () => session.stop(turnId),
  };
  return [
    ...(mayStop && session.status().state === "live" ? [stop] : []),
    ...DELIVERIES.map(({ value, name, title }) => ({
      name: name.toLowerCase(),
      detail: title,
      run: () => setDelivery(value),
    })),
  ];
}

const DELIVERIES: readonly { value: Delivery; name: string; title: string }[] = [
  { value: "queue", name: "Queue", title: "Runs after the running turn, in a turn of its own" },
  { value: "steer", name: "Steer", title: "Goes into the running turn at its next step" },
];

function DeliveryChoice(props: { value: Delivery; onChange(value: Delivery): void }): JSX.Element {
  return (
    <fieldset class="segments">
      <legend class="visually-hidden">When the prompt reaches the agent</legend>
      {DELIVERIES.map((one) => (
        <label class="segment" title={one.title}>
          <input
            type="radio"
            name="delivery"
            value={one.value}
            checked={props.value === one.value}
            onChange={() => props.onChange(one.value)}
          />
          <span>{one.name}</span>
        </label>
      ))}
    </fieldset>
  );
}

function StopButton(props: { session: Session; turnId: string; me: UserId }): JSX.Element {
  const [clicked, setClicked] = createSignal<string | null>(null);
  const live = (): boolean => props.session.status().state === "live";
  const snapshot = () => props.session.state.snapshot;
  const askedBy = (): string | undefined => {
    const now = snapshot();
    const by = now?.turns.findLast((turn) => turn.id === props.turnId)?.stopRequestedBy;
    if (by === undefined) return undefined;
    if (by === props.me) return "you";
    return now?.participants.find((one) => one.userId === by)?.name ?? "somebody";
  };
  const waits = (): boolean =>
    clicked() === props.turnId && live() && props.session.refusal("stop") === undefined;
  const stopping = (): boolean => askedBy() !== undefined || waits();
  const may = (): boolean => {
    const now = snapshot();
    return now !== null && evaluatePermission(roleOf(now, props.me), "stop_turn");
  };
  const title = (): string => {
    if (stopping()) return `The agent is being stopped, asked by ${askedBy() ?? "you"}`;
    return live() ? "Stop the running turn" : "No connection; stopping needs one";
  };
  return (
    <Show when={may()}>
      <button
        type="button"
        class="stop-button"
        disabled={stopping() || !live()}
        title={title()}
        onClick={() => {
          if (props.session.stop(props.turnId)) setClicked(props.turnId);
        }}
      >
        <Show when={stopping()} fallback={<span class="stop-square" aria-hidden="true" />}>
          <Spinner />
        </Show>
        <span>{stopping() ? "Stopping" : "Stop"}</span>
      </button>
    </Show>
  );
}

function UsageLine(props: { session: Session }): JSX.Element {
  const usage = () => props.session.state.snapshot?.usage;
  const tokens = (): number => (usage()?.inputTokens ?? 0) + (usage()?.outputTokens ?? 0);
  const cost = (): string => formatCost(usage()?.costUsd ?? 0);
  return (
    <Show when={tokens() > 0}>
      <span class="usage" title="Tokens of all turns that have ended">
        {formatCount(tokens())} tokens
        <Show when={cost()}> · {cost()}</Show>
      </span>
    </Show>
  );
}
