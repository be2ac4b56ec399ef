/** The signed-in client: session list, one page beside it, and the shortcuts over both. */
import type { Configuration, User } from "@farhand/protocol";
import { stepThroughDiff } from "@farhand/session-view";
import { createEffect, createSignal, type JSX, lazy, Match, on, Show, Suspense, Switch } from "solid-js";
import { Help } from "./components/help.jsx";
import { Problem } from "./components/problem.jsx";
import { Rail } from "./components/rail.jsx";
import { Toasts } from "./components/toasts.jsx";
import { listenForShortcuts } from "./keyboard.js";
import { Home } from "./pages/home.jsx";
import { SessionPage } from "./pages/session.jsx";
import { navigate, route } from "./router.js";
import { archiveSession, createSessionList } from "./session-list.js";

// Opened less often than a session, so that a session need not wait for them.
const NewSession = lazy(() => import("./pages/new-session.jsx"));
const Settings = lazy(() => import("./pages/settings.jsx"));
const Repositories = lazy(() => import("./pages/repositories.jsx"));
const Repository = lazy(() => import("./pages/repository.jsx"));
const Metrics = lazy(() => import("./pages/metrics.jsx"));
const Status = lazy(() => import("./pages/status.jsx"));

/** Below this the rail lies over the page. */
const RAIL_BESIDE = "(min-width: 900px)";
/** Below this the inspector lies over the timeline. */
const INSPECTOR_BESIDE = "(min-width: 1200px)";

export function Workbench(props: { user: User; configuration: Configuration }): JSX.Element {
  const listing = createSessionList();
  const [railHidden, setRailHidden] = createSignal(localStorage.getItem("farhand.rail") === "hidden");
  const [drawer, setDrawer] = createSignal(false);
  const [inspector, setInspector] = createSignal(matchMedia(INSPECTOR_BESIDE).matches);
  let search: HTMLInputElement | undefined;
  let help: HTMLDialogElement | undefined;

  const toggleRail = (): void => {
    if (!matchMedia(RAIL_BESIDE).matches) {
      setDrawer(!drawer());
      return;
    }
    setRailHidden(!railHidden());
    localStorage.setItem("farhand.rail", railHidden() ? "hidden" : "shown");
  };
  const showRail = (): void => {
    if (!matchMedia(RAIL_BESIDE).matches) setDrawer(true);
    else setRailHidden(false);
  };
  createEffect(
    on(
      route,
      () => {
        setDrawer(false);
        if (!matchMedia(INSPECTOR_BESIDE).matches) setInspector(false);
        void listing.refresh();
      },
      { defer: true },
    ),
  );
  listenForShortcuts({
    newSession: () => navigate("/new"),
    next: () => focusRow(1),
    previous: () => focusRow(-1),
    search: () => {
      showRail();
      search?.focus();
    },
    toggleRail,
    toggleInspector: () => setInspector(!inspector()),
    help: () => help?.showModal(),
    archive: () => {
      const id = sessionInFocus() ?? currentSession();
      if (id !== undefined && !listing.state.archived) void archiveSession(listing, id);
    },
    change: stepThroughDiff,
    escape: () => {
      if (drawer()) setDrawer(false);
      else if (inspector() && !matchMedia(INSPECTOR_BESIDE).matches) setInspector(false);
      else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    },
  });

  return (
    <div
      class="workbench"
      classList={{
        "is-rail-hidden": railHidden(),
        "is-drawer-open": drawer(),
        "is-home": route().page === "home",
      }}
    >
      <a class="skip-link" href="#content">
        Skip to content
      </a>
      <Rail
        user={props.user}
        listing={listing}
        onHide={toggleRail}
        onHelp={() => help?.showModal()}
        searchField={(element) => {
          search = element;
        }}
      />
      <Show when={drawer()}>
        <button
          type="button"
          class="backdrop"
          aria-label="Close the session list"
          onClick={() => setDrawer(false)}
        />
      </Show>
      <Suspense
        fallback={<main class="page is-loading" id="content" aria-busy="true" aria-label="Loading" />}
      >
        <Switch
          fallback={
            <main class="page" id="content">
              <Problem title="Nothing here" text="No page of Farhand has this address.">
                <a class="button" href="/">
                  To the sessions
                </a>
              </Problem>
            </main>
          }
        >
          <Match when={route().page === "home"}>
            <Home listing={listing} onRail={showRail} />
          </Match>
          <Match when={route().page === "new"}>
            <NewSession configuration={props.configuration} user={props.user} onRail={showRail} />
          </Match>
          <Match when={route().page === "settings"}>
            <Settings user={props.user} onRail={showRail} />
          </Match>
          <Match when={route().page === "repositories"}>
            <Repositories onRail={showRail} />
          </Match>
          <Match when={route().page === "metrics"}>
            <Metrics onRail={showRail} />
          </Match>
          <Match when={route().page === "status"}>
            <Status onRail={showRail} />
          </Match>
          <Match when={currentRepository()} keyed>
            {(repository) => <Repository repository={repository} onRail={showRail} />}
          </Match>
          <Match when={currentSession()} keyed>
            {(sessionId) => (
              <SessionPage
                sessionId={sessionId}
                user={props.user}
                configuration={props.configuration}
                listing={listing}
                onRail={showRail}
                inspector={inspector()}
                onInspector={setInspector}
              />
            )}
          </Match>
        </Switch>
      </Suspense>
      <Toasts />
      <Help
        dialog={(element) => {
          help = element;
        }}
      />
    </div>
  );
}

function currentSession(): string | undefined {
  const now = route();
  return now.page === "session" ? now.sessionId : undefined;
}

function currentRepository(): string | undefined {
  const now = route();
  return now.page === "repository" ? now.repository : undefined;
}

/** The session whose row in the list has the focus. */
function sessionInFocus(): string | undefined {
  const row = document.activeElement?.closest<HTMLElement>("[data-session]");
  return row?.dataset.session;
}

/** Moves through the session list: from the focused row, else from the open session. */
function focusRow(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLAnchorElement>("[data-list] a")];
  const focused = rows.indexOf(document.activeElement as HTMLAnchorElement);
  const from = focused >= 0 ? focused : rows.findIndex((row) => row.ariaCurrent === "page");
  rows[Math.min(rows.length - 1, Math.max(0, from + step))]?.focus();
}
