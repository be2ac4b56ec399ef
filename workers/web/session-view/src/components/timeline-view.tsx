/**
 * The conversation: turns in order, what happened beside them, and the prompt that is about to run. Stays at its end while new things
 * come, unless the reader has scrolled away. Announces finished prose only, never single tokens.
 */
import type { Item, Participant, Prompt, SessionEvent, UserId } from "@farhand/protocol";
import { createEffect, createMemo, createSignal, For, type JSX, Match, on, Show, Switch } from "solid-js";
import { createStore } from "solid-js/store";
import { Artifacts } from "../artifact-source.js";
import { formatDay, startOfDay } from "../format.js";
import { joinEarlier } from "../history.js";
import { noticeId } from "../places.js";
import type { Session } from "../session-store.js";
import { deniedHost, type Entry, nextPrompt, noticeText, timelineEntries } from "../timeline.js";
import { EarlierTurns } from "./earlier.jsx";
import { Icon } from "./icons.jsx";
import { ItemMore, OpenItemMenu } from "./item-more.jsx";
import { type Folds, NoticeLine } from "./item-view.jsx";
import { PromptCard } from "./prompt-card.jsx";
import { createScroll } from "./scroll.js";
import { createTimelineLinks } from "./timeline-links.jsx";
import { ActivityLine, TurnView, waitingFor } from "./turn-view.jsx";

export interface TimelineViewProps {
  session: Session;
  /** The place that the address names; a new object each time that it is asked for. */
  linked?: { place: number } | undefined;
}

export function TimelineView(props: TimelineViewProps): JSX.Element {
  const snapshot = () => props.session.state.snapshot;
  const [opened, setOpened] = createStore<Record<string, boolean>>({});
  const folds: Folds = { get: (id) => opened[id], set: (id, open) => setOpened(id, open) };
  const shown = createShown(props.session);
  const scroll = createScroll();
  const [scroller, setScroller] = createSignal<HTMLElement>();
  const { session } = props;
  const links = createTimelineLinks({ session, linked: () => props.linked, scroller, scroll, folds });
  return (
    <Artifacts.Provider value={props.session.artifacts}>
      <OpenItemMenu.Provider value={links.openMenu}>
        <div class="timeline-frame">
          <div
            class="timeline"
            role="log"
            aria-live="off"
            aria-label="Conversation"
            tabindex="0"
            ref={(element) => {
              scroll.scroller(element);
              setScroller(element);
            }}
          >
            <div class="timeline-column" ref={scroll.content}>
              <EarlierTurns session={props.session} scroller={scroller} />
              <For each={shown.entries()}>
                {(entry, index) => (
                  <>
                    <DayRule at={entry.at} before={shown.entries()[index() - 1]?.at} />
                    <EntryView entry={entry} session={props.session} shown={shown} folds={folds} />
                  </>
                )}
              </For>
              <Upcoming session={props.session} />
              <SandboxFailure session={props.session} />
            </div>
          </div>
          <Show when={!scroll.atEnd()}>
            <button type="button" class="latest-button" onClick={scroll.toEnd}>
              <Icon name="arrowDown" size={14} />
              Latest
            </button>
          </Show>
          <Announcer items={snapshot()?.items ?? []} />
          {links.view()}
        </div>
      </OpenItemMenu.Provider>
    </Artifacts.Provider>
  );
}

/** Snapshot and earlier pages as one, in the order of reading. */
function createShown(session: Session) {
  const all = createMemo(() => {
    const { earlier } = session.history;
    const now = session.state.snapshot ?? { prompts: [], turns: [], items: [] };
    return joinEarlier(
      { prompts: earlier.prompts, turns: earlier.turns, items: earlier.items },
      { prompts: now.prompts, turns: now.turns, items: now.items },
    );
  });
  const entries = createMemo<Entry[]>(
    (before) =>
      keepEntries(before, timelineEntries(all().turns, all().prompts, session.state.snapshot?.notices ?? [])),
    [],
  );
  const items = createMemo<Groups<Item>>(
    (before) => groupBy(all().items, (item) => item.turnId, before),
    new Map(),
  );
  const prompts = createMemo(() => new Map(all().prompts.map((prompt) => [prompt.id, prompt])));
  const steered = createMemo<Groups<Prompt>>((before) => {
    const taken = all().prompts.filter((prompt) => prompt.steeredInto !== undefined);
    return groupBy(taken, (prompt) => prompt.steeredInto ?? "", before);
  }, new Map());
  /** The turn in front of which a prompt stands: the first that is shown of its attempts. */
  const firstTurns = createMemo(() => {
    const first = new Map<string, string>();
    for (const turn of all().turns) if (!first.has(turn.promptId)) first.set(turn.promptId, turn.id);
    return first;
  });
  return { entries, items, prompts, steered, firstTurns };
}

type Shown = ReturnType<typeof createShown>;

interface EntryViewProps {
  entry: Entry;
  session: Session;
  shown: Shown;
  folds: Folds;
}

