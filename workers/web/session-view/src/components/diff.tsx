/** The branch against its base as one column: file headers, hunks, two gutters of line numbers, ± signs, changed words marked. */
import type { FileDiff } from "@farhand/protocol";
import { createMemo, createSignal, For, type JSX, Show } from "solid-js";
import { type LinePair, type LinePiece, type NumberedLine, numberLines, pairLines } from "../diff-lines.js";
import { STEP } from "../diff-steps.js";
import { plural } from "../format.js";
import { highlightLine, languageOf } from "../highlight.js";
import type { KeyValueStore } from "../outbox.js";
import type { ViewedFiles } from "../viewed.js";
import { LineCounts } from "./fold-row.jsx";
import { Icon } from "./icons.jsx";

/** Larger files are closed at first, so that a large change opens at once. */
const OPEN_LINES_MAX = 400;
const OPEN_FILES_MAX = 12;

export interface DiffViewProps {
  files: readonly FileDiff[];
  /** Which files were read; absent where they cannot be marked. */
  viewed?: ViewedFiles | undefined;
  /** Where the choice of unified or split is kept; absent where there is no room for both sides. */
  storage?: KeyValueStore | undefined;
}

const LAYOUT = "farhand.diff";

export function DiffView(props: DiffViewProps): JSX.Element {
  const total = createMemo(() => ({
    additions: props.files.reduce((sum, file) => sum + file.additions, 0),
    deletions: props.files.reduce((sum, file) => sum + file.deletions, 0),
  }));
  // What a person opened or closed outlives a newer state of the diff.
  const choices = new Map<string, boolean>();
  const [split, setSplit] = createSignal(props.storage?.getItem(LAYOUT) === "split");
  const choose = (next: boolean): void => {
    setSplit(next);
    if (next) props.storage?.setItem(LAYOUT, "split");
    else props.storage?.removeItem(LAYOUT);
  };
  return (
    <div class="diff">
      <div class="diff-summary">
        <strong>{plural(props.files.length, "file")}</strong>
        <LineCounts additions={total().additions} deletions={total().deletions} />
        <Show when={props.viewed}>
          {(viewed) => (
            <span class="diff-viewed-count">
              {props.files.filter((file) => viewed().has(file)).length} of {props.files.length} viewed
            </span>
          )}
        </Show>
        <Show when={props.storage}>
          <LayoutChoice split={split()} onChoose={choose} />
        </Show>
      </div>
      <For each={props.files}>
        {(file, index) => (
          <FileView file={file} index={index()} choices={choices} viewed={props.viewed} split={split()} />
        )}
      </For>
    </div>
  );
}

function LayoutChoice(props: { split: boolean; onChoose(split: boolean): void }): JSX.Element {
  const choice = (name: string, split: boolean): JSX.Element => (
    <label class="segment">
      <input
        type="radio"
        name="diff-layout"
        checked={props.split === split}
        onChange={() => props.onChoose(split)}
      />
      <span>{name}</span>
    </label>
  );
  return (
    <fieldset class="segments diff-layout">
      <legend class="visually-hidden">How changes are laid out</legend>
      {choice("Unified", false)}
      {choice("Split", true)}
    </fieldset>
  );
}

interface FileViewProps {
  split: boolean;
  file: FileDiff;
  index: number;
  choices: Map<string, boolean>;
  viewed: ViewedFiles | undefined;
}

function FileView(props: FileViewProps): JSX.Element {
  const lineCount = (): number => props.file.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
  const [open, setOpen] = createSignal(
    props.choices.get(props.file.path) ??
      (props.index < OPEN_FILES_MAX &&
        lineCount() <= OPEN_LINES_MAX &&
        props.viewed?.has(props.file) !== true),
  );
  const show = (next: boolean): void => {
    setOpen(next);
    props.choices.set(props.file.path, next);
  };
  const slash = (): number => props.file.path.lastIndexOf("/") + 1;
  return (
    <section class="diff-file" aria-label={props.file.path}>
      <div class="diff-head">
        <button
          type="button"
          class="diff-header"
          aria-expanded={open()}
          {...(open() ? {} : { [STEP]: "" })}
          onClick={() => show(!open())}
        >
          <Icon name="chevron" class="fold-chevron" />
          <span class="diff-path" title={props.file.path}>
            <span class="diff-folder">{props.file.path.slice(0, slash())}</span>
            <span class="diff-name">{props.file.path.slice(slash())}</span>
          </span>
          <span class="diff-status">{statusWord(props.file)}</span>
          <LineCounts additions={props.file.additions} deletions={props.file.deletions} />
        </button>
        <Show when={props.viewed}>
          {(viewed) => (
            <label class="diff-viewed">
              <input
                type="checkbox"
                checked={viewed().has(props.file)}
                onChange={(event) => {
                  viewed().set(props.file, event.currentTarget.checked);
                  show(!event.currentTarget.checked);
                }}
              />
              Viewed<span class="visually-hidden"> {props.file.path}</span>
            </label>
          )}
        </Show>
      </div>
      <Show when={open()}>
        <Show when={props.file.previousPath}>{(path) => <p class="diff-note">Moved from {path()}</p>}</Show>
        <Show when={props.file.omitted}>
          <p class="diff-note">Not shown: the file is binary or its change is too large.</p>
        </Show>
        <For each={props.file.hunks}>
          {(hunk) => (
            <>
              <Show when={props.file.status !== "added" && props.file.status !== "deleted"}>
                <p class="diff-hunk">
                  @@ -{hunk.oldStart} +{hunk.newStart} @@ {hunk.heading}
                </p>
              </Show>
              <Show
                when={props.split}
                fallback={<DiffLines lines={numberLines(hunk)} path={props.file.path} numbered />}
              >
                <SplitLines lines={numberLines(hunk)} path={props.file.path} />
              </Show>
            </>
          )}
        </For>
      </Show>
    </section>
  );
}

