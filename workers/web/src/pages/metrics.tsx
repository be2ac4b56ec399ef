/** How much Farhand is used, what came of it, how fast it was and what it cost, over a period that one chooses. */
import type { Metrics } from "@farhand/protocol";
import { Icon } from "@farhand/session-view";
import { createMemo, createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import { Sheet } from "../components/parts.jsx";
import { Figures } from "../metrics/figures.jsx";
import { createMetrics } from "../metrics/load.js";
import { readAsked, writeAsked, ZONE } from "../metrics/period.js";
import { Picker } from "../metrics/picker.jsx";
import { Tiles } from "../metrics/tiles.jsx";
import { dateName } from "../metrics/words.js";
import "../styles/sheet.css";
import "../styles/metrics.css";

export default function MetricsPage(props: { onRail(): void }): JSX.Element {
  const [asked, setAsked] = createSignal(readAsked(location.search, Date.now()));
  const [explains, setExplains] = createSignal(false);
  const loaded = createMetrics(asked);
  const repositories = createMemo((known: string[]) => {
    const found = loaded.value()?.repositories.map((one) => one.repository) ?? [];
    const chosen = asked().repository;
    return [...new Set([...known, ...found, ...(chosen === undefined ? [] : [chosen])])].sort();
  }, []);
  onMount(() => {
    document.title = "Metrics · Farhand";
  });
  onCleanup(() => {
    document.title = "Farhand";
  });
  return (
    <Sheet
      title="Metrics"
      onRail={props.onRail}
      aside={
        <button
          type="button"
          class="text-button"
          aria-pressed={explains()}
          onClick={() => setExplains(!explains())}
        >
          <Icon name="info" size={14} />
          What the figures mean
        </button>
      }
    >
      <div class="metrics">
        <Picker
          asked={asked()}
          repositories={repositories()}
          now={Date.now()}
          onChange={(next) => {
            setAsked(next);
            history.replaceState(null, "", writeAsked(next));
          }}
        />
        <Show when={loaded.failure()}>
          {(message) => (
            <p class="form-error" role="alert">
              <Icon name="alert" size={14} />
              <span>{message()}</span>
              <button type="button" class="text-button" onClick={loaded.again}>
                Try again
              </button>
            </p>
          )}
        </Show>
        <Show when={loaded.value()} fallback={<Waiting failed={loaded.failure() !== undefined} />}>
          {(metrics) => (
            <div class="metrics-body" classList={{ "is-old": loaded.isOld() }} aria-busy={loaded.isOld()}>
              <p class="metrics-period" role="status">
                {periodText(metrics())}
              </p>
              <Tiles metrics={metrics()} explains={explains()} />
              <Figures metrics={metrics()} asked={asked()} explains={explains()} />
            </div>
          )}
        </Show>
      </div>
    </Sheet>
  );
}

function Waiting(props: { failed: boolean }): JSX.Element {
  return (
    <Show when={!props.failed}>
      <div class="skeleton" aria-hidden="true">
        {Array.from({ length: 8 }, () => (
          <span />
        ))}
      </div>
    </Show>
  );
}

function periodText({ period, isEverything }: Metrics): string {
  const whose = isEverything ? "all repositories of this deployment" : "the repositories that you see";
  const { from, to } = period;
  return `Sessions that started from ${dateName(from)} to ${dateName(to - 1)} (${ZONE}), of ${whose}.`;
}
