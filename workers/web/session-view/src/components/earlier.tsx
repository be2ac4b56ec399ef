/** The upper end of the timeline: fetches what was before when one comes near, says so, and on a failure waits for a click. */
import { createEffect, createSignal, type JSX, Match, on, onCleanup, Show, Switch } from "solid-js";
import type { Session } from "../session-store.js";
import { Icon, Spinner } from "./icons.jsx";

/** How far above the visible part the next page is asked for. */
const NEAR = "600px 0px 0px";

export function EarlierTurns(props: {
  session: Session;
  scroller: () => HTMLElement | undefined;
}): JSX.Element {
  const [mark, setMark] = createSignal<HTMLElement>();
  const [near, setNear] = createSignal(false);
  const history = props.session.history;
  const hasMore = (): boolean => {
    const now = props.session.state.snapshot;
    return now !== null && history.hasMore(now);
  };
  const load = (): void => void props.session.loadEarlier();
  createEffect(
    on([mark, props.scroller], ([element, root]) => {
      if (element === undefined || root === undefined) return;
      const observer = new IntersectionObserver(
        (entries) => setNear(entries.at(-1)?.isIntersecting === true),
        { root, rootMargin: NEAR },
      );
      observer.observe(element);
      // What was fetched has moved the mark; where it is after that is a new question.
      createEffect(
        on(
          history.loading,
          (loading) => {
            if (loading) return;
            setNear(false);
            observer.unobserve(element);
            observer.observe(element);
          },
          { defer: true },
        ),
      );
      onCleanup(() => observer.disconnect());
    }),
  );
  createEffect(() => {
    if (near() && hasMore() && !history.loading() && history.error() === null) load();
  });
  return (
    <Show when={hasMore()}>
      <div class="earlier" ref={setMark} data-no-anchor>
        <Switch
          fallback={
            <button type="button" class="text-button" onClick={load}>
              Show earlier turns
            </button>
          }
        >
          <Match when={history.loading()}>
            <Spinner />
            <span>Loading earlier turns…</span>
          </Match>
          <Match when={history.error()}>
            {(message) => (
              <>
                <Icon name="warning" size={14} />
                <span role="alert">{message()}</span>
                <button type="button" class="text-button" onClick={load}>
                  Try again
                </button>
              </>
            )}
          </Match>
        </Switch>
      </div>
    </Show>
  );
}
