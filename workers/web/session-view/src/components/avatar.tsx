/** Faces of people without pictures: initials on a colour that belongs to the user id. Loads nothing. */
import type { UserId } from "@farhand/protocol";
import type { JSX } from "solid-js";
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
