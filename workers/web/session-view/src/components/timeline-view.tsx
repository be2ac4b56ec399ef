/**
 * The conversation: turns in order, the prompt that is about to run, and what failed outside. Stays at its end while new things come,
 * unless the reader has scrolled away. Announces finished prose only, never single tokens.
 */
import type { Item } from "@farhand/protocol";
import {
  createEffect,
  createMemo,
  createSignal,
  For,
  type JSX,
  on,
  onCleanup,
  onMount,
  Show,
} from "solid-js";
import { createStore } from "solid-js/store";
import { formatDay, startOfDay } from "../format.js";
import type { Session } from "../session-store.js";
import { nextPrompt } from "../timeline.js";
import { Icon } from "./icons.jsx";
import { type Folds, NoticeLine } from "./item-view.jsx";
import { PromptCard } from "./prompt-card.jsx";
import { ActivityLine, TurnView, waitingFor } from "./turn-view.jsx";

/** How near to its end the timeline must be to follow it. */
const FOLLOW_WITHIN_PX = 80;

export function TimelineView(props: { session: Session }): JSX.Element {
  const snapshot = () => props.session.state.snapshot;
  const [opened, setOpened] = createStore<Record<string, boolean>>({});
  const folds: Folds = { get: (id) => opened[id], set: (id, open) => setOpened(id, open) };
  const itemsByTurn = createMemo(() => groupByTurn(snapshot()?.items ?? []));
  const upcoming = createMemo(() => {
    const now = snapshot();
    if (now === null) return undefined;
    const prompt = nextPrompt(now);
    // A prompt that waits for another attempt stands in the timeline already, with its lost turn.
    const shown = prompt !== undefined && now.turns.some((turn) => turn.promptId === prompt.id);
    return prompt === undefined ? undefined : { prompt, shown };
  });
  const follow = createFollow();
  return (
    <div class="timeline-frame">
      <div
        class="timeline"
        role="log"
        aria-live="off"
        aria-label="Conversation"
        tabindex="0"
        ref={follow.scroller}
      >
        <div class="timeline-column" ref={follow.content}>
          <For each={snapshot()?.turns ?? []}>
            {(turn, index) => (
              <>
                <DayRule at={turn.startedAt} before={snapshot()?.turns[index() - 1]?.startedAt} />
                <Show when={snapshot()}>
                  {(now) => (
                    <TurnView
                      turn={turn}
                      prompt={now().prompts.find((prompt) => prompt.id === turn.promptId)}
                      items={itemsByTurn().get(turn.id) ?? []}
                      snapshot={now()}
                      stopping={props.session.state.stopRequested?.turnId === turn.id}
                      folds={folds}
                    />
                  )}
                </Show>
              </>
            )}
          </For>
          <Show when={upcoming()}>
            {(next) => (
              <section class="turn" aria-label="Prompt about to run">
                <Show when={!next().shown}>
                  <PromptCard
                    prompt={next().prompt}
                    author={snapshot()?.participants.find((one) => one.userId === next().prompt.author)}
                  />
                </Show>
                <Show when={snapshot()?.sandbox.state !== "failed"}>
                  <div class="turn-rows">
                    <ActivityLine text={waitingFor(snapshot()?.sandbox ?? { state: "none" })} />
                  </div>
                </Show>
              </section>
            )}
          </Show>
          <SandboxFailure session={props.session} />
          <For each={props.session.state.effectFailures}>
            {(failure) => <NoticeLine level="error" text={`${failure.what}: ${failure.reason}`} />}
          </For>
        </div>
      </div>
      <Show when={!follow.atEnd()}>
        <button type="button" class="latest-button" onClick={follow.toEnd}>
          <Icon name="arrowDown" size={14} />
          Latest
        </button>
      </Show>
      <Announcer items={snapshot()?.items ?? []} />
    </div>
  );
}

function SandboxFailure(props: { session: Session }): JSX.Element {
  const reason = (): string | undefined => {
    const sandbox = props.session.state.snapshot?.sandbox;
    return sandbox?.state === "failed" ? sandbox.reason : undefined;
  };
  return (
    <Show when={reason()}>
      {(text) => (
        <div class="failure is-wide" role="alert">
          <Icon name="alert" size={16} />
          <div>
            <strong>The sandbox failed</strong>
            <p>{text()}</p>
          </div>
        </div>
      )}
    </Show>
  );
}

function DayRule(props: { at: number; before: number | undefined }): JSX.Element {
  const differs = (): boolean =>
    props.before === undefined
      ? startOfDay(props.at) !== startOfDay(Date.now())
      : startOfDay(props.at) !== startOfDay(props.before);
  return (
    <Show when={differs()}>
      <p class="day-rule">
        <span>{formatDay(props.at, Date.now())}</span>
      </p>
    </Show>
  );
}

/** Reads finished prose to people who listen. */
function Announcer(props: { items: readonly Item[] }): JSX.Element {
  const [text, setText] = createSignal("");
  const finished = createMemo(() => {
    const content = props.items.findLast((item) => item.content.type === "text")?.content;
    return content?.type === "text" && content.done ? content.text : "";
  });
  createEffect(on(finished, (now) => setText(now), { defer: true }));
  return (
    <div class="visually-hidden" role="status" aria-live="polite">
      {text()}
    </div>
  );
}

function groupByTurn(items: readonly Item[]): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(item.turnId);
    if (group === undefined) groups.set(item.turnId, [item]);
    else group.push(item);
  }
  return groups;
}

/** Keeps a scrolling element at its end as its content grows, until a person scrolls away. */
function createFollow() {
  let scroller: HTMLElement | undefined;
  let content: HTMLElement | undefined;
  const [atEnd, setAtEnd] = createSignal(true);
  const distance = (): number =>
    scroller === undefined ? 0 : scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
  const toEnd = (): void => {
    setAtEnd(true);
    scroller?.scrollTo({ top: scroller.scrollHeight });
  };
  onMount(() => {
    if (scroller === undefined || content === undefined) return;
    const listeners = new AbortController();
    let lastTop = 0;
    scroller.addEventListener(
      "scroll",
      () => {
        const top = scroller?.scrollTop ?? 0;
        // Growing content also moves the end away; only a move upwards is a person's.
        if (distance() <= FOLLOW_WITHIN_PX) setAtEnd(true);
        else if (top < lastTop) setAtEnd(false);
        lastTop = top;
      },
      { passive: true, signal: listeners.signal },
    );
    const observer = new ResizeObserver(() => {
      if (atEnd()) scroller?.scrollTo({ top: scroller.scrollHeight });
    });
    observer.observe(scroller);
    observer.observe(content);
    onCleanup(() => {
      listeners.abort();
      observer.disconnect();
    });
  });
  return {
    atEnd,
    toEnd,
    scroller: (element: HTMLElement) => {
      scroller = element;
    },
    content: (element: HTMLElement) => {
      content = element;
    },
  };
}
