/** Output of a command: the last lines, all on request, with the colours its escapes ask for. Plain text, never HTML. */
import type { ArtifactId } from "@farhand/protocol";
import { createMemo, createSignal, For, type JSX, Show, useContext } from "solid-js";
import { type AnsiSpan, ansiSpans } from "../ansi.js";
import { Artifacts } from "../artifact-source.js";
import { formatBytes } from "../format.js";
import { CopyButton } from "./copy-button.jsx";
import { Icon } from "./icons.jsx";

const LINES_SHOWN = 8;

export interface OutputProps {
  command?: string;
  text: string;
  omittedBytes: number;
  /** Has the whole output where the text is only a part. */
  artifactId: ArtifactId | undefined;
}

export function Output(props: OutputProps): JSX.Element {
  const artifacts = useContext(Artifacts);
  const whole = (): string | undefined =>
    props.artifactId === undefined ? undefined : artifacts?.url(props.artifactId);
  const [all, setAll] = createSignal(false);
  const trimmed = createMemo(() => props.text.replace(/\s+$/, ""));
  const lines = createMemo(() => (trimmed() === "" ? [] : trimmed().split("\n")));
  const hidden = (): number => (all() ? 0 : Math.max(0, lines().length - LINES_SHOWN));
  const spans = createMemo(() =>
    ansiSpans(hidden() === 0 ? trimmed() : lines().slice(-LINES_SHOWN).join("\n")),
  );
  return (
    <div class="well output">
      <Show when={props.command}>
        {(command) => (
          <pre class="output-command">
            <span class="output-sign" aria-hidden="true">
              ${" "}
            </span>
            {command()}
          </pre>
        )}
      </Show>
      <Show when={hidden() > 0}>
        <button type="button" class="text-button" onClick={() => setAll(true)}>
          Show {hidden()} more {hidden() === 1 ? "line" : "lines"} above
        </button>
      </Show>
      <Show when={props.omittedBytes > 0}>
        <p class="output-note">
          {formatBytes(props.omittedBytes)} in the middle are left out here.{" "}
          <Show when={whole()}>
            {(url) => (
              <a class="text-button" href={url()} target="_blank" rel="noopener">
                Show full output
                <Icon name="external" size={12} />
              </a>
            )}
          </Show>
        </p>
      </Show>
      <Show when={lines().length > 0}>
        <pre class="output-text" tabindex="0">
          <For each={spans()}>{(span) => <span class={spanClass(span)}>{span.text}</span>}</For>
        </pre>
        <CopyButton text={props.text} label="Copy output" />
      </Show>
    </div>
  );
}

function spanClass(span: AnsiSpan): string | undefined {
  const names = [];
  if (span.colour !== undefined) names.push(`ansi-${span.colour % 8}`);
  if (span.bold) names.push("ansi-bold");
  if (span.faint || span.colour === 8) names.push("ansi-faint");
  if (span.italic) names.push("ansi-italic");
  if (span.underline) names.push("ansi-underline");
  return names.length === 0 ? undefined : names.join(" ");
}
