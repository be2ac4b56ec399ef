/** Faces of people without pictures: initials on a colour that belongs to the user id. Loads nothing. */
import type { Participant, UserId } from "@farhand/protocol";
import { For, type JSX, Show } from "solid-js";
import { hueOf, initials } from "../format.js";

export function Avatar(props: {
  id: UserId;
  name: string;
  size?: "small" | "medium";
  away?: boolean;
}): JSX.Element {
  return (
    <span
      class={`avatar is-${props.size ?? "medium"}`}
      classList={{ "is-away": props.away === true }}
      style={{ "--hue": String(hueOf(props.id)) }}
      aria-hidden="true"
    >
      {initials(props.name)}
    </span>
  );
}

const SHOWN_MAX = 4;

/** Everyone in a session, those who look at it now in front. */
export function People(props: {
  participants: readonly Participant[];
  present: readonly UserId[];
}): JSX.Element {
  const isHere = (person: Participant): boolean => props.present.includes(person.userId);
  const sorted = (): Participant[] =>
    [...props.participants].sort((one, other) => Number(isHere(other)) - Number(isHere(one)));
  const label = (): string =>
    sorted()
      .map((person) => `${person.name}, ${isHere(person) ? "here now" : "away"}`)
      .join("; ");
  return (
    <span
      class="people"
      role="img"
      aria-label={`Participants: ${label()}`}
      title={label().replaceAll("; ", "\n")}
    >
      <For each={sorted().slice(0, SHOWN_MAX)}>
        {(person) => <Avatar id={person.userId} name={person.name} away={!isHere(person)} />}
      </For>
      <Show when={sorted().length > SHOWN_MAX}>
        <span class="avatar is-medium is-more" aria-hidden="true">
          +{sorted().length - SHOWN_MAX}
        </span>
      </Show>
    </span>
  );
}
