/**
 * The waiting prompts above the composer: who wrote what, in which order it runs. Participants who may do so change the order with the
 * pointer or the arrow keys, take prompts back, and edit their own.
 */
import type { Prompt, PromptId, UserId } from "@farhand/protocol";
import { createEffect, createMemo, createSignal, For, type JSX, on, onCleanup, Show } from "solid-js";
import { plural } from "../format.js";
import { evaluatePermission, roleOf } from "../policy.js";
import { foreseeMove } from "../reducer.js";
import type { Session } from "../session-store.js";
import { isSteering, queuedPrompts } from "../timeline.js";
import { Avatar } from "./avatar.jsx";
import { Icon } from "./icons.jsx";
import { createRowDrag } from "./queue-drag.js";
import { QueueRow } from "./queue-row.jsx";

export interface QueueProps {
  session: Session;
  me: { id: UserId; name: string };
  /** Gets the text of a prompt of one's own that was taken back. */
  onRestore(text: string): void;
  /** The last row went away while it had the focus. */
  onFocusLost(): void;
}

export function Queue(props: QueueProps): JSX.Element {
  const snapshot = () => props.session.state.snapshot;
  const waiting = createMemo(() => {
    const now = snapshot();
    return now === null ? [] : queuedPrompts(now);
  });
  const order = createOrder(props, waiting);
  const steers = (prompt: Prompt): boolean => {
    const now = snapshot();
    return now !== null && isSteering(now, prompt) && !order.isMoving(prompt.id);
  };
  const mayOrder = (): boolean => {
    const now = snapshot();
    return now !== null && evaluatePermission(roleOf(now, props.me.id), "order_queue");
  };
  const live = (): boolean => props.session.status().state === "live";
  const takeBack = createTakeBack(props);
  const [list, setList] = createSignal<HTMLElement>();
  const drag = createRowDrag(list, order.place);
  /** The row with the focus is gone: the next thing to do is in the list, or in the composer. */
  const refocus = (): void =>
    queueMicrotask(() => {
      if (document.activeElement !== null && document.activeElement !== document.body) return;
      const next = list()?.isConnected === true ? list()?.querySelector<HTMLElement>("button") : null;
      if (next) next.focus();
      else props.onFocusLost();
    });
  const mark = (prompt: Prompt): string => {
    if (steers(prompt)) return "steering";
    const place = order
      .prompts()
      .filter((one) => !steers(one))
      .indexOf(prompt);
    return place === 0 ? "next" : `${place + 1}`;
  };
  return (
    <Show when={order.prompts().length + props.session.unsent().length > 0}>
      <div class="queue">
        <p class="visually-hidden" role="status">
          {order.announcement()}
        </p>
        <ul class="queue-list" aria-label="Waiting prompts" ref={setList}>
          <For each={order.prompts()}>
            {(prompt) => (
              <QueueRow
                session={props.session}
                prompt={prompt}
                mine={prompt.author === props.me.id}
                mark={mark(prompt)}
                enabled={live()}
                mayOrder={mayOrder()}
                movable={order.prompts().length > 1}
                dragged={drag.shift(prompt.id)}
                onGrab={(event) => drag.grab(prompt.id, event)}
                onStep={(step) => order.step(prompt.id, step)}
                onCancel={() => takeBack(prompt)}
                onLost={props.onRestore}
                onFocusLost={refocus}
              />
            )}
          </For>
          <For each={props.session.unsent()}>
            {(prompt) => (
              <li class="queue-row">
                <span class="queue-grip" aria-hidden="true">
                  <Icon name="clock" />
                </span>
                <Avatar id={props.me.id} name={props.me.name} size="small" />
                <span class="visually-hidden">{props.me.name}: </span>
                <span class="queue-text" title={prompt.text}>
                  {prompt.text}
                </span>
                <span class="chip">{live() ? "sending" : "sent when connected"}</span>
              </li>
            )}
          </For>
        </ul>
      </div>
    </Show>
  );
}

/** Takes prompts back. One's own words come back with the session's word that they will not run, not before. */
function createTakeBack(props: QueueProps): (prompt: Prompt) => void {
  const asked = new Set<PromptId>();
  createEffect(() => {
    const prompts = props.session.state.snapshot?.prompts ?? [];
    for (const prompt of prompts) {
      if (prompt.state === "queued" || !asked.delete(prompt.id)) continue;
      if (prompt.cancelledBy === props.me.id && prompt.author === props.me.id) props.onRestore(prompt.text);
    }
  });
  return (prompt) => {
    if (props.session.cancel(prompt.id)) asked.add(prompt.id);
  };
}

/** How long an answer may take before the list shows again what the session has. */
const ANSWERED_WITHIN_MS = 4000;

/** The order as it is, and as it will be when the session has done what was asked. */
function createOrder(props: QueueProps, waiting: () => Prompt[]) {
  const [wishes, setWishes] = createSignal<readonly { id: PromptId; before: PromptId | undefined }[]>([]);
  const [announcement, setAnnouncement] = createSignal("");
  let timer: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(timer));
  const ids = createMemo(() => waiting().map((prompt) => prompt.id), [], { equals: sameList });
  const foreseen = createMemo((): string[] => {
    const order = [...ids()];
    for (const wish of wishes()) foreseeMove(order, wish.id, wish.before);
    return order;
  });
  const prompts = createMemo((): Prompt[] => {
    const byId = new Map(waiting().map((prompt) => [prompt.id, prompt]));
    return foreseen().flatMap((id) => byId.get(id) ?? []);
  });
  const giveUp = (): void => {
    setWishes([]);
  };
  const refused = (): boolean =>
    wishes().some((wish) => props.session.refusal(`prompt:${wish.id}`) !== undefined);
  // The new order settles the wishes when it is the wished one; until then they hold over what others change.
  createEffect(on(ids, (now) => sameList(now, foreseen()) && giveUp(), { defer: true }));
  createEffect(() => {
    if (props.session.status().state !== "live" || refused()) giveUp();
  });
  /** Asks for a place in the list as it is shown. */
  const place = (id: PromptId, to: number): void => {
    const shown = foreseen();
    const from = shown.indexOf(id);
    const rest = shown.filter((one) => one !== id);
    const at = Math.min(rest.length, Math.max(0, to));
    if (from < 0 || at === from) return;
    const before = rest[at];
    if (!props.session.move(id, before)) return;
    setWishes((open) => [...open, { id, before }]);
    setAnnouncement(`Moved to place ${at + 1} of ${plural(shown.length, "prompt")}`);
    clearTimeout(timer);
    timer = setTimeout(giveUp, ANSWERED_WITHIN_MS);
  };
  return {
    prompts,
    announcement,
    /** Whether somebody here has given it a place that the session has not confirmed. */
    isMoving: (id: PromptId): boolean => wishes().some((wish) => wish.id === id),
    place,
    step: (id: PromptId, step: number): void => place(id, foreseen().indexOf(id) + step),
  };
}

function sameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((id, index) => id === other[index]);
}
