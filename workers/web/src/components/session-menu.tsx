/** What can be done with a session as a whole: rename, archive, delete. What a role may not do says so. */
import type { Role, SessionInfo } from "@farhand/protocol";
import { createPopover, evaluatePermission, Icon, type IconName } from "@farhand/session-view";
import { createEffect, type JSX, on } from "solid-js";

export interface SessionMenuProps {
  session: SessionInfo;
  role: Role;
  /** Whether a turn runs or prompts wait. */
  busy: boolean;
  onRename(): void;
  onArchive(archived: boolean): void;
  onDelete(): void;
}

export function SessionMenu(props: SessionMenuProps): JSX.Element {
  const popover = createPopover();
  let list: HTMLDivElement | undefined;
  let button: HTMLButtonElement | undefined;
  const archived = (): boolean => props.session.archivedAt !== undefined;
  const refusal = (action: "rename" | "archive" | "delete"): string | undefined => {
    if (evaluatePermission(props.role, action)) {
      return action === "archive" && !archived() && props.busy
        ? "Stop the turn and take back what waits first"
        : undefined;
    }
    return action === "rename" ? "Viewers cannot rename" : "Only an owner can";
  };
  const run = (action: () => void) => (): void => {
    popover.setOpen(false);
    // What follows gives the focus back to where it came from.
    button?.focus();
    action();
  };
  createEffect(
    on(popover.open, (open) => open && list?.querySelector<HTMLElement>("button")?.focus(), { defer: true }),
  );
  const onArrow = (event: KeyboardEvent): void => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    const rows = [...(list?.querySelectorAll<HTMLElement>("button") ?? [])];
    const at = rows.indexOf(document.activeElement as HTMLElement);
    rows.at((at + (event.key === "ArrowDown" ? 1 : -1)) % rows.length)?.focus();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: only listens for Escape of the controls inside
    <div class="menu-frame" ref={popover.frame} onKeyDown={popover.onKeyDown}>
      <button
        type="button"
        ref={button}
        class="icon-button"
        aria-label="More about this session"
        title="More"
        aria-haspopup="menu"
        aria-expanded={popover.open()}
        aria-controls={popover.panelId}
        onClick={popover.toggle}
      >
        <Icon name="more" size={17} />
      </button>
      <div
        class="popover menu"
        id={popover.panelId}
        role="menu"
        aria-label="Session"
        tabindex="-1"
        hidden={!popover.open()}
        ref={list}
        onKeyDown={onArrow}
      >
        <MenuRow icon="edit" name="Rename" refusal={refusal("rename")} onChoose={run(props.onRename)} />
        <MenuRow
          icon="archive"
          name={archived() ? "Take up again" : "Archive"}
          refusal={refusal("archive")}
          onChoose={run(() => props.onArchive(!archived()))}
        />
        <MenuRow
          icon="trash"
          name="Delete…"
          danger
          refusal={refusal("delete")}
          onChoose={run(props.onDelete)}
        />
      </div>
    </div>
  );
}

function MenuRow(props: {
  icon: IconName;
  name: string;
  danger?: boolean;
  /** Why it cannot be done; absent when it can. */
  refusal: string | undefined;
  onChoose(): void;
}): JSX.Element {
  return (
    <button
      type="button"
      role="menuitem"
      class="menu-row"
      classList={{ "is-danger": props.danger === true }}
      aria-disabled={props.refusal !== undefined}
      onClick={() => props.refusal === undefined && props.onChoose()}
    >
      <Icon name={props.icon} />
      <span class="menu-name">{props.name}</span>
      <span class="menu-why">{props.refusal}</span>
    </button>
  );
}
