/** Which sessions the list shows: whose, and on request of which repository and in which state; and the archived ones. */
import { Icon } from "@farhand/session-view";
import { createSignal, For, type JSX, Show } from "solid-js";
import type { StateFilter, Whose } from "../session-list.js";

export interface RailFilterProps {
  whose: Whose;
  /** Sessions that have come to an end which nobody has looked at here. */
  waiting: number;
  onChoose(whose: Whose): void;
  /** Those of the sessions in the list. */
  repositories: readonly string[];
  repository: string;
  onRepository(repository: string): void;
  state: StateFilter;
  onState(state: StateFilter): void;
  archived: boolean;
  onArchived(archived: boolean): void;
}

const STATES: readonly { value: StateFilter; name: string }[] = [
  { value: "all", name: "In any state" },
  { value: "running", name: "Running" },
  { value: "idle", name: "At rest" },
  { value: "failed", name: "Failed" },
  { value: "pull", name: "With a pull request" },
];

export function RailFilter(props: RailFilterProps): JSX.Element {
  const [open, setOpen] = createSignal(false);
  const narrowed = (): boolean => props.repository !== "all" || props.state !== "all";
  return (
    <>
      <fieldset class="filter">
        <legend class="visually-hidden">Which sessions</legend>
        <button type="button" aria-pressed={props.whose === "mine"} onClick={() => props.onChoose("mine")}>
          Mine
        </button>
        <button type="button" aria-pressed={props.whose === "team"} onClick={() => props.onChoose("team")}>
          Team
        </button>
        <button
          type="button"
          aria-pressed={props.whose === "needs-me"}
          title="Yours that have come to an end since you looked"
          onClick={() => props.onChoose("needs-me")}
        >
          Needs me
          <Show when={props.waiting > 0}>
            <span class="count is-waiting">{props.waiting}</span>
          </Show>
        </button>
        <button
          type="button"
          class="filter-more"
          aria-label="More filters"
          title="Repository, state, archived"
          aria-expanded={open()}
          aria-controls="more-filters"
          onClick={() => setOpen(!open())}
        >
          <Icon name="filter" size={15} />
          <Show when={narrowed()}>
            <span class="rail-new-dot" />
          </Show>
        </button>
      </fieldset>
      <div class="filter-panel" id="more-filters" hidden={!open() && !props.archived}>
        <label>
          <span class="visually-hidden">Repository of the sessions</span>
          <select
            value={props.repository}
            onChange={(event) => props.onRepository(event.currentTarget.value)}
          >
            <option value="all">Every repository</option>
            <For each={props.repositories}>{(one) => <option value={one}>{one}</option>}</For>
          </select>
        </label>
        <label>
          <span class="visually-hidden">State of the sessions</span>
          <select
            value={props.state}
            onChange={(event) =>
              props.onState(STATES.find((one) => one.value === event.currentTarget.value)?.value ?? "all")
            }
          >
            <For each={STATES}>{(one) => <option value={one.value}>{one.name}</option>}</For>
          </select>
        </label>
        <button
          type="button"
          class="filter-archived"
          aria-pressed={props.archived}
          title={props.archived ? "Show the sessions at work" : "Show the archived sessions"}
          onClick={() => props.onArchived(!props.archived)}
        >
          <Icon name="archive" size={14} />
          Archived
        </button>
      </div>
    </>
  );
}
