/** Parts of the pages that are read and filled in: the page's frame, a section with what it waits for, a labelled field, a saving form. */
import { Icon, Spinner } from "@farhand/session-view";
import { createSignal, createUniqueId, type JSX, Match, Show, Switch } from "solid-js";
import { messageOf } from "../account.js";
import { type Load, noteFailure } from "../load.js";
import { RailButton } from "./rail-button.jsx";

/** A page of sections under a heading. */
export function Sheet(props: {
  title: string;
  /** Before the heading, such as the way back. */
  above?: JSX.Element;
  /** Beside the heading. */
  aside?: JSX.Element;
  onRail(): void;
  children: JSX.Element;
}): JSX.Element {
  return (
    <main class="page sheet" id="content">
      <RailButton onRail={props.onRail} />
      <div class="sheet-column">
        {props.above}
        <header class="sheet-head">
          <h1>{props.title}</h1>
          {props.aside}
        </header>
        {props.children}
      </div>
    </main>
  );
}

export function Section(props: {
  id?: string;
  title: string;
  text?: JSX.Element;
  children: JSX.Element;
}): JSX.Element {
  const heading = createUniqueId();
  return (
    <section class="sheet-section" id={props.id} aria-labelledby={heading}>
      <h2 id={heading}>{props.title}</h2>
      <Show when={props.text}>
        <p class="sheet-text">{props.text}</p>
      </Show>
      {props.children}
    </section>
  );
}

/** Shows what was loaded, or a place for it, or why it is not there. */
export function Await<T>(props: {
  load: Load<T>;
  lines?: number;
  children(value: () => T): JSX.Element;
}): JSX.Element {
  const failed = () => {
    const now = props.load.now();
    return now.state === "failed" ? now : undefined;
  };
  const ready = () => {
    const now = props.load.now();
    return now.state === "ready" ? now : undefined;
  };
  return (
    <Switch
      fallback={
        <div class="skeleton" aria-hidden="true">
          {Array.from({ length: props.lines ?? 2 }, () => (
            <span />
          ))}
        </div>
      }
    >
      <Match when={failed()}>
        {(failure) => (
          <p class="form-error" role="alert">
            <Icon name="alert" size={14} />
            <span>{failure().message}</span>
            <button type="button" class="text-button" onClick={() => void props.load.again()}>
              Try again
            </button>
          </p>
        )}
      </Match>
      <Match when={ready()}>{(now) => props.children(() => now().value)}</Match>
    </Switch>
  );
}

export interface FieldProps {
  label: string;
  /** What to write, and what nothing means. */
  hint?: string;
  value: string;
  onInput(value: string): void;
  type?: "text" | "number";
  /** More than one line of text. */
  rows?: number;
  min?: number;
  max?: number;
  /** Of a number; `any` lets it have a fraction. */
  step?: "any";
  mono?: boolean;
  required?: boolean;
}

export function Field(props: FieldProps): JSX.Element {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <Show
        when={props.rows}
        fallback={
          <input
            id={id}
            classList={{ mono: props.mono === true }}
            type={props.type ?? "text"}
            min={props.min}
            max={props.max}
            step={props.step}
            required={props.required}
            autocomplete="off"
            spellcheck={false}
            aria-describedby={props.hint === undefined ? undefined : `${id}-hint`}
            value={props.value}
            onInput={(event) => props.onInput(event.currentTarget.value)}
          />
        }
      >
        {(rows) => (
          <textarea
            id={id}
            classList={{ mono: props.mono === true }}
            rows={rows()}
            spellcheck={false}
            aria-describedby={props.hint === undefined ? undefined : `${id}-hint`}
            value={props.value}
            onInput={(event) => props.onInput(event.currentTarget.value)}
          />
        )}
      </Show>
      <Show when={props.hint}>
        <p class="field-hint" id={`${id}-hint`}>
          {props.hint}
        </p>
      </Show>
    </div>
  );
}

/** A form whose button says that it is saved, or why not. */
export function Form(props: {
  action: string;
  done?: string;
  blocked?: string | undefined;
  onSubmit(): Promise<void>;
  children: JSX.Element;
}): JSX.Element {
  const [state, setState] = createSignal<"resting" | "working" | "done">("resting");
  const [error, setError] = createSignal<string | null>(null);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    if (props.blocked !== undefined) return;
    setState("working");
    setError(null);
    try {
      await props.onSubmit();
      setState("done");
    } catch (cause) {
      noteFailure(cause);
      setError(messageOf(cause));
      setState("resting");
    }
  };
  return (
    <form class="form" onSubmit={(event) => void submit(event)} onInput={() => setState("resting")}>
      {props.children}
      <Show when={error()}>
        {(message) => (
          <p class="form-error" role="alert">
            <Icon name="alert" size={14} />
            {message()}
          </p>
        )}
      </Show>
      <div class="form-foot">
        <button
          type="submit"
          class="button is-primary"
          disabled={state() === "working" || props.blocked !== undefined}
        >
          <Show when={state() === "working"}>
            <Spinner />
          </Show>
          {props.action}
        </button>
        <span class="form-state" role="status">
          {props.blocked ?? (state() === "done" ? (props.done ?? "Saved") : "")}
        </span>
      </div>
    </form>
  );
}
