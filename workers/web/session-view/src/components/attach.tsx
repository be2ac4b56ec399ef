/** Files in the composer: pasted, dropped or chosen, each a chip that can be removed, and why one was not taken. */
import type { Attachment, AttachmentLimits } from "@farhand/protocol";
import { type Accessor, createSignal, For, type JSX, Show } from "solid-js";
import { attachmentBytes, readFile } from "../files.js";
import { formatBytes } from "../format.js";
import { Icon } from "./icons.jsx";

export interface Attachments {
  list: Accessor<readonly Attachment[]>;
  /** Whether a file is being read. */
  busy: Accessor<boolean>;
  /** Why the last file was not taken. */
  problem: Accessor<string | null>;
  add(files: Iterable<File>): Promise<void>;
  remove(attachment: Attachment): void;
  /** What goes along now; nothing does afterwards. */
  take(): readonly Attachment[];
  /** Puts back what went along with a prompt that was refused; what is there stays. */
  giveBack(attachments: readonly Attachment[]): void;
  /** Opens the browser's dialog for files. */
  choose(): void;
  /** The field behind that dialog. */
  field(element: HTMLInputElement): void;
}

/** `limits` are absent where the deployment takes no attachments. */
export function createAttachments(limits: Accessor<AttachmentLimits | undefined>): Attachments {
  const [list, setList] = createSignal<readonly Attachment[]>([]);
  const [problem, setProblem] = createSignal<string | null>(null);
  const [reading, setReading] = createSignal(0);
  let field: HTMLInputElement | undefined;
  return {
    list,
    busy: () => reading() > 0,
    problem,
    add: async (files) => {
      const most = limits();
      if (most === undefined) return;
      setProblem(null);
      setReading((count) => count + 1);
      try {
        for (const file of files) {
          const read = await readFile(file, list(), most);
          if ("problem" in read) setProblem(read.problem);
          else setList([...list(), read.attachment]);
        }
      } finally {
        setReading((count) => count - 1);
      }
    },
    remove: (attachment) => {
      setList(list().filter((one) => one !== attachment));
      setProblem(null);
    },
    take: () => {
      const taken = list();
      setList([]);
      setProblem(null);
      return taken;
    },
    giveBack: (attachments) => {
      setList((now) => [...attachments.filter((one) => !now.includes(one)), ...now]);
    },
    choose: () => field?.click(),
    field: (element) => {
      field = element;
    },
  };
}

function nameOf(attachment: Attachment): string {
  return attachment.type === "capture" ? "Selection" : attachment.name;
}

export function AttachChips(props: { attachments: Attachments }): JSX.Element {
  let chips: HTMLUListElement | undefined;
  const remove = (attachment: Attachment): void => {
    const place = props.attachments.list().indexOf(attachment);
    const form = chips?.closest("form");
    props.attachments.remove(attachment);
    // The keyboard stays where it was: at the next chip, else in the text.
    const buttons = chips?.isConnected ? [...chips.querySelectorAll("button")] : [];
    (buttons[Math.min(place, buttons.length - 1)] ?? form?.querySelector("textarea"))?.focus();
  };
  return (
    <>
      <Show when={props.attachments.list().length > 0}>
        <ul class="attach-chips" aria-label="Attachments" ref={chips}>
          <For each={props.attachments.list()}>
            {(one) => (
              <li class="attach-chip">
                <Show when={one.type === "image" && one.picture} fallback={<Icon name="file" size={14} />}>
                  {(picture) => (
                    <img
                      class="attach-thumb"
                      src={`data:${picture().mediaType};base64,${picture().data}`}
                      alt=""
                      width={28}
                      height={28}
                    />
                  )}
                </Show>
                <span class="attach-name">{nameOf(one)}</span>
                <span class="attach-facts">{formatBytes(attachmentBytes([one]))}</span>
                <button
                  type="button"
                  class="icon-button"
                  aria-label={`Remove ${nameOf(one)}`}
                  onClick={() => remove(one)}
                >
                  <Icon name="cross" size={13} />
                </button>
              </li>
            )}
          </For>
        </ul>
      </Show>
      <Show when={props.attachments.problem()}>
        {(problem) => (
          <p class="attach-problem" role="alert">
            <Icon name="alert" size={14} />
            <span>{problem()}</span>
          </p>
        )}
      </Show>
    </>
  );
}

export function AttachButton(props: { attachments: Attachments }): JSX.Element {
  return (
    <>
      <button
        type="button"
        class="icon-button"
        aria-label="Attach pictures or text files"
        title="Attach pictures or text files; they can be pasted and dropped as well"
        onClick={() => props.attachments.choose()}
      >
        <Icon name="plus" size={16} />
      </button>
      <input
        ref={props.attachments.field}
        type="file"
        multiple
        hidden
        aria-label="Files to attach"
        onChange={(event) => {
          const files = [...(event.currentTarget.files ?? [])];
          event.currentTarget.value = "";
          void props.attachments.add(files);
        }}
      />
    </>
  );
}
