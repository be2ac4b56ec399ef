/** Lying bars: repositories side by side, and what becomes of sessions. Lengths are decoration; every value is in words beside its bar. */
import { For, type JSX, Show } from "solid-js";

export interface Bar {
  name: string;
  /** From 0 to 1, each inside the one before. */
  lengths: { share: number; tone: "quiet" | "accent" | "ok" }[];
  values: string;
  detail?: string;
}

export function Bars(props: {
  bars: Bar[];
  legend?: { name: string; tone: "quiet" | "accent" | "ok" }[];
}): JSX.Element {
  return (
    <>
      <Show when={props.legend}>
        {(legend) => (
          <div class="plot-legend">
            <For each={legend()}>
              {(one) => (
                <span class={`plot-key tone-${one.tone} is-bars`}>
                  <i />
                  {one.name}
                </span>
              )}
            </For>
          </div>
        )}
      </Show>
      <ul class="bars">
        <For each={props.bars}>
          {(bar) => (
            <li class="bar">
              <span class="bar-name">{bar.name}</span>
              <span class="bar-values">{bar.values}</span>
              <span class="bar-track" aria-hidden="true">
                <For each={bar.lengths}>
                  {(length) => (
                    <i
                      class={`tone-${length.tone}`}
                      style={{ "inline-size": `${Math.min(1, Math.max(0, length.share)) * 100}%` }}
                    />
                  )}
                </For>
              </span>
              <Show when={bar.detail}>
                <span class="bar-detail">{bar.detail}</span>
              </Show>
            </li>
          )}
        </For>
      </ul>
    </>
  );
}
