/** What can be done with one thing of the timeline: its link and its words go to the clipboard. Loaded at the first use. */
import { type JSX, onCleanup, onMount, Show } from "solid-js";
import type { Session } from "../session-store.js";
import { Icon, type IconName } from "./icons.jsx";

export interface ItemMenuProps {
  session: Session;
  id: string;
  /** What it belongs to, where the focus goes back to. */
  button: HTMLElement;
  onCopied(what: string): void;
  onClose(): void;
}

export function ItemMenu(props: ItemMenuProps): JSX.Element {
  let menu: HTMLDivElement | undefined;
  const url = (): string | undefined => {
    const place = props.session.places.of(props.id);
    return place === undefined ? undefined : props.session.placeUrl?.(place);
  };
  const text = (): string => textOf(props.session, props.id);
  const copy = async (what: string, words: string): Promise<void> => {
    menu?.hidePopover();
    await navigator.clipboard.writeText(words);
    props.onCopied(what);
  };
  onMount(() => {
    if (menu === undefined) return;
    menu.showPopover();
    const { right, bottom, top } = props.button.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = menu;
    menu.style.left = `${Math.max(8, Math.min(right, innerWidth - 8) - width)}px`;
    menu.style.top = `${bottom + height + 8 > innerHeight ? top - height - 4 : bottom + 4}px`;
    menu.querySelector("button")?.focus();
  });
  // What it belongs to scrolls away below it.
  const close = (): void => menu?.hidePopover();
  addEventListener("scroll", close, { capture: true, once: true });
  onCleanup(() => removeEventListener("scroll", close, { capture: true }));
  const onKeyDown = (event: KeyboardEvent): void => {
    // Only this layer is closed.
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const rows = [...(menu?.querySelectorAll("button") ?? [])];
    const at = rows.indexOf(document.activeElement as HTMLButtonElement);
    rows.at((at + (event.key === "ArrowDown" ? 1 : -1)) % rows.length)?.focus();
  };
  return (
    <div
      ref={menu}
      popover="auto"
      role="menu"
      tabindex="-1"
      aria-label="More"
      class="popover menu item-menu"
      onKeyDown={onKeyDown}
      on:toggle={(event) => {
        if (event.newState !== "closed") return;
        if (menu?.contains(document.activeElement) || document.activeElement === document.body)
          props.button.focus();
        props.onClose();
      }}
    >
      <Show when={url()}>
        {(link) => <Row icon="link" name="Copy link" onChoose={() => void copy("Link", link())} />}
      </Show>
      <Show when={text()}>
        {(words) => <Row icon="copy" name="Copy text" onChoose={() => void copy("Text", words())} />}
      </Show>
    </div>
  );
}

function Row(props: { icon: IconName; name: string; onChoose(): void }): JSX.Element {
  return (
    <button type="button" role="menuitem" class="menu-row" onClick={() => props.onChoose()}>
      <Icon name={props.icon} />
      <span class="menu-name">{props.name}</span>
    </button>
  );
}

/** The words of a prompt or an item, as they were written. */
function textOf(session: Session, id: string): string {
  const { earlier } = session.history;
  const snapshot = session.state.snapshot;
  const prompt = [...earlier.prompts, ...(snapshot?.prompts ?? [])].findLast((one) => one.id === id);
  if (prompt !== undefined) return prompt.text;
  const content = [...earlier.items, ...(snapshot?.items ?? [])].findLast((one) => one.id === id)?.content;
  switch (content?.type) {
    case "text":
    case "reasoning":
    case "notice":
      return content.text;
    case "tool":
      return content.output === "" ? content.title : content.output;
    default:
      return "";
  }
}
