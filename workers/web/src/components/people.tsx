/** Everybody who was let in, for those who run the deployment; others are not shown that there is such a list. */
import type { Person, UserId } from "@farhand/protocol";
import { Avatar, plural } from "@farhand/session-view";
import { createSignal, For, type JSX, Show } from "solid-js";
import { api, exportUrl } from "../api.js";
import { createLoad, isConcealed } from "../load.js";
import { dateText } from "../words.js";
import { Confirm } from "./confirm.jsx";
import { Erasures } from "./erasures.jsx";
import { ERASURE_TEXT } from "./own-data.jsx";
import { Await, Section } from "./parts.jsx";

export function People(props: { me: UserId }): JSX.Element {
  const list = createLoad(async () => (await api.people()).people);
  const [asked, setAsked] = createSignal<Person | null>(null);
  const [deleting, setDeleting] = createSignal<Person | null>(null);
  const [ordered, setOrdered] = createSignal(0);
  return (
    <Show when={!isConcealed(list)}>
      <Section
        title="People"
        text="Who may sign in is named in ALLOWED_LOGINS, ALLOWED_ORGANISATIONS and ALLOWED_TEAMS, who runs this deployment in OPERATORS. What somebody may do in a session is set there, beside their name."
      >
        <Await load={list}>
          {(people) => (
            <ul class="rows" aria-label="People">
              <For each={people()}>
                {(person) => (
                  <PersonRow
                    person={person}
                    me={person.id === props.me}
                    onAsk={() => setAsked(person)}
                    onDelete={() => setDeleting(person)}
                  />
                )}
              </For>
            </ul>
          )}
        </Await>
        <Erasures ordered={ordered()} />
        <Show when={deleting()}>
          {(person) => (
            <Confirm
              title={`Delete ${person().name}?`}
              text={`@${person().login} is signed out everywhere at once. ${ERASURE_TEXT}`}
              action="Delete"
              typed={person().login}
              keep="Keep them"
              onConfirm={async () => {
                await api.erasePerson(person().id, { login: person().login });
                setOrdered((count) => count + 1);
                await list.again();
              }}
              onClose={() => setDeleting(null)}
            />
          )}
        </Show>
        <Show when={asked()}>
          {(person) => (
            <StandingQuestion person={person()} onDone={() => list.again()} onClose={() => setAsked(null)} />
          )}
        </Show>
      </Section>
    </Show>
  );
}

/** Asked before somebody is removed, or let back in. */
function StandingQuestion(props: { person: Person; onDone(): Promise<void>; onClose(): void }): JSX.Element {
  // The list may be newer than the question.
  const { login, name, refusedAt } = props.person;
  const removed = refusedAt === null;
  const confirm = async (): Promise<void> => {
    await api.removePerson({ login, removed });
    await props.onDone();
  };
  return (
    <Confirm
      title={removed ? `Remove ${name}?` : `Let ${name} back in?`}
      text={
        removed
          ? `@${login} is signed out everywhere at once, their keys end, and they may not sign in again until an operator lets them. What they wrote stays.`
          : `@${login} may sign in again where the lists of this deployment name them. Their keys do not come back.`
      }
      action={removed ? "Remove" : "Let back in"}
      tone={removed ? "danger" : "primary"}
      keep={removed ? "Keep them" : "Leave it so"}
      onConfirm={confirm}
      onClose={props.onClose}
    />
  );
}

function PersonRow(props: { person: Person; me: boolean; onAsk(): void; onDelete(): void }): JSX.Element {
  const standing = (): string => {
    const { refusedAt, signIns, keys, seenAt } = props.person;
    if (refusedAt !== null) return `may not sign in since ${dateText(refusedAt)}`;
    return `signed in ${dateText(seenAt)} · ${plural(signIns, "browser")} · ${plural(keys, "key")}`;
  };
  return (
    <li class="row">
      <Avatar id={props.person.id} name={props.person.name} />
      <span class="row-text">
        <span class="row-name">
          {props.person.name}
          <Show when={props.me}>
            <span class="chip">you</span>
          </Show>
        </span>
        <span class="row-detail">
          {props.person.login} · {standing()}
        </span>
        <Show when={!props.me}>
          <span class="row-tools">
            <a class="text-button" href={exportUrl(props.person.id)} download="">
              Export data<span class="visually-hidden"> of {props.person.name}</span>
            </a>
            <button type="button" class="text-button is-danger" onClick={() => props.onDelete()}>
              Delete with all data<span class="visually-hidden"> {props.person.name}</span>
            </button>
          </span>
        </Show>
      </span>
      <span class="chip" classList={{ "is-strong": props.person.operator }}>
        {props.person.operator ? "operator" : "member"}
      </span>
      <Show when={!props.me}>
        <button type="button" class="button is-small" onClick={() => props.onAsk()}>
          {props.person.refusedAt === null ? "Remove" : "Let back in"}
          <span class="visually-hidden"> {props.person.name}</span>
        </button>
      </Show>
    </li>
  );
}
