/** The figures of a period at a glance, in groups, each with its meaning where that is wanted. */
import type { Metrics } from "@farhand/protocol";
import { For, type JSX, Show } from "solid-js";
import { average, count, duration, money, percent, tokens } from "./words.js";

interface Tile {
  name: string;
  value: string;
  note?: string;
  help: string;
}

export function Tiles(props: { metrics: Metrics; explains: boolean }): JSX.Element {
  return (
    <div class="tiles">
      <For each={groupsOf(props.metrics)}>
        {(group) => (
          <dl class="tile-group" aria-label={group.name}>
            <For each={group.tiles}>
              {(tile) => (
                <div class="tile">
                  <dt>{tile.name}</dt>
                  <dd>
                    <b>{tile.value}</b>
                    <Show when={tile.note}>
                      <span>{tile.note}</span>
                    </Show>
                    <Show when={props.explains}>
                      <small>{tile.help}</small>
                    </Show>
                  </dd>
                </div>
              )}
            </For>
          </dl>
        )}
      </For>
    </div>
  );
}

function groupsOf({ adoption, starts, live, definitions }: Metrics): { name: string; tiles: Tile[] }[] {
  const help = (table: string, column: string): string => definitions[table]?.[column] ?? "";
  const of = (column: string): string => help("adoption", column);
  const warm = starts.find(({ kind }) => kind === "warm");
  const fresh = starts.reduce((sum, one) => sum + (one.kind === "snapshot" ? 0 : one.starts), 0);
  return [
    {
      name: "Use",
      tiles: [
        {
          name: "Sessions",
          value: count(adoption.sessions),
          note: `${average(adoption.averagePrompts)} prompts each`,
          help: of("sessions"),
        },
        { name: "People", value: count(adoption.uniqueUsers), help: of("uniqueUsers") },
        {
          name: "Multiplayer",
          value: count(adoption.multiplayerSessions),
          note: `${percent(adoption.multiplayerSessions / Math.max(1, adoption.sessions))} of sessions`,
          help: of("multiplayerSessions"),
        },
        {
          name: "Prompting now",
          value: count(live.peoplePrompting),
          note: "in five minutes",
          help: help("live", "peoplePrompting"),
        },
      ],
    },
    {
      name: "Outcome and speed",
      tiles: [
        {
          name: "Pull requests",
          value: count(adoption.pullRequestsCreated),
          note: `${count(adoption.pullRequestsMerged)} merged`,
          help: `${of("pullRequestsCreated")} ${of("pullRequestsMerged")}`,
        },
        { name: "Merge rate", value: percent(adoption.mergeRate), help: of("mergeRate") },
        {
          name: "Time to first token",
          value: duration(adoption.firstTokenP50Ms),
          note: `p95 ${duration(adoption.firstTokenP95Ms)} · average ${duration(adoption.firstTokenAverageMs)}`,
          help: `${of("firstTokenAverageMs")} ${of("firstTokenP50Ms")}`,
        },
        {
          name: "Warm starts",
          value: percent(warm?.share ?? 0),
          note: `${count(warm?.starts ?? 0)} of ${count(fresh)}`,
          help: help("starts", "share"),
        },
      ],
    },
    {
      name: "Cost",
      tiles: [
        { name: "Cost", value: money(adoption.costUsd), help: of("costUsd") },
        { name: "Per session", value: money(adoption.costPerSessionUsd), help: of("costPerSessionUsd") },
        {
          name: "Per merged pull request",
          value: adoption.pullRequestsMerged > 0 ? money(adoption.costPerMergedUsd) : "–",
          help: of("costPerMergedUsd"),
        },
        {
          name: "Tokens",
          value: tokens(adoption.inputTokens + adoption.outputTokens),
          note: `${tokens(adoption.outputTokens)} written`,
          help: `${of("inputTokens")} ${of("outputTokens")}`,
        },
      ],
    },
  ];
}