function EntryView(props: EntryViewProps): JSX.Element {
  const snapshot = () => props.session.state.snapshot;
  const of = <T extends Entry["type"]>(type: T) =>
    props.entry.type === type ? (props.entry as Extract<Entry, { type: T }>) : undefined;
  return (
    <Switch>
      <Match when={of("turn")?.turn}>
        {(turn) => (
          <Show when={snapshot()}>
            {(now) => (
              <TurnView
                turn={turn()}
                prompt={props.shown.prompts().get(turn().promptId)}
                first={props.shown.firstTurns().get(turn().promptId) === turn().id}
                items={props.shown.items().get(turn().id) ?? NONE}
                steered={props.shown.steered().get(turn().id) ?? NONE}
                snapshot={now()}
                folds={props.folds}
              />
            )}
          </Show>
        )}
      </Match>
      <Match when={of("notice")?.record}>
        {(record) => (
          <div class="beside row-frame" data-things={noticeId(record().seq)}>
            <NoticeLine level={noticeText(record()).level} text={noticeText(record()).text}>
              <AllowHost session={props.session} event={record().event} />
            </NoticeLine>
            <ItemMore id={noticeId(record().seq)} of="notice" />
          </div>
        )}
      </Match>
      <Match when={of("cancelled")?.prompt}>
        {(prompt) => <Cancelled prompt={prompt()} people={snapshot()?.participants ?? []} />}
      </Match>
    </Switch>
  );
}

/** The way to let the repository's sandboxes reach a host that was refused for want of permission. */
function AllowHost(props: { session: Session; event: SessionEvent }): JSX.Element {
  const url = (): string | undefined => {
    const host = deniedHost(props.event);
    return host === undefined ? undefined : props.session.allowHostUrl(host);
  };
  return (
    <Show when={url()}>
      {(href) => (
        <a class="text-button" href={href()}>
          Allow for this repository…
        </a>
      )}
    </Show>
  );
}

function Cancelled(props: { prompt: Prompt; people: readonly Participant[] }): JSX.Element {
  const name = (id: UserId | undefined): string =>
    props.people.find((one) => one.userId === id)?.name ?? "Somebody";
  const text = (): string => {
    const { author, cancelledBy } = props.prompt;
    return cancelledBy === undefined || cancelledBy === author
      ? `${name(author)} took back a prompt: `
      : `${name(cancelledBy)} took back a prompt of ${name(author)}: `;
  };
  return (
    <div class="beside row-frame" data-things={props.prompt.id}>
      <p class="notice is-cancelled" title={props.prompt.text}>
        <Icon name="cross" size={14} />
        <span>
          {text()}
          <q>{props.prompt.text}</q>
        </span>
      </p>
      <ItemMore id={props.prompt.id} of="prompt" />
    </div>
  );
}

function Upcoming(props: { session: Session }): JSX.Element {
  const snapshot = () => props.session.state.snapshot;
  const upcoming = createMemo(() => {
    const now = snapshot();
    if (now === null) return undefined;
    const prompt = nextPrompt(now);
    // A prompt that waits for another attempt stands in the timeline already, with its lost turn.
    const shown = prompt !== undefined && now.turns.some((turn) => turn.promptId === prompt.id);
    return prompt === undefined ? undefined : { prompt, shown };
  });
  return (
    <Show when={upcoming()}>
      {(next) => (
        <section class="turn" aria-label="Prompt about to run">
          <Show when={!next().shown}>
            <PromptCard prompt={next().prompt} people={snapshot()?.participants ?? []} />
          </Show>
          <Show when={snapshot()?.sandbox.state !== "failed"}>
            <div class="turn-rows">
              {/* What holds it is said above the composer. */}
              <Show when={snapshot()?.budget?.hold === undefined} fallback={<p class="activity">Waiting</p>}>
                <ActivityLine text={waitingFor(snapshot()?.sandbox ?? { state: "none" })} />
              </Show>
            </div>
          </Show>
        </section>
      )}
    </Show>
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
      <p class="day-rule" data-no-anchor>
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

type Groups<T> = Map<string, readonly T[]>;

/** Groups with the same members as before stay the same lists, so that only the turn at work is looked at again. */
function groupBy<T>(list: readonly T[], key: (one: T) => string, before: Groups<T>): Groups<T> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const name = key(one);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [one]);
    else group.push(one);
  }
  const kept: Groups<T> = new Map();
  for (const [name, group] of groups) {
    const old = before.get(name);
    const same = old?.length === group.length && group.every((one, index) => one === old[index]);
    kept.set(name, same ? old : group);
  }
  return kept;
}

const NONE: readonly never[] = [];

/** Entries about the same thing as before stay the same objects, so that their views stay. */
function keepEntries(before: readonly Entry[], now: Entry[]): Entry[] {
  const known = new Map(before.map((entry) => [`${entry.type} ${entry.id}`, entry]));
  return now.map((entry) => {
    const old = known.get(`${entry.type} ${entry.id}`);
    return old !== undefined && subject(old) === subject(entry) ? old : entry;
  });
}

function subject(entry: Entry): object {
  if (entry.type === "turn") return entry.turn;
  return entry.type === "notice" ? entry.record : entry.prompt;
}
