/** The row about the page beside the panel: which it is, and Select area, or why that cannot be and what helps. */
import { Icon, keyName } from "@farhand/session-view";
import { type Accessor, type JSX, Match, Show, Switch } from "solid-js";
import { ProblemLine } from "./app.jsx";
import type { PageState } from "./page.js";
import type { Selection } from "./selection.js";

export function PageRow(props: { page: Accessor<PageState>; selection: Selection }): JSX.Element {
  const readable = () => {
    const now = props.page();
    return now.state === "readable" ? now : undefined;
  };
  const forbidden = () => {
    const now = props.page();
    return now.state === "forbidden" ? now : undefined;
  };
  const locked = (): boolean => props.page().state === "locked";
  return (
    <section class="page-row-frame" aria-label="Page">
      <div class="page-row">
        <Switch fallback={<span class="page-name is-quiet">No page</span>}>
          <Match when={readable()}>
            {(page) => (
              <span class="page-name" title={`${page().host}${page().path}`}>
                <Icon name="globe" />
                <span class="page-text">
                  {page().host}
                  <span class="page-path">{page().path}</span>
                </span>
              </span>
            )}
          </Match>
          <Match when={locked()}>
            <span class="page-name is-wrapping">
              <Icon name="lock" />
              <span>Click the toolbar icon to read this page</span>
            </span>
          </Match>
          <Match when={forbidden()}>
            {(page) => (
              <span class="page-name is-wrapping">
                <Icon name="lock" />
                <span>{page().reason}</span>
              </span>
            )}
          </Match>
        </Switch>
        <Show when={readable()}>
          <PictureToggle selection={props.selection} />
          <button
            type="button"
            class="button select-button"
            classList={{ "is-active": props.selection.selecting() }}
            aria-pressed={props.selection.selecting()}
            onClick={() => props.selection.toggle()}
          >
            <Icon name={props.selection.selecting() ? "cross" : "select"} />
            {props.selection.selecting() ? "Cancel" : "Select area"}
            <kbd>{props.selection.selecting() ? "Esc" : keyName("⌥S")}</kbd>
          </button>
        </Show>
      </div>
      <Show when={props.selection.selecting()}>
        <p class="page-note" role="status">
          Drag an area in the page, or click a component. Arrow keys move, Enter takes.
        </p>
      </Show>
      <ProblemLine text={props.selection.problem()} onDismiss={props.selection.dismiss} />
    </section>
  );
}

function PictureToggle(props: { selection: Selection }): JSX.Element {
  const on = (): boolean => props.selection.picture();
  return (
    <button
      type="button"
      class="icon-button picture-toggle"
      aria-label="Take a picture along"
      aria-pressed={on()}
      title={
        on()
          ? "The next selection brings a picture of the area"
          : "Selections bring structure only; press to take a picture along"
      }
      onClick={() => props.selection.setPicture(!on())}
    >
      <Icon name="camera" size={16} />
    </button>
  );
}
