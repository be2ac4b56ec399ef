/** The session list: new session, search, filter, groups, and at its foot the user and the theme. */
import type { SessionSummary, User } from "@farhand/protocol";
import { Avatar, formatAge, Icon, type IconName, keyName, LineCounts, Spinner } from "@farhand/session-view";
import { createMemo, createSignal, For, type JSX, Match, Show, Switch } from "solid-js";
import { signOut } from "../account.js";
import { followLink, route } from "../router.js";
import { isSeen } from "../seen.js";
import {
  filterSessions,
  groupSessions,
  needsMe,
  type SessionListing,
  type SessionListState,
  type StateFilter,
  type Whose,
} from "../session-list.js";
import { cycleTheme, type Theme, theme } from "../theme.js";
import { Mark } from "./mark.jsx";
import { RailFilter } from "./rail-filter.jsx";

export interface RailProps {
  user: User;
  listing: SessionListing;
  onHide(): void;
  onHelp(): void;
  searchField(element: HTMLInputElement): void;
}

export function Rail(props: RailProps): JSX.Element {
  const [search, setSearch] = createSignal("");
  const [whose, setWhose] = createSignal<Whose>(
    localStorage.getItem("farhand.filter") === "team" ? "team" : "mine",
  );
  const [repository, setRepository] = createSignal<string>("all");
  const [state, setState] = createSignal<StateFilter>("all");
  const choose = (next: Whose): void => {
    setWhose(next);
    if (next !== "needs-me") localStorage.setItem("farhand.filter", next);
  };
  const shown = createMemo(() =>
    filterSessions(props.listing.state.sessions, {
      search: search(),
      whose: whose(),
      me: props.user.id,
      repository: repository(),
      state: state(),
      seen: isSeen,
    }),
  );
  const waiting = createMemo(
    () => props.listing.state.sessions.filter((one) => needsMe(one, props.user.id, isSeen)).length,
  );
  const repositories = createMemo(() =>
    [...new Set(props.listing.state.sessions.map((one) => one.repository))].sort(),
  );
  const groups = createMemo(() => groupSessions(shown(), props.listing.now()));
  return (
    <nav class="rail" aria-label="Sessions">
      <RailHead onHide={props.onHide} />
      <Search value={search()} onInput={setSearch} field={props.searchField} />
      <RailFilter
        whose={whose()}
        waiting={waiting()}
        onChoose={choose}
        repositories={repositories()}
        repository={repository()}
        onRepository={setRepository}
        state={state()}
        onState={setState}
        archived={props.listing.state.archived}
        onArchived={props.listing.showArchived}
      />
      <h2 class="visually-hidden">{props.listing.state.archived ? "Archived sessions" : "Sessions"}</h2>
      <div class="rail-list" data-list>
        <Switch>
          <Match when={!props.listing.state.loaded && props.listing.state.error === null}>
            <Skeleton />
          </Match>
          <Match when={!props.listing.state.loaded}>
            <p class="rail-note" role="alert">
              {props.listing.state.error}{" "}
              <button type="button" class="text-button" onClick={() => void props.listing.refresh()}>
                Try again
              </button>
            </p>
          </Match>
          <Match when={groups().length === 0}>
            <p class="rail-note">
              {emptyText(search(), whose(), repository() !== "all" || state() !== "all", props.listing.state)}
            </p>
          </Match>
        </Switch>
        <For each={groups()}>
          {(group) => (
            <section aria-label={group.name}>
              <h3 class="group-label">{group.name}</h3>
              <ul>
                <For each={group.sessions}>
                  {(session) => (
                    <Row session={session} now={props.listing.now()} showName={whose() === "team"} />
                  )}
                </For>
              </ul>
            </section>
          )}
        </For>
        <Show when={props.listing.state.more}>
          <button type="button" class="text-button rail-more" onClick={() => void props.listing.loadMore()}>
            Show older
          </button>
        </Show>
      </div>
      <RailLinks />
      <RailFoot user={props.user} onHelp={props.onHelp} />
    </nav>
  );
}

function RailHead(props: { onHide(): void }): JSX.Element {
  return (
    <>
      <div class="rail-head">
        <a class="brand" href="/" onClick={followLink}>
          <Mark />
          Farhand
        </a>
        <button
          type="button"
          class="icon-button rail-hide"
          aria-label="Hide the session list"
          title={`Hide (${keyName("⌘B")})`}
          onClick={() => props.onHide()}
        >
          <Icon name="sidebar" size={17} />
        </button>
      </div>
      <a class="button is-primary rail-new" href="/new" onClick={followLink}>
        <Icon name="plus" size={16} />
        New session
        <span class="key" aria-hidden="true">
          C
        </span>
      </a>
    </>
  );
}

function Search(props: {
  value: string;
  onInput(value: string): void;
  field(element: HTMLInputElement): void;
}): JSX.Element {
  return (
    <label class="search">
      <Icon name="search" />
      <span class="visually-hidden">Search sessions</span>
      <input
        type="search"
        placeholder="Search sessions"
        ref={props.field}
        value={props.value}
        onInput={(event) => props.onInput(event.currentTarget.value)}
      />
      <span class="key" aria-hidden="true">
        {keyName("⌘K")}
      </span>
    </label>
  );
}

