/** Everybody who was let in, for those who run the deployment; others are not shown that there is such a list. */
import type { Person, UserId } from "@farhand/protocol";
import { Avatar, plural } from "@farhand/session-view";
import { For, type JSX, Show } from "solid-js";
import { api } from "../api.js";
import { createLoad } from "../load.js";
import { dateText } from "../words.js";
import { Await, Section } from "./parts.jsx";

export function People(props: { me: UserId }): JSX.Element {
  const list = createLoad(async () => (await api.people()).people);
  const hidden = (): boolean => {
    const now = list.now();
    return now.state === "loading" || (now.state === "failed" && now.code === "forbidden");
  };
  return (
    <Show when={!hidden()}>
      <Section
        title="People"
        text="Who may sign in is named in ALLOWED_LOGINS, ALLOWED_ORGANISATIONS and ALLOWED_TEAMS, who runs this deployment in OPERATORS. What somebody may do in a session is set there, beside their name."
      >
        <Await load={list}>
          {(people) => (
            <ul class="rows" aria-label="People">
              <For each={people()}>
                {(person) => <PersonRow person={person} me={person.id === props.me} />}
              </For>
            </ul>
          )}
        </Await>
      </Section>
    </Show>
  );
}

function PersonRow(props: { person: Person; me: boolean }): JSX.Element {
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
      </span>
      <span class="chip" classList={{ "is-strong": props.person.operator }}>
        {props.person.operator ? "operator" : "member"}
      </span>
    </li>
  );
}
