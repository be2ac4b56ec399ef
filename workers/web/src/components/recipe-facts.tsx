/** The recipe that the current image was made by, and for each part of it where it comes from. */
import type { Recipe, RepositoryStatus } from "@farhand/protocol";
import { For, type JSX, Show } from "solid-js";
import { Section } from "./parts.jsx";

interface Part {
  name: string;
  lines: readonly string[];
  source: string;
}

const NAMES: readonly [field: keyof Recipe, name: string][] = [
  ["baseImage", "Base image"],
  ["setup", "Set-up"],
  ["build", "Build"],
  ["warm", "Warm-up"],
  ["start", "Development server"],
  ["tools", "Tools"],
  ["secrets", "Secrets"],
  ["allowedHosts", "Hosts"],
  ["limits", "Limits"],
  ["poolTarget", "Warm sandboxes"],
];

/** What the settings say is theirs; everything else was in the repository or follows from its lock files. */
export function recipeParts(recipe: Recipe, settings: Recipe): Part[] {
  return NAMES.flatMap(([field, name]) => {
    const lines = linesOf(field, recipe);
    const source = settings[field] === undefined ? "from the repository" : "set here";
    return lines.length === 0 ? [] : [{ name, lines, source }];
  });
}

function linesOf(field: keyof Recipe, recipe: Recipe): readonly string[] {
  if (field === "limits") {
    const { limits } = recipe;
    if (limits === undefined) return [];
    return [
      `${limits.cpuMillicores / 1000} cores, ${limits.memoryMib} MiB memory, ${limits.diskMib} MiB disk`,
    ];
  }
  const value = recipe[field];
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [String(value)];
}

export function RecipeFacts(props: { status: RepositoryStatus }): JSX.Element {
  return (
    <Show when={props.status.recipe}>
      {(recipe) => (
        <Section
          title="Recipe"
          text="How the current image was made. What is not set here comes from .farhand/recipe.toml, or was found out from lock files."
        >
          <dl class="facts recipe">
            <For
              each={recipeParts(recipe(), props.status.settings ?? {})}
              fallback={<dd>Nothing to install or build was found.</dd>}
            >
              {(part) => (
                <>
                  <dt>{part.name}</dt>
                  <dd>
                    <For each={part.lines}>{(line) => <code>{line}</code>}</For>
                    <span class="quiet">{part.source}</span>
                  </dd>
                </>
              )}
            </For>
          </dl>
        </Section>
      )}
    </Show>
  );
}
