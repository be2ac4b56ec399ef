/** The state of the sandbox in one word, and behind it where it runs, how strongly it is isolated, and which agent it has. */
import type { SandboxStatus } from "@farhand/protocol";
import { type JSX, Show } from "solid-js";
import { Icon } from "./icons.jsx";
import { createPopover } from "./popover.js";
import { SandboxFacts } from "./sandbox-facts.jsx";

interface Told {
  tone: "ok" | "warn" | "error" | "quiet";
  word: string;
  pulse: boolean;
  text: string;
}

export function SandboxPill(props: { sandbox: SandboxStatus; running: boolean }): JSX.Element {
  const popover = createPopover();
  const told = () => describe(props.sandbox, props.running);
  const description = () => (props.sandbox.state === "ready" ? props.sandbox.description : undefined);
  const weak = (): boolean => description()?.isolation === "weak";
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: only listens for Escape of the controls inside
    <div class="pill-frame" ref={popover.frame} onKeyDown={popover.onKeyDown}>
      <button
        type="button"
        class={`pill is-${told().tone}`}
        classList={{ "is-pulsing": told().pulse, "is-weak": weak() }}
        aria-expanded={popover.open()}
        aria-controls={popover.panelId}
        onClick={popover.toggle}
      >
        <span class="pill-dot" aria-hidden="true" />
        <span class="visually-hidden">Sandbox: </span>
        <span class="pill-word">{told().word}</span>
        <Show when={weak()}>
          <span class="pill-weak">
            <Icon name="shieldOff" size={13} />
            <span>weak</span>
            <span class="visually-hidden"> isolation</span>
          </span>
        </Show>
      </button>
      <section class="popover" id={popover.panelId} hidden={!popover.open()} aria-label="Sandbox">
        <p class="popover-title">{told().text}</p>
        <Show when={description()}>{(facts) => <SandboxFacts description={facts()} />}</Show>
      </section>
    </div>
  );
}

function describe(sandbox: SandboxStatus, running: boolean): Told {
  switch (sandbox.state) {
    case "starting":
      return { tone: "warn", word: "Starting", pulse: true, text: `Starting: ${sandbox.step}` };
    case "ready":
      if (running)
        return { tone: "ok", word: "Running", pulse: true, text: "The agent is working in the sandbox." };
      return { tone: "ok", word: "Ready", pulse: false, text: "Ready for the next prompt." };
    case "stopped":
      return {
        tone: "quiet",
        word: "Stopped",
        pulse: false,
        text:
          sandbox.snapshotId === undefined
            ? "Stopped. The next prompt starts a fresh sandbox."
            : "Stopped and saved. The next prompt goes on from there.",
      };
    case "failed":
      return { tone: "error", word: "Failed", pulse: false, text: sandbox.reason };
    default:
      return { tone: "quiet", word: "No sandbox", pulse: false, text: "The next prompt starts one." };
  }
}
