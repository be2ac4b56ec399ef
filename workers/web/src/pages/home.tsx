/** No session is open: an invitation. On a phone the session list takes its place. */
import { Icon } from "@farhand/session-view";
import { type JSX, Show } from "solid-js";
import { Mark } from "../components/mark.jsx";
import { RailButton } from "../components/rail-button.jsx";
import { followLink } from "../router.js";
import type { SessionListing } from "../session-list.js";

export function Home(props: { listing: SessionListing; onRail(): void }): JSX.Element {
  const empty = (): boolean => {
    const { loaded, archived, sessions } = props.listing.state;
    return loaded && !archived && sessions.length === 0;
  };
  return (
    <main class="page home" id="content">
      <h1 class="visually-hidden">Farhand</h1>
      <RailButton onRail={props.onRail} />
      <div class="invitation">
        <Mark />
        <p class="invitation-title">{empty() ? "Start the first session" : "No session is open"}</p>
        <p class="quiet">
          <Show when={empty()} fallback="Pick one from the list, or start another.">
            Write what should change. An agent works on it in a sandbox of its own, everybody can watch, and
            the result is a pull request in your name.
          </Show>
        </p>
        <a class="button is-primary" href="/new" onClick={followLink}>
          <Icon name="plus" size={16} />
          New session
        </a>
      </div>
    </main>
  );
}
