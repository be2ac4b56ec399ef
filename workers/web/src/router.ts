/** The few addresses of the client, as a signal. The Worker serves the same page for all of them. */
import { type Accessor, createSignal, onCleanup } from "solid-js";

export type Route =
  | { page: "home" }
  | { page: "new" }
  | { page: "connect" }
  | { page: "settings" }
  | { page: "metrics" }
  | { page: "status" }
  | { page: "repositories" }
  | { page: "repository"; repository: string }
  | { page: "slack" }
  | { page: "session"; sessionId: string }
  | { page: "unknown" };

const [route, setRoute] = createSignal<Route>(parseRoute(location.pathname));
window.addEventListener("popstate", () => setRoute(parseRoute(location.pathname)));

export { route };

export function parseRoute(path: string): Route {
  if (path === "/") return { page: "home" };
  if (path === "/new") return { page: "new" };
  if (path === "/connect/extension") return { page: "connect" };
  if (path === "/settings") return { page: "settings" };
  if (path === "/metrics") return { page: "metrics" };
  if (path === "/status") return { page: "status" };
  if (path === "/repositories") return { page: "repositories" };
  const repository = /^\/repositories\/([\w.-]{1,100}\/[\w.-]{1,100})$/.exec(path)?.[1];
  if (repository !== undefined) return { page: "repository", repository };
  if (path === "/connect/slack") return { page: "slack" };
  const session = /^\/sessions\/([a-z0-9_-]{1,64})$/.exec(path)?.[1];
  return session === undefined ? { page: "unknown" } : { page: "session", sessionId: session };
}

/** The place in a conversation that the address names, as in `#e123`. Each time that it is asked for gives a new object. */
export function createLinkedPlace(): Accessor<{ place: number } | undefined> {
  const read = (): { place: number } | undefined => {
    const number = /^#e(\d{1,15})$/.exec(location.hash)?.[1];
    return number === undefined ? undefined : { place: Number(number) };
  };
  const [linked, setLinked] = createSignal(read());
  const listeners = new AbortController();
  addEventListener("hashchange", () => setLinked(read()), { signal: listeners.signal });
  onCleanup(() => listeners.abort());
  return linked;
}

export function navigate(path: string, how: "push" | "replace" = "push"): void {
  if (path !== location.pathname + location.search) {
    if (how === "push") history.pushState(null, "", path);
    else history.replaceState(null, "", path);
  }
  setRoute(parseRoute(location.pathname));
}

/** For links: follows them inside the client, and leaves new tabs and other buttons to the browser. */
export function followLink(event: MouseEvent & { currentTarget: HTMLAnchorElement }): void {
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  const url = new URL(event.currentTarget.href);
  navigate(url.pathname + url.search);
}
