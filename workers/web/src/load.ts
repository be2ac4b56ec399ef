/** Something that a page shows once it is there: loaded when the page opens, again on request, with words where it failed. */
import { createSignal, onCleanup } from "solid-js";
import { leaveAccount, messageOf } from "./account.js";
import { ApiError } from "./api.js";

export type Loaded<T> = { state: "loading" } | { state: "failed"; code: string; message: string } | Ready<T>;

export interface Ready<T> {
  state: "ready";
  value: T;
}

export interface Load<T> {
  now(): Loaded<T>;
  /** The newest that is there, also while it is loaded anew. */
  value(): T | undefined;
  /** Loads it again; what is shown stays until then. */
  again(): Promise<void>;
}

export function createLoad<T>(fetch: () => Promise<T>): Load<T> {
  const [now, setNow] = createSignal<Loaded<T>>({ state: "loading" });
  let closed = false;
  onCleanup(() => {
    closed = true;
  });
  const again = async (): Promise<void> => {
    if (now().state === "failed") setNow({ state: "loading" });
    try {
      const value = await fetch();
      if (!closed) setNow({ state: "ready", value });
    } catch (error) {
      if (!closed) setNow({ state: "failed", code: noteFailure(error), message: messageOf(error) });
    }
  };
  void again();
  const value = (): T | undefined => {
    const loaded = now();
    return loaded.state === "ready" ? loaded.value : undefined;
  };
  return { now, value, again };
}

/** The code of a failure; one that means that nobody is signed in leads to the sign-in page. */
export function noteFailure(error: unknown): string {
  if (!(error instanceof ApiError)) return "unavailable";
  if (error.code === "sign_in_required") leaveAccount();
  return error.code;
}

/** Whether it is not for this person, or not known to be: those are not shown that there is such a thing. */
export function isConcealed(load: Load<unknown>): boolean {
  const now = load.now();
  return now.state === "loading" || (now.state === "failed" && now.code === "forbidden");
}
