/** People who are being deleted, how far that is, and what was done of those who were. For operators, below the list of people. */
import type { Erasure } from "@farhand/protocol";
import { Icon, plural, Spinner } from "@farhand/session-view";
import { createEffect, For, type JSX, on, Show } from "solid-js";
import { api } from "../api.js";
import { createFresh } from "../fresh.js";
import { dateText } from "../words.js";

const EVERY_MS = 5_000;

/** What rows of a table are to people; others by the table's name. */
const WORDS: Readonly<Record<string, string>> = {
  users: "account",
  sessions: "sessions in lists",
  sign_ins: "sign-ins",
  refresh_tokens: "tokens of sign-ins",
  sealed_tokens: "tokens of the code host",
  api_keys: "API keys",
  slack_links: "Slack links",
  repository_access: "repositories seen",
  session_people: "sessions in metrics",
  spending: "days of spending",
  spent_days: "days of spending, in all",
  audit: "lines of the audit log",
  budgets: "budgets",
};

/** `ordered` rises with each deletion that was asked for here, so that it is shown at once. */
export function Erasures(props: { ordered: number }): JSX.Element {
  const list = createFresh(async () => (await api.erasures()).erasures, EVERY_MS);
  createEffect(on(() => props.ordered, list.again, { defer: true }));
  return (
    <Show when={list.value()?.length}>
      <h3 class="rows-title" id="deleted-people">
        Deleted people
      </h3>
      <ul class="rows" aria-labelledby="deleted-people">
        <For each={list.value()}>{(one) => <ErasureRow erasure={one} />}</For>
      </ul>
    </Show>
  );
}

function ErasureRow(props: { erasure: Erasure }): JSX.Element {
  const done = (): [string, number][] =>
    Object.entries(props.erasure.rows).map(([table, count]) => [
      WORDS[table] ?? table.replaceAll("_", " "),
      count,
    ]);
  return (
    <li class="row">
      <Show when={props.erasure.state !== "working"} fallback={<Spinner />}>
        <Icon name={props.erasure.state === "done" ? "check" : "clock"} />
      </Show>
      <span class="row-text">
        <span class="row-name">{nameOf(props.erasure)}</span>
        <span class="row-detail">{standing(props.erasure)}</span>
        <Show when={props.erasure.problem}>
          {(problem) => <span class="row-reason">{problem()}; it is tried again every minute</span>}
        </Show>
        <Show when={done().length > 0}>
          <details class="row-detail">
            <summary>What was done</summary>
            <ul class="row-list">
              <li>{plural(props.erasure.sessionsDeleted, "session")} deleted with all they had</li>
              <li>{plural(props.erasure.sessionsRewritten, "session")} of others kept, without the name</li>
              <For each={done()}>
                {([what, count]) => (
                  <li>
                    {what}: {count}
                  </li>
                )}
              </For>
            </ul>
          </details>
        </Show>
      </span>
    </li>
  );
}

function nameOf({ login, id }: Erasure): string {
  return login === null ? `Removed person ${id.slice(-6)}` : `@${login}`;
}

function standing(erasure: Erasure): string {
  const by = erasure.requestedBy === null ? "by themselves" : `by ${erasure.requestedBy}`;
  const asked = `asked for ${by} ${dateText(erasure.requestedAt)}`;
  if (erasure.finishedAt !== null) return `deleted ${dateText(erasure.finishedAt)} · ${asked}`;
  if (erasure.state === "watching")
    return `deleted but for what may still come late; over in half an hour · ${asked}`;
  return `${plural(erasure.sessionsLeft, "session")} to go · ${asked}`;
}
