/**
 * The list above the composer while `@` or `/` is being written. The text keeps the focus and names the marked line
 * (`aria-activedescendant`), as in a combobox; a field of several lines may not call itself one. Loaded at the first such sign.
 */
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
import { plural } from "../format.js";
import { type Suggestion, suggestionsFor } from "../suggest.js";
import type { Suggest, Trigger } from "../trigger.js";
import { Icon } from "./icons.jsx";

/** What the composer needs of an open list. */
export interface SuggestionList {
  /** True when the key was meant for the list. */
  onKey(event: KeyboardEvent): boolean;
}

export interface SuggestionsProps {
  trigger: Trigger;
  suggest: Suggest;
  listId: string;
  handle(list: SuggestionList | undefined): void;
  /** The marked line; absent while there is none. */
  onActive(id: string | undefined): void;
  onChoose(suggestion: Suggestion): void;
  onClose(): void;
}

export function Suggestions(props: SuggestionsProps): JSX.Element {
  const list = createMemo(() => suggestionsFor(props.trigger, props.suggest));
  const [at, setAt] = createSignal(0);
  const optionId = (index: number): string => `${props.listId}-${index}`;
  createEffect(on(list, () => setAt(0)));
  createEffect(() => props.onActive(list().length > 0 ? optionId(at()) : undefined));
  const choose = (index: number): void => {
    const chosen = list()[index];
    if (chosen !== undefined) props.onChoose(chosen);
  };
  const onKey = (event: KeyboardEvent): boolean => {
    const count = list().length;
    if (count === 0 || event.isComposing || event.altKey) return false;
    switch (event.key) {
      case "ArrowDown":
        setAt((at() + 1) % count);
        return true;
      case "ArrowUp":
        setAt((at() + count - 1) % count);
        return true;
      case "Enter":
      case "Tab":
        // A file in the middle of a prompt does not keep the prompt from being sent.
        if (event.shiftKey || ((event.metaKey || event.ctrlKey) && props.trigger.kind === "file"))
          return false;
        choose(at());
        return true;
      case "Escape":
        props.onClose();
        return true;
      default:
        return false;
    }
  };
  onMount(() => props.handle({ onKey }));
  onCleanup(() => {
    props.handle(undefined);
    props.onActive(undefined);
  });
  const things = (): string => (props.trigger.kind === "file" ? "file" : "command");
  return (
    <Show when={list().length > 0}>
      <p class="visually-hidden" role="status">
        {plural(list().length, things())}. Arrow keys choose, Enter takes, Escape closes.
      </p>
      <div
        class="suggestions"
        role="listbox"
        id={props.listId}
        aria-label={props.trigger.kind === "file" ? "Files" : "Commands"}
        tabindex="-1"
      >
        <For each={list()}>
          {(one, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents lint/a11y/useFocusableInteractive: the text has the focus and the keys
            <div
              class="suggestion"
              role="option"
              id={optionId(index())}
              aria-selected={index() === at()}
              ref={(element) =>
                createEffect(() => index() === at() && element.scrollIntoView({ block: "nearest" }))
              }
              onPointerMove={() => setAt(index())}
              onPointerDown={(event) => event.preventDefault()}
              onClick={() => choose(index())}
            >
              <SuggestionText suggestion={one} />
            </div>
          )}
        </For>
      </div>
    </Show>
  );
}

function SuggestionText(props: { suggestion: Suggestion }): JSX.Element {
  const file = () => (props.suggestion.kind === "file" ? props.suggestion : undefined);
  const command = () => (props.suggestion.kind === "command" ? props.suggestion.command : undefined);
  const slash = (path: string): number => path.lastIndexOf("/") + 1;
  return (
    <>
      <Show when={file()}>
        {(one) => (
          <>
            <Icon name="file" size={14} />
            <span class="suggestion-name mono">{one().path.slice(slash(one().path))}</span>
            <span class="suggestion-detail mono">{one().path.slice(0, slash(one().path))}</span>
          </>
        )}
      </Show>
      <Show when={command()}>
        {(one) => (
          <>
            <span class="suggestion-name mono">/{one().name}</span>
            <span class="suggestion-detail">{one().detail}</span>
          </>
        )}
      </Show>
    </>
  );
}
