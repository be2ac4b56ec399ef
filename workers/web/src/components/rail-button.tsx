/** The button that brings the session list back where the rail is an overlay. */

import { Icon } from "@farhand/session-view";
import type { JSX } from "solid-js";

export function RailButton(props: { onRail(): void }): JSX.Element {
  return (
    <button
      type="button"
      class="icon-button rail-open"
      aria-label="Show the session list"
      onClick={() => props.onRail()}
    >
      <Icon name="menu" size={18} />
    </button>
  );
}
