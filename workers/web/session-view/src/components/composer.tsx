/**
 * Where prompts are written: keeps its draft in the browser, sends with Cmd or Ctrl and Enter, says why it cannot send. Where there are
 * two ways to send, Alt and Enter takes the other one. Used in a session and, with a repository in front, for a new one.
 */
import { createEffect, createSignal, createUniqueId, type JSX, lazy, on, Show, Suspense } from "solid-js";
import { keyName } from "../keys.js";
import type { KeyValueStore } from "../outbox.js";
import type { Suggestion } from "../suggest.js";
import { findTrigger, type Suggest, type Trigger } from "../trigger.js";
import { AttachButton, AttachChips, type Attachments } from "./attach.jsx";
import { Icon } from "./icons.jsx";
import type { SuggestionList } from "./suggestions.jsx";

const Suggestions = lazy(async () => ({ default: (await import("./suggestions.jsx")).Suggestions }));

/** The limit of the wire, in bytes of UTF-8. */
const PROMPT_BYTES_MAX = 64 * 1024;

export interface ComposerProps {
  label: string;
  placeholder: string;
  /** Drafts are kept under this name. */
  draftName: string;
  storage: KeyValueStore;
  /** Why nothing can be sent, whatever is written; absent when it can. */
  blocked?: string | undefined;
  /** True when the text was taken; it is then cleared. `other` is the second way to send. */
  onSend(text: string, other: boolean): boolean | Promise<boolean>;
  sendLabel: string;
  /** What the second way to send is called; absent where there is one way. */
  otherLabel?: string | undefined;
  /** A key changed the text. */
  onTyped?: () => void;
  /** Put before what is written, such as a prompt that was taken back. A new object each time. */
  restore?: { text: string } | undefined;
  tools?: JSX.Element;
  status?: JSX.Element;
  /** What goes along with the text, shown above it. */
  attachments?: JSX.Element;
  /** Takes files that are pasted, dropped or chosen; absent where none are taken. */
  files?: Attachments | undefined;
  /** Completes `@file` and `/command`; absent where there is nothing to complete. */
  suggest?: Suggest | undefined;
  autofocus?: boolean;
}

export function Composer(props: ComposerProps): JSX.Element {
  const key = (): string => `farhand.draft.${props.draftName}`;
  const [text, setText] = createSignal(readDraft(props.storage, key()));
  const [sending, setSending] = createSignal(false);
  const [dropping, setDropping] = createSignal(false);
  const hintId = createUniqueId();
  let field: HTMLTextAreaElement | undefined;
  const change = (value: string): void => {
    setText(value);
    writeDraft(props.storage, key(), value);
  };
  const completion = createCompletion(props, text, change, () => field);
  createEffect(
    on(
      () => props.restore,
      (restored) => {
        if (restored === undefined) return;
        change([restored.text, text()].filter((one) => one.trim() !== "").join("\n\n"));
        field?.focus();
      },
    ),
  );
  const reason = (): string | undefined => {
    if (props.blocked !== undefined) return props.blocked;
    if (sending()) return "Sending";
    if (props.files?.busy() === true) return "Reading a file";
    if (text().trim() === "") return "Write a prompt first";
    const bytes = text().length > PROMPT_BYTES_MAX / 4 ? new TextEncoder().encode(text()).length : 0;
    if (bytes > PROMPT_BYTES_MAX) {
      return `The prompt is ${Math.ceil((bytes - PROMPT_BYTES_MAX) / 1024)} KiB too long; the limit is 64 KiB`;
    }
    return undefined;
  };
  /** A reason worth showing without being asked; an empty field explains itself. */
  const shownReason = (): string | undefined =>
    text().trim() === "" && props.blocked === undefined ? undefined : reason();
  const send = async (other = false): Promise<void> => {
    if (reason() !== undefined) return;
    setSending(true);
    try {
      if (await props.onSend(text().trim(), other)) change("");
    } finally {
      setSending(false);
      field?.focus();
    }
  };
  const hint = (): string => {
    const first = `${props.sendLabel} (${keyName("⌘↵")})`;
    return props.otherLabel === undefined ? first : `${first}, ${props.otherLabel} (${keyName("⌥↵")})`;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (completion.onKey(event)) return;
    if (event.key !== "Enter" || event.isComposing) return;
    const other = event.altKey && props.otherLabel !== undefined;
    if (!other && !event.metaKey && !event.ctrlKey) return;
    event.preventDefault();
    void send(other);
  };
  const takeFiles = (event: Event, transfer: DataTransfer | null): void => {
    const files = [...(transfer?.files ?? [])];
    if (props.files === undefined || files.length === 0) return;
    event.preventDefault();
    void props.files.add(files);
  };
  return (
    <form
      class="composer"
      classList={{ "is-dropping": dropping() }}
      onDragOver={(event) => {
        if (props.files === undefined || event.dataTransfer?.types.includes("Files") !== true) return;
        event.preventDefault();
        setDropping(true);
      }}
      onDragLeave={(event) => {
        const to = event.relatedTarget;
        if (!(to instanceof Node && event.currentTarget.contains(to))) setDropping(false);
      }}
      onDrop={(event) => {
        setDropping(false);
        takeFiles(event, event.dataTransfer);
      }}
      onPaste={(event) => takeFiles(event, event.clipboardData)}
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      {props.attachments}
      <Show when={props.files}>{(files) => <AttachChips attachments={files()} />}</Show>
      {completion.view()}
      <textarea
        ref={field}
        class="composer-field"
        aria-label={props.label}
        aria-describedby={hintId}
        aria-autocomplete={props.suggest === undefined ? undefined : "list"}
        aria-haspopup={props.suggest === undefined ? undefined : "listbox"}
        aria-controls={completion.active() === undefined ? undefined : completion.listId}
        aria-activedescendant={completion.active()}
        placeholder={props.placeholder}
        rows={2}
        value={text()}
        autofocus={props.autofocus}
        onInput={(event) => {
          change(event.currentTarget.value);
          completion.look();
          props.onTyped?.();
        }}
        onSelect={completion.look}
        onBlur={completion.close}
        onKeyDown={onKeyDown}
      />
      <p class="composer-hint" id={hintId} classList={{ "is-shown": shownReason() !== undefined }}>
        {shownReason() ?? hint()}
      </p>
      <div class="composer-tools">
        <div class="composer-group">
          <Show when={props.files}>{(files) => <AttachButton attachments={files()} />}</Show>
          {props.tools}
        </div>
        <div class="composer-group">
          {props.status}
          <button
            type="submit"
            class="send-button"
            aria-label={props.sendLabel}
            aria-disabled={reason() !== undefined}
            title={reason() ?? hint()}
          >
            <Show when={!sending()} fallback={<span class="spinner" aria-hidden="true" />}>
              <Icon name="arrowUp" size={18} />
            </Show>
          </button>
        </div>
      </div>
    </form>
  );
}

