/** Which model the next prompt goes to, and how much that is to think. */
import type { Configuration, Effort } from "@farhand/protocol";
import { createSignal, For, type JSX, Show } from "solid-js";
import { modelName } from "../format.js";
import type { Command } from "../trigger.js";
import { Icon, type IconName } from "./icons.jsx";

/** What a deployment offers. */
export type OfferedModels = Pick<Configuration, "models" | "thinkingModels">;

export interface ModelChoice {
  /** `provider/name`; absent for the usual one. */
  model(): string | undefined;
  /** Absent for the model's usual one, and where the model cannot be told. */
  effort(): Effort | undefined;
  /** The same choices by name. */
  commands(): Command[];
  view: JSX.Element;
}

const EFFORTS: readonly (readonly [Effort, string])[] = [
  ["low", "Low"],
  ["medium", "Medium"],
  ["high", "High"],
];

/** `usual`: the model of prompts that name none, also when it is not offered any more. */
export function createModelChoice(offered: () => OfferedModels, usual: () => string): ModelChoice {
  const [chosen, setChosen] = createSignal<string | undefined>();
  const [wanted, setWanted] = createSignal<Effort | undefined>();
  const model = (): string => chosen() ?? usual();
  const models = (): string[] => [...new Set([usual(), ...offered().models])].filter((one) => one !== "");
  const choose = (one: string): string | undefined => setChosen(one === usual() ? undefined : one);
  const thinks = (): boolean => offered().thinkingModels?.includes(model()) === true;
  const effort = (): Effort | undefined => (thinks() ? wanted() : undefined);
  const choices = (): Command[] => {
    if (!thinks()) return [];
    const named = EFFORTS.filter(([one]) => one !== wanted()).map(([one]) => ({
      name: `effort ${one}`,
      detail: `The next prompts ask for ${one} effort`,
      run: () => setWanted(one),
    }));
    const back = {
      name: "effort usual",
      detail: "The model decides how much it thinks",
      run: () => setWanted(undefined),
    };
    return wanted() === undefined ? named : [...named, back];
  };
  return {
    model: chosen,
    effort,
    commands: () => [
      ...models()
        .filter((one) => one !== model())
        .map((one) => ({
          name: `model ${modelName(one)}`,
          detail: `The next prompts go to ${one}`,
          run: () => choose(one),
        })),
      ...choices(),
    ],
    get view() {
      return (
        <>
          <Show when={models().length > 0}>
            <Choice icon="model" label="Model" value={model()} onChange={choose}>
              <For each={models()}>{(one) => <option value={one}>{modelName(one)}</option>}</For>
            </Choice>
          </Show>
          <Show when={thinks()}>
            <Choice
              icon="effort"
              label="Effort"
              value={wanted() ?? ""}
              onChange={(word) => setWanted(EFFORTS.find(([one]) => one === word)?.[0])}
            >
              <option value="">Usual</option>
              <For each={EFFORTS}>{([one, name]) => <option value={one}>{name}</option>}</For>
            </Choice>
          </Show>
        </>
      );
    },
  };
}

/** The native control, so that it works on every screen and with every aid. */
function Choice(props: {
  icon: IconName;
  label: string;
  value: string;
  onChange(value: string): void;
  children: JSX.Element;
}): JSX.Element {
  return (
    <label class="model-select" title={props.label}>
      <Icon name={props.icon} />
      <span class="visually-hidden">{props.label}</span>
      <select value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        {props.children}
      </select>
      <Icon name="chevron" size={12} class="select-chevron" />
    </label>
  );
}
