/** One call of a tool as a row that opens: what ran, how it went, and its output or the lines it changed. */
import { createMemo, type JSX, Match, Show, Switch } from "solid-js";
import { editedLines } from "../edit-input.js";
import { formatDuration } from "../format.js";
import { describeTool, type ToolContent, type ToolKind, toolFailed } from "../timeline.js";
import { DiffLines } from "./diff.jsx";
import { FoldRow, LineCounts } from "./fold-row.jsx";
import type { IconName } from "./icons.jsx";
import { Output } from "./output.jsx";

const ICONS: Record<ToolKind, IconName> = {
  command: "terminal",
  edit: "edit",
  read: "file",
  search: "search",
  fetch: "globe",
  other: "tool",
};

export interface ToolRowProps {
  tool: ToolContent;
  /** Whether its turn still runs; a call that the end of the turn cut off does not. */
  live: boolean;
  /** What a person chose; absent means: as it is best. */
  open: boolean | undefined;
  onToggle(open: boolean): void;
}

export function ToolRow(props: ToolRowProps): JSX.Element {
  const told = createMemo(() => describeTool(props.tool));
  const failed = (): boolean => toolFailed(props.tool);
  const running = (): boolean => props.live && props.tool.state.type === "running";
  const edited = createMemo(() => (told().kind === "edit" ? editedLines(props.tool.input) : null));
  const message = (): string => (props.tool.state.type === "failed" ? props.tool.state.message : "");
  const hasBody = (): boolean =>
    props.tool.output !== "" || message() !== "" || edited() !== null || told().kind === "command";
  // A failure and a command at work are what one wants to see without asking.
  const open = (): boolean => props.open ?? (failed() || (running() && told().kind === "command"));
  return (
    <FoldRow
      icon={ICONS[told().kind]}
      running={running()}
      verb={told().verb}
      argument={props.tool.title}
      meta={<ToolMeta tool={props.tool} />}
      failed={failed()}
      open={open()}
      onToggle={props.onToggle}
      hasBody={hasBody()}
    >
      <Show when={message()}>
        <p class="fold-message">{message()}</p>
      </Show>
      <Switch>
        <Match when={told().kind === "command"}>
          <Output
            command={props.tool.title}
            text={props.tool.output}
            omittedBytes={props.tool.omittedBytes}
            artifactId={props.tool.artifactId}
          />
        </Match>
        <Match when={edited()}>
          {(lines) => (
            <div class="well is-flush">
              <DiffLines lines={lines()} path={props.tool.title} />
            </div>
          )}
        </Match>
        <Match when={props.tool.output !== ""}>
          <Output
            text={props.tool.output}
            omittedBytes={props.tool.omittedBytes}
            artifactId={props.tool.artifactId}
          />
        </Match>
      </Switch>
    </FoldRow>
  );
}

function ToolMeta(props: { tool: ToolContent }): JSX.Element {
  const state = () => props.tool.state;
  const completed = () => {
    const now = state();
    return now.type === "completed" ? now : undefined;
  };
  const duration = (): string => {
    const now = state();
    return now.type === "running" ? "" : formatDuration(now.durationMs);
  };
  return (
    <>
      <Show when={completed()?.edit}>
        {(edit) => <LineCounts additions={edit().additions} deletions={edit().deletions} />}
      </Show>
      <Show when={state().type === "failed"}>
        <span class="is-error">failed</span>
        <span class="dot">·</span>
      </Show>
      <Show when={(completed()?.exitCode ?? 0) !== 0}>
        <span class="is-error">exit {completed()?.exitCode}</span>
        <span class="dot">·</span>
      </Show>
      <Show when={completed()?.edit === undefined}>{duration()}</Show>
    </>
  );
}
