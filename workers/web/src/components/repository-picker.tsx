/** Chooses a repository: type to narrow, arrow keys to move, Enter to take. The last ones used come first. */
import type { RepositoryId, RepositorySummary } from "@farhand/protocol";
import { Icon } from "@farhand/session-view";
import { createMemo, createSignal, createUniqueId, For, type JSX, Show } from "solid-js";

const RECENT_KEY = "farhand.repositories";
const RECENT_MAX = 5;
const SHOWN_MAX = 50;

/** The repositories used last, newest first. */
export function recentRepositories(): RepositoryId[] {
  return (localStorage.getItem(RECENT_KEY) ?? "").split(" ").filter(Boolean);
}

export function rememberRepository(id: RepositoryId): void {
  const list = [id, ...recentRepositories().filter((one) => one !== id)].slice(0, RECENT_MAX);
  localStorage.setItem(RECENT_KEY, list.join(" "));
}

export interface RepositoryPickerProps {
  repositories: readonly RepositorySummary[];
  value: RepositoryId | null;
  onChange(id: RepositoryId): void;
  /** Said in place of the list while there is none. */
  note: string | null;
}

export function RepositoryPicker(props: RepositoryPickerProps): JSX.Element {
  const [open, setOpen] = createSignal(false);
  const [typed, setTyped] = createSignal<string | null>(null);
  const [active, setActive] = createSignal(0);
  const listId = createUniqueId();
  const recent = recentRepositories();
  const rank = (one: RepositorySummary): number => {
    const at = recent.indexOf(one.id);
    return at < 0 ? recent.length : at;
  };
  const shown = createMemo(() => {
    const words = (typed() ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    return props.repositories
      .filter((one) => words.every((word) => `${one.id} ${one.description}`.toLowerCase().includes(word)))
      .sort((one, other) => rank(one) - rank(other))
      .slice(0, SHOWN_MAX);
  });
  const take = (one: RepositorySummary | undefined): void => {
    if (one !== undefined) props.onChange(one.id);
    setTyped(null);
    setOpen(false);
  };
  const show = (): void => {
    setActive(
      Math.max(
        0,
        shown().findIndex((one) => one.id === props.value),
      ),
    );
    setOpen(true);
  };
  const move = (step: number): void => {
    if (!open()) show();
    else setActive((active() + step + shown().length) % Math.max(1, shown().length));
    document.getElementById(`${listId}-${active()}`)?.scrollIntoView({ block: "nearest" });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Enter" && open()) take(shown()[active()]);
    else if (event.key === "Escape" && open()) {
      event.stopPropagation();
      take(undefined);
    } else return;
    event.preventDefault();
  };
  return (
    <div class="picker">
      <Icon name="repository" size={16} class="picker-icon" />
      <input
        type="text"
        role="combobox"
        aria-label="Repository"
        aria-expanded={open()}
        aria-controls={listId}
        aria-autocomplete="list"
        aria-activedescendant={open() && shown().length > 0 ? `${listId}-${active()}` : undefined}
        autocomplete="off"
        spellcheck={false}
        placeholder={props.note ?? "Choose a repository"}
        value={typed() ?? props.value ?? ""}
        onFocus={(event) => {
          event.currentTarget.select();
          show();
        }}
        onClick={show}
        onBlur={() => take(undefined)}
        onInput={(event) => {
          setTyped(event.currentTarget.value);
          setActive(0);
          setOpen(true);
        }}
        onKeyDown={onKeyDown}
      />
      <Icon name="chevron" size={13} class="select-chevron" />
      <div
        class="picker-list"
        id={listId}
        role="listbox"
        aria-label="Repositories"
        hidden={!open() || shown().length === 0}
      >
        <For each={shown()}>
          {(one, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are the text field's, which keeps the focus
            // biome-ignore lint/a11y/useFocusableInteractive: the text field keeps the focus and points here
            <div
              id={`${listId}-${index()}`}
              role="option"
              aria-selected={index() === active()}
              classList={{ "is-active": index() === active() }}
              onPointerDown={(event) => event.preventDefault()}
              onClick={() => take(one)}
            >
              <span class="picker-name">{one.id}</span>
              <span class="picker-branch">{one.defaultBranch}</span>
              <Show when={one.description}>
                <span class="picker-description">{one.description}</span>
              </Show>
            </div>
          )}
        </For>
      </div>
      <Show when={open() && shown().length === 0 && props.repositories.length > 0}>
        <p class="picker-list picker-none">No repository of yours matches.</p>
      </Show>
    </div>
  );
}
