/** Whether what the deployment works with works, for those who run it; others are not shown that it can be asked. */
import type { Integration, IntegrationState } from "@farhand/protocol";
import { For, type JSX, Show } from "solid-js";
import { api } from "../api.js";
import { createLoad, isConcealed } from "../load.js";
import { followLink } from "../router.js";
import { Await, Section } from "./parts.jsx";

const STATES: Record<IntegrationState, string> = {
  works: "works",
  limited: "works in part",
  off: "not set up",
  wrong: "does not work",
};

export function Checks(): JSX.Element {
  const list = createLoad(async () => (await api.checks()).checks);
  return (
    <Show when={!isConcealed(list)}>
      <Section
        title="Deployment"
        text={
          <>
            Tried just now. Settings are in farhand.toml; the operator's guide says how.{" "}
            <a href="/status" onClick={followLink}>
              How it is at this moment
            </a>
          </>
        }
      >
        <Await load={list}>
          {(checks) => (
            <ul class="rows" aria-label="Deployment">
              <For each={checks()}>{(check) => <CheckRow check={check} />}</For>
            </ul>
          )}
        </Await>
      </Section>
    </Show>
  );
}

function CheckRow(props: { check: Integration }): JSX.Element {
  return (
    <li class="row">
      <span class="row-text">
        <span class="row-name">{props.check.name}</span>
        <span class="row-detail">{props.check.detail}</span>
      </span>
      <span
        class="chip"
        classList={{ "is-strong": props.check.state === "works", "is-bad": props.check.state === "wrong" }}
      >
        {STATES[props.check.state]}
      </span>
    </li>
  );
}
