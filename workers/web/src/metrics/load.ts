/** The figures of the period that is asked for: loaded when it changes and once a minute; what is shown stays until the next is there. */
import type { Metrics } from "@farhand/protocol";
import { type Accessor, createEffect, createSignal, on, onCleanup } from "solid-js";
import { messageOf } from "../account.js";
import { api } from "../api.js";
import { noteFailure } from "../load.js";
import { type Asked, apiQuery } from "./period.js";

const AGAIN_MS = 60_000;

export interface LoadedMetrics {
  value(): Metrics | undefined;
  /** Why the newest is not there. */
  failure(): string | undefined;
  /** Whether what is shown is about another period than what is asked for. */
  isOld(): boolean;
  again(): void;
}

export function createMetrics(asked: Accessor<Asked>): LoadedMetrics {
  const [value, setValue] = createSignal<Metrics>();
  const [failure, setFailure] = createSignal<string>();
  const [isOld, setOld] = createSignal(true);
  let controller = new AbortController();
  const load = async (): Promise<void> => {
    controller.abort();
    controller = new AbortController();
    const { signal } = controller;
    try {
      const metrics = await api.metrics(apiQuery(asked()), signal);
      if (signal.aborted) return;
      setValue(metrics);
      setFailure(undefined);
      setOld(false);
    } catch (error) {
      if (signal.aborted) return;
      noteFailure(error);
      setFailure(messageOf(error));
    }
  };
  createEffect(
    on(asked, () => {
      setOld(true);
      void load();
    }),
  );
  const timer = setInterval(() => {
    if (document.visibilityState === "visible") void load();
  }, AGAIN_MS);
  onCleanup(() => {
    clearInterval(timer);
    controller.abort();
  });
  return { value, failure, isOld, again: () => void load() };
}
