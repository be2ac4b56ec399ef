/** Chooses the period and the repository. */
import { For, type JSX } from "solid-js";
import { type Asked, dayText, lastDays, PRESETS } from "./period.js";

export function Picker(props: {
  asked: Asked;
  repositories: string[];
  now: number;
  onChange(asked: Asked): void;
}): JSX.Element {
  const choose = (change: Partial<Asked>): void => props.onChange({ ...props.asked, ...change });
  const setDay = (name: "from" | "to", input: HTMLInputElement): void => {
    if (input.value === "") return;
    const next = { from: props.asked.from, to: props.asked.to, [name]: input.value };
    // A period that would end before it begins is moved, not refused.
    if (next.from > next.to) next[name === "from" ? "to" : "from"] = input.value;
    choose({ ...next, days: undefined });
  };
  const today = (): string => dayText(new Date(props.now));
  return (
    <div class="period">
      <fieldset class="period-presets">
        <legend class="visually-hidden">Period</legend>
        <For each={PRESETS}>
          {(preset) => (
            <label>
              <input
                type="radio"
                name="period"
                checked={props.asked.days === preset.days}
                onChange={() => choose(lastDays(preset.days, props.now))}
              />
              <span>{preset.name}</span>
            </label>
          )}
        </For>
      </fieldset>
      <div class="period-days">
        <input
          type="date"
          aria-label="First day"
          required
          max={today()}
          value={props.asked.from}
          onChange={(event) => setDay("from", event.currentTarget)}
        />
        <span aria-hidden="true">–</span>
        <input
          type="date"
          aria-label="Last day"
          required
          max={today()}
          value={props.asked.to}
          onChange={(event) => setDay("to", event.currentTarget)}
        />
      </div>
      <select
        aria-label="Repository"
        onChange={(event) => choose({ repository: event.currentTarget.value || undefined })}
      >
        <option value="" selected={props.asked.repository === undefined}>
          All repositories
        </option>
        <For each={props.repositories}>
          {(name) => (
            <option value={name} selected={props.asked.repository === name}>
              {name}
            </option>
          )}
        </For>
      </select>
    </div>
  );
}
