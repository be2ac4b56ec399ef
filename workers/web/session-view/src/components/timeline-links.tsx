/**
 * Links to places in the conversation: the menu that copies them, and what following one comes to, told in a small note over the
 * timeline. What does the work is loaded when it is needed.
 */
import { createEffect, createSignal, type JSX, lazy, on, onCleanup, Show, Suspense } from "solid-js";
import type { Session } from "../session-store.js";
import { Icon, Spinner } from "./icons.jsx";
import type { Folds } from "./item-view.jsx";
import type { Scroll } from "./scroll.js";

const ItemMenu = lazy(async () => ({ default: (await import("./item-menu.jsx")).ItemMenu }));

type Note = { kind: "busy" | "done" | "problem"; text: string };

/** How long a note of something that went well stays. */
const DONE_MS = 2500;

export interface TimelineLinks {
  /** For `OpenItemMenu`. */
  openMenu: ((id: string, button: HTMLElement) => void) | undefined;
  /** Note and menu; stands in the frame of the timeline. */
  view(): JSX.Element;
}

export interface TimelineLinksOptions {
  session: Session;
  /** The place that the address names. */
  linked(): { place: number } | undefined;
  scroller(): HTMLElement | undefined;
  scroll: Scroll;
  folds: Folds;
}

export function createTimelineLinks(options: TimelineLinksOptions): TimelineLinks {
  const { session } = options;
  const [menu, setMenu] = createSignal<{ id: string; button: HTMLElement }>();
  const [note, setNote] = createSignal<Note>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(timer));
  const tell = (next: Note | undefined): void => {
    clearTimeout(timer);
    setNote(next);
    if (next?.kind === "done") timer = setTimeout(() => setNote(undefined), DONE_MS);
  };
  const hasSnapshot = (): boolean => session.state.snapshot !== null;
  createEffect(
    on([options.linked, options.scroller, hasSnapshot], ([linked, scroller, ready]) => {
      if (linked === undefined || scroller === undefined || !ready) return;
      const link = new AbortController();
      onCleanup(() => {
        link.abort();
        tell(undefined);
      });
      const { place } = linked;
      void follow(options, place, scroller, link.signal, tell);
    }),
  );
  return {
    openMenu: session.placeUrl === undefined ? undefined : (id, button) => setMenu({ id, button }),
    view: () => (
      <>
        <NoteView note={note()} onDismiss={() => tell(undefined)} />
        <Suspense>
          <Show when={menu()} keyed>
            {({ id, button }) => (
              <ItemMenu
                session={session}
                id={id}
                button={button}
                onCopied={(what) => tell({ kind: "done", text: `${what} copied` })}
                onClose={() => setMenu(undefined)}
              />
            )}
          </Show>
        </Suspense>
      </>
    ),
  };
}

async function follow(
  { session, scroll, folds }: TimelineLinksOptions,
  place: number,
  scroller: HTMLElement,
  signal: AbortSignal,
  tell: (note: Note | undefined) => void,
): Promise<void> {
  tell({ kind: "busy", text: "Looking for the linked place…" });
  const { followPlace } = await import("../link-target.js");
  if (signal.aborted) return;
  const followed = await followPlace({ session, place, scroller, scroll, folds, signal });
  if (signal.aborted) return;
  if (followed.state === "shown") tell(undefined);
  else if (followed.state === "lost")
    tell({ kind: "problem", text: `The linked place could not be reached. ${followed.message}` });
  else
    tell({
      kind: "problem",
      text: `Nothing in this conversation has the number ${place}. The link may be cut short, or belong to another session.`,
    });
}

function NoteView(props: { note: Note | undefined; onDismiss(): void }): JSX.Element {
  return (
    <div class="timeline-note" role="status">
      <Show when={props.note}>
        {(note) => (
          <p class="timeline-note-line" classList={{ "is-problem": note().kind === "problem" }}>
            <Show
              when={note().kind === "busy"}
              fallback={<Icon name={note().kind === "done" ? "check" : "info"} size={14} />}
            >
              <Spinner />
            </Show>
            <span>{note().text}</span>
            <Show when={note().kind === "problem"}>
              <button
                type="button"
                class="icon-button"
                aria-label="Dismiss"
                onClick={() => props.onDismiss()}
              >
                <Icon name="cross" size={14} />
              </button>
            </Show>
          </p>
        )}
      </Show>
    </div>
  );
}