/** What is completed at the caret, and the list of what it can become. */
function createCompletion(
  props: ComposerProps,
  text: () => string,
  change: (text: string) => void,
  field: () => HTMLTextAreaElement | undefined,
) {
  const listId = createUniqueId();
  const [trigger, setTrigger] = createSignal<Trigger>();
  const [active, setActive] = createSignal<string>();
  let list: SuggestionList | undefined;
  /** Where Escape closed the list; it stays so until another one begins. */
  let closedAt: number | undefined;
  const close = (): void => {
    setTrigger(undefined);
  };
  const look = (): void => {
    const element = field();
    if (props.suggest === undefined || element === undefined || document.activeElement !== element) return;
    const next =
      element.selectionStart === element.selectionEnd
        ? findTrigger(element.value, element.selectionStart)
        : undefined;
    if (next?.from !== closedAt) closedAt = undefined;
    setTrigger(closedAt === undefined ? next : undefined);
  };
  const choose = (suggestion: Suggestion): void => {
    const element = field();
    const from = trigger()?.from;
    if (element === undefined || from === undefined) return;
    close();
    if (suggestion.kind === "command") {
      change("");
      suggestion.command.run();
      return;
    }
    const written = `${text().slice(0, from)}@${suggestion.path} `;
    change(written + text().slice(element.selectionEnd).replace(/^ /, ""));
    element.setSelectionRange(written.length, written.length);
  };
  return {
    listId,
    active,
    look,
    close,
    onKey(event: KeyboardEvent): boolean {
      if (trigger() === undefined || list?.onKey(event) !== true) return false;
      event.preventDefault();
      event.stopPropagation();
      return true;
    },
    view: () => (
      <Suspense>
        <Show when={trigger() !== undefined && props.suggest}>
          {(suggest) => (
            <Suggestions
              trigger={trigger() ?? NOTHING}
              suggest={suggest()}
              listId={listId}
              handle={(opened) => {
                list = opened;
              }}
              onActive={setActive}
              onChoose={choose}
              onClose={() => {
                closedAt = trigger()?.from;
                close();
              }}
            />
          )}
        </Show>
      </Suspense>
    ),
  };
}

const NOTHING: Trigger = { kind: "file", from: 0, query: "" };

/** In place of the composer where one may not write: why, and what can be done about it. */
export function ClosedComposer(props: { reason: string; children?: JSX.Element }): JSX.Element {
  return (
    <div class="composer is-closed" role="note">
      <Icon name="lock" size={16} />
      <p>{props.reason}</p>
      {props.children}
    </div>
  );
}

function readDraft(storage: KeyValueStore, key: string): string {
  try {
    return storage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

function writeDraft(storage: KeyValueStore, key: string, value: string): void {
  try {
    if (value === "") storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // Without storage the draft lives as long as the page.
  }
}
