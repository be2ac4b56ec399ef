/** The state of the sandbox in one word, and behind it where it runs, how strongly it is isolated, and which agent it has. */
import type { SandboxStatus } from "@farhand/protocol";
import { createSignal, createUniqueId, type JSX, onCleanup, Show } from "solid-js";
import { Icon } from "./icons.jsx";
import { SandboxFacts } from "./sandbox-facts.jsx";

interface Told {
  tone: "ok" | "warn" | "error" | "quiet";
  word: string;
  pulse: boolean;
  text: string;
}

export function SandboxPill(props: { sandbox: SandboxStatus; running: boolean }): JSX.Element {
  const [open, setOpen] = createSignal(false);
  const panelId = createUniqueId();
  let frame: HTMLDivElement | undefined;
  const told = () => describe(props.sandbox, props.running);
  const description = () => (props.sandbox.state === "ready" ? props.sandbox.description : undefined);
  const weak = (): boolean => description()?.isolation === "weak";
  const listeners = new AbortController();
  document.addEventListener(
    "pointerdown",
    (event) => {
      if (open() && event.target instanceof Node && !frame?.contains(event.target)) setOpen(false);
    },
    { signal: listeners.signal },
  );
  onCleanup(() => listeners.abort());
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || !open()) return;
    event.stopPropagation();
    setOpen(false);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: only listens for Escape of the controls inside
    <div class="pill-frame" ref={frame} onKeyDown={onKeyDown}>
      <button
        type="button"
        class={`pill is-${told().tone}`}
        classList={{ "is-pulsing": told().pulse, "is-weak": weak() }}
        aria-expanded={open()}
        aria-controls={panelId}
        onClick={() => setOpen(!open())}
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
      <section class="popover" id={panelId} hidden={!open()} aria-label="Sandbox">
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