function statusWord(file: FileDiff): string {
  if (file.status === "added") return "new";
  if (file.status === "deleted") return "deleted";
  if (file.status === "renamed") return "moved";
  return "";
}

/** Lines of a hunk, what was there beside what took its place. Long lines wrap, so that both sides are seen at once. */
function SplitLines(props: { lines: NumberedLine[]; path: string }): JSX.Element {
  const code = createMemo(() => languageOf(props.path));
  const pairs = createMemo(() => pairLines(props.lines));
  return (
    <section class="diff-scroll" tabindex="0" aria-label={`Changed lines of ${props.path}`}>
      <table class="diff-lines is-split">
        <tbody>
          <For each={pairs()}>
            {(pair, index) => (
              <tr {...stepMark(isChange(pair), isChange(pairs()[index() - 1]))}>
                <HalfLine line={pair.before} side="old" code={code()} />
                <HalfLine line={pair.after} side="new" code={code()} />
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </section>
  );
}

/** Marks the first line of a run of changed lines. */
function stepMark(changed: boolean, beforeToo: boolean): Record<string, string> {
  return changed && !beforeToo ? { [STEP]: "" } : {};
}

function isChanged(line: NumberedLine | undefined): boolean {
  return line !== undefined && line.kind !== "context";
}

function isChange(pair: LinePair | undefined): boolean {
  return isChanged(pair?.before) || isChanged(pair?.after);
}

function HalfLine(props: {
  line: NumberedLine | undefined;
  side: "old" | "new";
  code: ReturnType<typeof languageOf>;
}): JSX.Element {
  const tone = (): string => `is-${props.line?.kind ?? "absent"}`;
  return (
    <>
      <td class={`diff-number ${tone()}`}>
        {props.side === "old" ? props.line?.oldNumber : props.line?.newNumber}
      </td>
      <td class={`diff-code ${tone()}`}>
        <For each={props.line?.pieces ?? []}>{(piece) => <Piece piece={piece} language={props.code} />}</For>
      </td>
    </>
  );
}

/** Lines of a hunk. Scrolls sideways on its own. */
export function DiffLines(props: { lines: NumberedLine[]; path: string; numbered?: boolean }): JSX.Element {
  const code = createMemo(() => languageOf(props.path));
  return (
    <section class="diff-scroll" tabindex="0" aria-label={`Changed lines of ${props.path}`}>
      <table class="diff-lines" classList={{ "is-numbered": props.numbered === true }}>
        <tbody>
          <For each={props.lines}>
            {(line, index) => (
              <tr
                class={`diff-line is-${line.kind}`}
                {...stepMark(line.kind !== "context", isChanged(props.lines[index() - 1]))}
              >
                <Show when={props.numbered}>
                  <td class="diff-number">{line.oldNumber}</td>
                  <td class="diff-number">{line.newNumber}</td>
                </Show>
                <td class="diff-sign">{line.kind === "added" ? "+" : line.kind === "removed" ? "-" : ""}</td>
                <td class="diff-code">
                  <For each={line.pieces}>{(piece) => <Piece piece={piece} language={code()} />}</For>
                </td>
              </tr>
            )}
          </For>
        </tbody>
      </table>
    </section>
  );
}

function Piece(props: { piece: LinePiece; language: ReturnType<typeof languageOf> }): JSX.Element {
  const tokens = (): JSX.Element => (
    <For each={highlightLine(props.piece.text, props.language)}>
      {(token) =>
        token.kind === "plain" ? token.text : <span class={`code-${token.kind}`}>{token.text}</span>
      }
    </For>
  );
  return (
    <Show when={props.piece.marked} fallback={tokens()}>
      <mark>{tokens()}</mark>
    </Show>
  );
}
