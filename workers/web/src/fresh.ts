/** Something that is loaded again and again while it is looked at: what is shown stays until the next is there, also when that fails. */
import { type Accessor, createSignal, onCleanup } from "solid-js";
import { messageOf } from "./account.js";
import { noteFailure } from "./load.js";

export interface Failure {
  code: string;
  message: string;
}

export interface Fresh<T> {
  value: Accessor<T | undefined>;
  /** Why the newest is not there. */
  failure: Accessor<Failure | undefined>;
  again(): void;
}

export function createFresh<T>(fetch: (signal: AbortSignal) => Promise<T>, everyMs: number): Fresh<T> {
  const [value, setValue] = createSignal<T>();
  const [failure, setFailure] = createSignal<Failure>();
  let controller = new AbortController();
  const load = async (): Promise<void> => {
    controller.abort();
    controller = new AbortController();
    const { signal } = controller;
    try {
      const next = await fetch(signal);
      if (signal.aborted) return;
      setValue(() => next);
      setFailure(undefined);
    } catch (error) {
      if (!signal.aborted) setFailure({ code: noteFailure(error), message: messageOf(error) });
    }
  };
  void load();
  const timer = setInterval(() => {
    if (document.visibilityState === "visible") void load();
  }, everyMs);
  onCleanup(() => {
    clearInterval(timer);
    controller.abort();
  });
  return { value, failure, again: () => void load() };
}
