/** The branch against its base as one column: file headers, hunks, two gutters of line numbers, ± signs, changed words marked. */
import type { FileDiff } from "@farhand/protocol";
import { createMemo, createSignal, For, type JSX, Show } from "solid-js";
import { type LinePiece, type NumberedLine, numberLines } from "../diff-lines.js";
import { plural } from "../format.js";
import { highlightLine, languageOf } from "../highlight.js";
import { LineCounts } from "./fold-row.jsx";
import { Icon } from "./icons.jsx";

/** Larger files are closed at first, so that a large change opens at once. */
const OPEN_LINES_MAX = 400;
const OPEN_FILES_MAX = 12;

export function DiffView(props: { files: readonly FileDiff[] }): JSX.Element {
  const total = createMemo(() => ({
    additions: props.files.reduce((sum, file) => sum + file.additions, 0),
    deletions: props.files.reduce((sum, file) => sum + file.deletions, 0),
  }));
  // What a person opened or closed outlives a newer state of the diff.
  const choices = new Map<string, boolean>();
  return (
    <div class="diff">
      <div class="diff-summary">
        <strong>{plural(props.files.length, "file")}</strong>
        <LineCounts additions={total().additions} deletions={total().deletions} />
      </div>
      <For each={props.files}>
        {(file, index) => <FileView file={file} index={index()} choices={choices} />}
      </For>
    </div>
  );
}

function FileView(props: { file: FileDiff; index: number; choices: Map<string, boolean> }): JSX.Element {
  const lineCount = (): number => props.file.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
  const [open, setOpen] = createSignal(
    props.choices.get(props.file.path) ?? (props.index < OPEN_FILES_MAX && lineCount() <= OPEN_LINES_MAX),
  );
  const toggle = (): void => {
    setOpen(!open());
    props.choices.set(props.file.path, open());
  };
  const slash = (): number => props.file.path.lastIndexOf("/") + 1;
  return (
    <section class="diff-file" aria-label={props.file.path}>
      <button type="button" class="diff-header" aria-expanded={open()} onClick={toggle}>
        <Icon name="chevron" class="fold-chevron" />
        <span class="diff-path" title={props.file.path}>
          <span class="diff-folder">{props.file.path.slice(0, slash())}</span>
          <span class="diff-name">{props.file.path.slice(slash())}</span>
        </span>
        <span class="diff-status">{statusWord(props.file)}</span>
        <LineCounts additions={props.file.additions} deletions={props.file.deletions} />
      </button>
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
              <DiffLines lines={numberLines(hunk)} path={props.file.path} numbered />
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

/** Lines of a hunk. Scrolls sideways on its own. */
export function DiffLines(props: { lines: NumberedLine[]; path: string; numbered?: boolean }): JSX.Element {
  const code = createMemo(() => languageOf(props.path));
  return (
    <section class="diff-scroll" tabindex="0" aria-label={`Changed lines of ${props.path}`}>
      <table class="diff-lines" classList={{ "is-numbered": props.numbered === true }}>
        <tbody>
          <For each={props.lines}>
            {(line) => (
              <tr class={`diff-line is-${line.kind}`}>
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
