/**
 * The people of a session: their faces in the header, those who look at it now in front, and behind them the list with everyone's role,
 * which owners can change. Says who comes and goes.
 */
import type { Participant, Role, UserId } from "@farhand/protocol";
import { createEffect, createMemo, createSignal, For, type JSX, on, onCleanup, Show } from "solid-js";
import { presenceText } from "../format.js";
import { evaluatePermission, ROLES, roleName, roleOf } from "../policy.js";
import type { Session } from "../session-store.js";
import { Avatar } from "./avatar.jsx";
import { createPopover } from "./popover.js";
import { RefusalLine } from "./refusal.jsx";

const FACES_MAX = 4;

export function People(props: { session: Session; me: UserId }): JSX.Element {
  const popover = createPopover();
  const isHere = (person: Participant): boolean => props.session.present().includes(person.userId);
  const sorted = createMemo((): Participant[] =>
    [...(props.session.state.snapshot?.participants ?? [])].sort(
      (one, other) => Number(isHere(other)) - Number(isHere(one)),
    ),
  );
  const label = (): string =>
    sorted()
      .map((person) => `${person.name}, ${isHere(person) ? "here now" : "away"}`)
      .join("; ");
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: only listens for Escape of the controls inside
    <div class="people-frame" ref={popover.frame} onKeyDown={popover.onKeyDown}>
      <button
        type="button"
        class="people"
        title={label().replaceAll("; ", "\n")}
        aria-expanded={popover.open()}
        aria-controls={popover.panelId}
        onClick={popover.toggle}
      >
        <span class="visually-hidden">Participants: {label()}</span>
        <For each={sorted().slice(0, FACES_MAX)}>
          {(person) => <Avatar id={person.userId} name={person.name} away={!isHere(person)} />}
        </For>
        <Show when={sorted().length > FACES_MAX}>
          <span class="avatar is-medium is-more" aria-hidden="true">
            +{sorted().length - FACES_MAX}
          </span>
        </Show>
      </button>
      <section class="popover is-people" id={popover.panelId} hidden={!popover.open()} aria-label="People">
        <PeopleList session={props.session} me={props.me} />
      </section>
      <Arrivals session={props.session} me={props.me} />
    </div>
  );
}

/** Everyone who was ever here, with role and presence. */
export function PeopleList(props: { session: Session; me: UserId }): JSX.Element {
  const snapshot = () => props.session.state.snapshot;
  const mayChange = (): boolean => {
    const now = snapshot();
    return now !== null && evaluatePermission(roleOf(now, props.me), "change_role");
  };
  const owners = (): number =>
    (snapshot()?.participants ?? []).filter((person) => person.role === "owner").length;
  return (
    <>
      <ul class="person-list">
        <For each={snapshot()?.participants ?? []}>
          {(person) => (
            <li>
              <PersonRow
                session={props.session}
                person={person}
                me={props.me}
                mayChange={mayChange()}
                lastOwner={person.role === "owner" && owners() === 1}
              />
              <RefusalLine session={props.session} place={`role:${person.userId}`} />
            </li>
          )}
        </For>
      </ul>
      <Show when={mayChange()}>
        <p class="person-note">
          Viewers watch. Drivers also prompt, steer, stop and order the queue. Owners may do everything.
        </p>
      </Show>
    </>
  );
}

interface PersonRowProps {
  session: Session;
  person: Participant;
  me: UserId;
  mayChange: boolean;
  /** A session has an owner, so the only one stays. */
  lastOwner: boolean;
}

function PersonRow(props: PersonRowProps): JSX.Element {
  const here = (): boolean => props.session.present().includes(props.person.userId);
  const role = (): Role => props.person.role ?? "driver";
  const live = (): boolean => props.session.status().state === "live";
  const change = (select: HTMLSelectElement): void => {
    props.session.setRole(props.person.userId, select.value as Role);
    // The list shows what the session says; until then, and when it refuses, the old role stands.
    select.value = role();
  };
  return (
    <div class="person-row">
      <Avatar id={props.person.userId} name={props.person.name} away={!here()} />
      <span class="person-text">
        <span class="person-name">
          {props.person.name}
          <Show when={props.person.userId === props.me}>
            <span class="person-login"> you</span>
          </Show>
        </span>
        <span class="person-state" classList={{ "is-here": here() }}>
          <span class="person-login">{props.person.login} · </span>
          {here() ? "here now" : "away"}
        </span>
      </span>
      <Show
        when={props.mayChange && !props.lastOwner}
        fallback={
          <span
            class="person-role"
            title={props.lastOwner ? "The only owner. Make someone else owner first." : undefined}
          >
            {roleName(role())}
          </span>
        }
      >
        <select
          class="role-select"
          aria-label={`Role of ${props.person.name}`}
          value={role()}
          disabled={!live()}
          onChange={(event) => change(event.currentTarget)}
        >
          <For each={ROLES}>{(one) => <option value={one.role}>{one.name}</option>}</For>
        </select>
      </Show>
    </div>
  );
}

const SAID_FOR_MS = 4000;

/** Says for a moment who came and who went; those who are there at the start are no news. */
function Arrivals(props: { session: Session; me: UserId }): JSX.Element {
  const [text, setText] = createSignal("");
  let timer: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(timer));
  const nameOf = (id: UserId): string =>
    props.session.state.snapshot?.participants.find((one) => one.userId === id)?.name ?? "Somebody";
  createEffect(
    on(props.session.present, (now, before) => {
      // Nobody is known to be here before the first list, and after a loss.
      if (before === undefined || before.length === 0 || now.length === 0) return;
      const others = (ids: readonly UserId[], not: readonly UserId[]): string[] =>
        ids.filter((id) => id !== props.me && !not.includes(id)).map(nameOf);
      const said = presenceText(others(now, before), others(before, now));
      if (said === "") return;
      setText(said);
      clearTimeout(timer);
      timer = setTimeout(() => setText(""), SAID_FOR_MS);
    }),
  );
  return (
    <p class="arrivals" classList={{ "is-shown": text() !== "" }} role="status">
      {text()}
    </p>
  );
}
