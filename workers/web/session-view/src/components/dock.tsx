/** The lower edge of a session: prompts that wait, the composer, Stop, and what the session has used. */
import type { Participant, UserId } from "@farhand/protocol";
import { createSignal, For, type JSX, Show } from "solid-js";
import { formatCost, formatCount } from "../format.js";
import type { KeyValueStore } from "../outbox.js";
import type { Session } from "../session-store.js";
import { queuedPrompts, runningTurn } from "../timeline.js";
import { Avatar } from "./avatar.jsx";
import { Composer, ModelSelect } from "./composer.jsx";
import { Icon, Spinner } from "./icons.jsx";

/** The limit of the wire. */
const QUEUE_PROMPTS_MAX = 100;

export interface DockProps {
  session: Session;
  me: { id: UserId; name: string };
  models: readonly string[];
  storage: KeyValueStore;
}

export function Dock(props: DockProps): JSX.Element {
  const [restored, setRestored] = createSignal<string | undefined>();
  const [model, setModel] = createSignal<string | undefined>();
  const snapshot = () => props.session.state.snapshot;
  const running = () => {
    const now = snapshot();
    return now === null ? undefined : runningTurn(now);
  };
  const queued = () => {
    const now = snapshot();
    return now === null ? [] : queuedPrompts(now);
  };
  const own = (): string => snapshot()?.session.model ?? props.models[0] ?? "";
  const models = (): string[] => [...new Set([own(), ...props.models])].filter((one) => one !== "");
  const blocked = (): string | undefined => {
    const status = props.session.status();
    if (status.state === "stopped") return "This session cannot take prompts any more";
    if (snapshot() === null) return "Loading the session";
    if (queued().length >= QUEUE_PROMPTS_MAX) return `The queue is full: ${QUEUE_PROMPTS_MAX} prompts wait`;
    return undefined;
  };
  const placeholder = (): string =>
    running() === undefined ? "Write a prompt" : "Add a follow-up. It is queued while the agent works.";
  return (
    <div class="dock">
      <div class="dock-column">
        <Refusal session={props.session} onRestore={setRestored} />
        <Queue session={props.session} me={props.me} onRestore={setRestored} />
        <Composer
          label="Prompt"
          placeholder={placeholder()}
          draftName={props.session.id}
          storage={props.storage}
          blocked={blocked()}
          restore={restored()}
          sendLabel={running() === undefined ? "Send" : "Queue"}
          onSend={(text) => {
            setRestored(undefined);
            props.session.submit(text, model());
            return true;
          }}
          tools={
            <ModelSelect
              models={models()}
              value={model() ?? own()}
              onChange={(chosen) => setModel(chosen === own() ? undefined : chosen)}
            />
          }
          status={
            <>
              <UsageLine session={props.session} />
              <Show when={running()}>
                {(turn) => <StopButton session={props.session} turnId={turn().id} />}
              </Show>
            </>
          }
        />
      </div>
    </div>
  );
}

function StopButton(props: { session: Session; turnId: string }): JSX.Element {
  const [clicked, setClicked] = createSignal<string | null>(null);
  const live = (): boolean => props.session.status().state === "live";
  const stopping = (): boolean =>
    props.session.state.stopRequested?.turnId === props.turnId || (clicked() === props.turnId && live());
  const title = (): string =>
    stopping()
      ? "The agent is being stopped"
      : live()
        ? "Stop the running turn"
        : "No connection; stopping needs one";
  return (
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

function Refusal(props: { session: Session; onRestore(text: string): void }): JSX.Element {
  return (
    <Show when={props.session.refusal()}>
      {(refusal) => (
        <div class="refusal" role="alert">
          <Icon name="alert" size={15} />
          <span>{refusal().error.message}</span>
          <Show when={refusal().prompt}>
            {(prompt) => (
              <button
                type="button"
                class="text-button"
                onClick={() => {
                  props.onRestore(prompt().text);
                  props.session.dismissRefusal();
                }}
              >
                Edit again
              </button>
            )}
          </Show>
          <button
            type="button"
            class="icon-button"
            aria-label="Dismiss"
            onClick={() => props.session.dismissRefusal()}
          >
            <Icon name="cross" size={14} />
          </button>
        </div>
      )}
    </Show>
  );
}

interface QueueProps {
  session: Session;
  me: { id: UserId; name: string };
  onRestore(text: string): void;
}

function Queue(props: QueueProps): JSX.Element {
  const queued = () => {
    const now = props.session.state.snapshot;
    return now === null ? [] : queuedPrompts(now);
  };
  const unsent = () => props.session.unsent();
  const person = (id: UserId): Participant | undefined =>
    props.session.state.snapshot?.participants.find((one) => one.userId === id);
  const live = (): boolean => props.session.status().state === "live";
  const cancel = (id: string, text: string, author: UserId): void => {
    if (props.session.cancel(id) && author === props.me.id) props.onRestore(text);
  };
  return (
    <Show when={queued().length + unsent().length > 0}>
      <ul class="queue" aria-label="Waiting prompts">
        <For each={queued()}>
          {(prompt, index) => (
            <QueueRow
              id={prompt.author}
              name={person(prompt.author)?.name ?? "Somebody"}
              text={prompt.text}
              mark={index() === 0 ? "next" : `${index() + 1}`}
              onCancel={() => cancel(prompt.id, prompt.text, prompt.author)}
              cancellable={live()}
            />
          )}
        </For>
        <For each={unsent()}>
          {(prompt) => (
            <QueueRow
              id={props.me.id}
              name={props.me.name}
              text={prompt.text}
              mark={live() ? "sending" : "sent when connected"}
            />
          )}
        </For>
      </ul>
    </Show>
  );
}

interface QueueRowProps {
  id: UserId;
  name: string;
  text: string;
  mark: string;
  onCancel?: () => void;
  cancellable?: boolean;
}

function QueueRow(props: QueueRowProps): JSX.Element {
  return (
    <li class="queue-row">
      <Icon name="clock" />
      <Avatar id={props.id} name={props.name} size="small" />
      <span class="visually-hidden">{props.name}: </span>
      <span class="queue-text" title={props.text}>
        {props.text}
      </span>
      <span class="chip">{props.mark}</span>
      <Show when={props.onCancel}>
        <button
          type="button"
          class="icon-button"
          aria-label={`Take back the prompt of ${props.name}`}
          title={props.cancellable ? "Take back" : "No connection"}
          disabled={!props.cancellable}
          onClick={() => props.onCancel?.()}
        >
          <Icon name="cross" size={14} />
        </button>
      </Show>
    </li>
  );
}