function emptyText(search: string, whose: Whose, filtered: boolean, listing: SessionListState): string {
  if (search.trim() !== "")
    return "Nothing matches. Search looks at title, repository, author and pull request number.";
  if (filtered && listing.sessions.length > 0) return "No session is of that repository and state.";
  if (whose === "needs-me" && listing.sessions.length > 0) return "Nothing waits for you.";
  if (whose === "mine" && listing.sessions.length > 0)
    return `You have none${listing.archived ? " here" : " yet"}. Those of the others are under Team.`;
  return listing.archived
    ? "Nothing is archived. A session is archived from the menu beside its title."
    : "No sessions yet. The first one starts with a prompt.";
}

function Row(props: { session: SessionSummary; now: number; showName: boolean }): JSX.Element {
  const current = (): boolean => {
    const now = route();
    return now.page === "session" && now.sessionId === props.session.sessionId;
  };
  const parts = (): string[] => {
    const name = props.session.repository.slice(props.session.repository.indexOf("/") + 1);
    return [
      name,
      ...(props.showName ? [props.session.createdByName.split(" ")[0] ?? ""] : []),
      reasonText(props.session, props.now),
    ];
  };
  const changed = (): boolean => props.session.additions + props.session.deletions > 0;
  return (
    <li>
      <a
        class="rail-row"
        data-session={props.session.sessionId}
        href={`/sessions/${props.session.sessionId}`}
        aria-current={current() ? "page" : undefined}
        onClick={followLink}
      >
        <RowIcon session={props.session} />
        <span class="rail-title">
          {props.session.title}
          <Show when={!isSeen(props.session) && !current() && props.session.activity !== "running"}>
            <span class="rail-new-dot">
              <span class="visually-hidden"> (new)</span>
            </span>
          </Show>
        </span>
        <span class="rail-meta">
          <span class="rail-reason">{parts().join(" · ")}</span>
          <Show when={changed()}>
            <LineCounts additions={props.session.additions} deletions={props.session.deletions} />
          </Show>
        </span>
      </a>
    </li>
  );
}

function reasonText(session: SessionSummary, now: number): string {
  const age = formatAge(session.updatedAt, now);
  if (session.activity === "running") return formatAge(session.createdAt, now);
  if (session.activity === "failed") return `failed ${age}`;
  return session.pullRequestNumber === undefined ? age : `PR #${session.pullRequestNumber} · ${age}`;
}

function RowIcon(props: { session: SessionSummary }): JSX.Element {
  const icon = (): { name: IconName; tone: string; label: string } => {
    if (props.session.archived === true) return { name: "archive", tone: "is-quiet", label: "archived" };
    if (props.session.activity === "failed") return { name: "cross", tone: "is-error", label: "failed" };
    if (props.session.pullRequestNumber !== undefined)
      return { name: "pull", tone: "is-ok", label: "has a pull request" };
    return { name: "check", tone: "is-quiet", label: "idle" };
  };
  return (
    <span class="rail-icon">
      <Show
        when={props.session.activity === "running"}
        fallback={
          <>
            <Icon name={icon().name} class={icon().tone} />
            <span class="visually-hidden">{icon().label}: </span>
          </>
        }
      >
        <Spinner />
        <span class="visually-hidden">running: </span>
      </Show>
    </span>
  );
}

function Skeleton(): JSX.Element {
  return (
    <div class="skeleton" aria-hidden="true">
      <For each={[0, 1, 2, 3, 4]}>{() => <span />}</For>
    </div>
  );
}

const THEME_ICONS: Record<Theme, IconName> = { system: "system", light: "sun", dark: "moon" };

function RailLinks(): JSX.Element {
  const at = (pages: readonly string[]): "page" | undefined =>
    pages.includes(route().page) ? "page" : undefined;
  return (
    <div class="rail-links">
      <a href="/repositories" aria-current={at(["repositories", "repository"])} onClick={followLink}>
        <Icon name="repository" size={16} />
        Repositories
      </a>
      <a href="/metrics" aria-current={at(["metrics"])} onClick={followLink}>
        <Icon name="chart" size={16} />
        Metrics
      </a>
      <a href="/settings" aria-current={at(["settings"])} onClick={followLink}>
        <Icon name="settings" size={16} />
        Settings
      </a>
    </div>
  );
}

function RailFoot(props: { user: User; onHelp(): void }): JSX.Element {
  return (
    <div class="rail-foot">
      <Avatar id={props.user.id} name={props.user.name} />
      <span class="rail-user" title={props.user.email}>
        {props.user.name}
      </span>
      <button
        type="button"
        class="icon-button rail-help"
        aria-label="Keyboard shortcuts"
        title="Keyboard shortcuts (?)"
        onClick={() => props.onHelp()}
      >
        <Icon name="keyboard" size={17} />
      </button>
      <button
        type="button"
        class="icon-button"
        aria-label={`Theme: ${theme()}`}
        title={`Theme: ${theme()}`}
        onClick={cycleTheme}
      >
        <Icon name={THEME_ICONS[theme()]} size={16} />
      </button>
      <button
        type="button"
        class="icon-button"
        aria-label="Sign out"
        title="Sign out"
        onClick={() => void signOut()}
      >
        <Icon name="signOut" size={16} />
      </button>
    </div>
  );
}
