/** A row of the timeline that opens: icon, verb, argument, meta, chevron, and below it what it hides. */
import { type JSX, Show } from "solid-js";
import { Icon, type IconName, Spinner } from "./icons.jsx";

export interface FoldRowProps {
  icon: IconName;
  /** Shows the ring in place of the icon. */
  running?: boolean;
  verb: string;
  argument?: string;
  meta?: JSX.Element;
  failed?: boolean;
  open: boolean;
  onToggle(open: boolean): void;
  /** Absent when there is nothing to open. */
  children?: JSX.Element;
  hasBody: boolean;
}

export function FoldRow(props: FoldRowProps): JSX.Element {
  const line = (): JSX.Element => (
    <>
      <Show when={props.running} fallback={<Icon name={props.icon} />}>
        <Spinner label="running" />
      </Show>
      <span class="fold-verb">{props.verb}</span>
      <span class="fold-argument" title={props.argument}>
        {props.argument}
      </span>
      <span class="fold-meta">{props.meta}</span>
    </>
  );
  return (
    <div
      class="fold"
      classList={{ "is-open": props.open && props.hasBody, "is-failed": props.failed === true }}
    >
      <Show when={props.hasBody} fallback={<div class="fold-row">{line()}</div>}>
        <button
          type="button"
          class="fold-row"
          aria-expanded={props.open}
          onClick={() => props.onToggle(!props.open)}
        >
          {line()}
          <Icon name="chevron" class="fold-chevron" />
        </button>
        <Show when={props.open}>
          <div class="fold-body">{props.children}</div>
        </Show>
      </Show>
    </div>
  );
}

/** Added and removed lines: signs, not only colours. A side without lines is left out. */
export function LineCounts(props: { additions: number; deletions: number }): JSX.Element {
  return (
    <span class="counts">
      <Show when={props.additions > 0}>
        <span class="count-added">+{props.additions}</span>
      </Show>
      <Show when={props.additions > 0 && props.deletions > 0}> </Show>
      <Show when={props.deletions > 0}>
        <span class="count-removed">-{props.deletions}</span>
      </Show>
    </span>
  );
}
