/**
 * The button that every prompt, item and notice of the timeline has where links can be given to others. One menu serves them all:
 * `timeline-links.tsx` loads it at the first press.
 */
import { createContext, type JSX, Show, useContext } from "solid-js";
import { Icon } from "./icons.jsx";

/** Opens the menu of what has this id; absent where there are no links. */
export const OpenItemMenu = createContext<((id: string, button: HTMLElement) => void) | undefined>();

export function ItemMore(props: { id: string; of: string }): JSX.Element {
  const open = useContext(OpenItemMenu);
  return (
    <Show when={open}>
      {(opens) => (
        <button
          type="button"
          class="item-more"
          aria-haspopup="menu"
          aria-label={`More about this ${props.of}`}
          title="More"
          onClick={(event) => opens()(props.id, event.currentTarget)}
        >
          <Icon name="more" size={15} />
        </button>
      )}
    </Show>
  );
}
