/** What a person sets for themselves, and what operators see of everybody. */
import type { User } from "@farhand/protocol";
import { For, type JSX, onCleanup, onMount, Show } from "solid-js";
import { ApiKeys } from "../components/api-keys.jsx";
import { Budgets } from "../components/budgets.jsx";
import { Checks } from "../components/checks.jsx";
import { OwnData } from "../components/own-data.jsx";
import { Section, Sheet } from "../components/parts.jsx";
import { People } from "../components/people.jsx";
import { SignIns } from "../components/sign-ins.jsx";
import { oneKeyShortcuts, setOneKeyShortcuts } from "../keyboard.js";
import { chooseTheme, type Theme, theme } from "../theme.js";
import "../styles/sheet.css";

const THEMES: readonly { value: Theme; name: string }[] = [
  { value: "system", name: "As the system" },
  { value: "light", name: "Light" },
  { value: "dark", name: "Dark" },
];

export default function Settings(props: { user: User; onRail(): void }): JSX.Element {
  onMount(() => {
    document.title = "Settings · Farhand";
  });
  onCleanup(() => {
    document.title = "Farhand";
  });
  return (
    <Sheet
      title="Settings"
      aside={
        <p class="quiet">
          {props.user.name} · {props.user.login}
        </p>
      }
      onRail={props.onRail}
    >
      <Appearance />
      <ApiKeys />
      <SignIns />
      <OwnData user={props.user} />
      <People me={props.user.id} />
      <Budgets />
      <Checks />
    </Sheet>
  );
}

function Appearance(): JSX.Element {
  return (
    <Section title="Appearance" text="Kept in this browser.">
      <fieldset class="choices">
        <legend>Theme</legend>
        <For each={THEMES}>
          {(one) => (
            <label>
              <input
                type="radio"
                name="theme"
                checked={theme() === one.value}
                onChange={() => chooseTheme(one.value)}
              />
              {one.name}
            </label>
          )}
        </For>
      </fieldset>
      <label class="choice">
        <input
          type="checkbox"
          checked={oneKeyShortcuts()}
          onChange={(event) => setOneKeyShortcuts(event.currentTarget.checked)}
        />
        Shortcuts of a single key
        <Show when={!oneKeyShortcuts()}>
          <span class="quiet">Off: C, E, J, K and ? do nothing</span>
        </Show>
      </label>
    </Section>
  );
}
