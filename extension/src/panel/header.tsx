/** The upper edge: which session is shown, all others behind it, a new one, and the same session in the web client. */
import type { SessionSummary } from "@farhand/protocol";
import { createPopover, formatAge, Icon, Spinner } from "@farhand/session-view";
import { For, type JSX, Show } from "solid-js";
import type { Known } from "./workspace.jsx";

export interface PanelHeaderProps {
  known: Known;
  current: string | null;
  sessions: readonly SessionSummary[];
  /** The list is about to be looked at. */
  onList(): void;
  onOpen(sessionId: string | null): void;
  onSignOut(): void;
}

export function PanelHeader(props: PanelHeaderProps): JSX.Element {
  const shown = () => props.sessions.find((one) => one.sessionId === props.current);
  const title = (): string => (props.current === null ? "New session" : shown()?.title || "Session");
  const address = (): string =>
    props.current === null
      ? props.known.deployment.address
      : props.known.deployment.sessionUrl(props.current);
  const popover = createPopover();
  const open = (sessionId: string | null): void => {
    popover.setOpen(false);
    props.onOpen(sessionId);
  };
  return (
    <header class="panel-header">
      {/* biome-ignore lint/a11y/noStaticElementInteractions: only listens for Escape of the controls inside */}
      <div class="switcher" ref={popover.frame} onKeyDown={popover.onKeyDown}>
        <button
          type="button"
          class="switcher-button"
          aria-expanded={popover.open()}
          aria-controls={popover.panelId}
          onClick={() => {
            props.onList();
            popover.toggle();
          }}
        >
          <Show when={shown()?.activity === "running"}>
            <Spinner label="running" />
          </Show>
          <span class="switcher-text">
            <h1 class="switcher-title">{title()}</h1>
            <span class="switcher-facts">
              <Show when={shown()} fallback={new URL(props.known.deployment.address).host}>
                {(one) => (
                  <>
                    {shortRepository(one().repository)} · {formatAge(one().updatedAt, Date.now())}
                  </>
                )}
              </Show>
            </span>
          </span>
          <Icon name="chevrons" />
          <span class="visually-hidden">Switch session</span>
        </button>
        <section class="switcher-list" id={popover.panelId} hidden={!popover.open()} aria-label="Sessions">
          <ul>
            <For
              each={props.sessions}
              fallback={<li class="switcher-none">No sessions yet. Write a prompt to start one.</li>}
            >
              {(one) => (
                <li>
                  <button
                    type="button"
                    class="switcher-row"
                    aria-current={one.sessionId === props.current ? "true" : undefined}
                    onClick={() => open(one.sessionId)}
                  >
                    <span class="switcher-state">
                      <Show
                        when={one.activity === "running"}
                        fallback={<Icon name={one.activity === "failed" ? "alert" : "circle"} size={13} />}
                      >
                        <Spinner label="running" />
                      </Show>
                    </span>
                    <span class="switcher-text">
                      <span class="switcher-name">{one.title || "New session"}</span>
                      <span class="switcher-facts">
                        {shortRepository(one.repository)} · {formatAge(one.updatedAt, Date.now())}
                      </span>
                    </span>
                  </button>
                </li>
              )}
            </For>
          </ul>
          <p class="switcher-foot">
            <span class="switcher-user">{props.known.user.name}</span>
            <button type="button" class="text-button" onClick={() => props.onSignOut()}>
              Sign out
            </button>
          </p>
        </section>
      </div>
      <button
        type="button"
        class="icon-button"
        aria-label="New session"
        title="New session"
        onClick={() => open(null)}
      >
        <Icon name="plus" size={17} />
      </button>
      <a
        class="icon-button"
        href={address()}
        target="_blank"
        rel="noreferrer"
        aria-label="Open in the web client"
        title="Open in the web client"
      >
        <Icon name="external" size={16} />
      </a>
    </header>
  );
}

function shortRepository(repository: string): string {
  return repository.slice(repository.indexOf("/") + 1);
}
