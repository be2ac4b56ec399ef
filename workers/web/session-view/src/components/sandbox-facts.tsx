/** Where a sandbox runs and how strongly it is isolated, as a list of facts. */

import type { Isolation, SandboxDescription } from "@farhand/protocol";
import type { JSX } from "solid-js";
import { Icon } from "./icons.jsx";

export function SandboxFacts(props: { description: SandboxDescription }): JSX.Element {
  const weak = (): boolean => props.description.isolation === "weak";
  return (
    <dl class="facts">
      <dt>Isolation</dt>
      <dd classList={{ "is-warning": weak() }}>
        <Icon name={weak() ? "shieldOff" : "shield"} size={14} />
        {isolationText(props.description.isolation)}
      </dd>
      <dt>Provider</dt>
      <dd>{props.description.provider}</dd>
      <dt>Agent</dt>
      <dd>{props.description.agent}</dd>
    </dl>
  );
}

/** What a tier means for the people who trust it. */
function isolationText(isolation: Isolation): string {
  switch (isolation) {
    case "vm":
      return "Own kernel (virtual machine)";
    case "namespaces":
      return "Own namespaces and root, no network but the gateway";
    case "weak":
      return "Weak: a plain process of the host. It can reach the host's files and network.";
    default:
      return "Of a kind that this client does not know";
  }
}
