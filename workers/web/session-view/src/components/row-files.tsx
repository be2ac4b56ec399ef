/** Pictures and other files that the agent brought, below the row of their step or at the end of their turn. Loaded when there are some. */

import type { Artifact } from "@farhand/protocol";
import { createMemo, createSignal, For, type JSX, Match, Show, Switch, useContext } from "solid-js";
import { type ArtifactSource, Artifacts } from "../artifact-source.js";
import { formatBytes } from "../format.js";
import { type KeptArtifact, ofAgent } from "../kept-artifacts.js";
import { ArtifactPicture } from "./artifact-picture.jsx";
import { ArtifactViewer } from "./artifact-viewer.jsx";
import { Icon } from "./icons.jsx";

/** What a picture may take of the timeline, in pixels. */
const WIDTH_MAX = 360;
const HEIGHT_MAX = 220;

type Picture = Extract<KeptArtifact, { kind: "picture" }>;

export function RowFiles(props: { files: readonly Artifact[]; of: "step" | "turn" }): JSX.Element {
  const artifacts = useContext(Artifacts);
  const [open, setOpen] = createSignal<string>();
  const files = createMemo(() => props.files.flatMap(ofAgent));
  return (
    <Show when={artifacts}>
      {(source) => (
        <>
          <ul
            class="row-files"
            classList={{ "is-of-turn": props.of === "turn" }}
            aria-label={`Files of this ${props.of}`}
          >
            <For each={files()}>
              {(one) => (
                <li class="row-file">
                  <Switch
                    fallback={
                      <a
                        class="attach-chip is-button"
                        href={source().url(one.id)}
                        download={one.name}
                        onClick={(event) => save(source(), one.id, one.name, event)}
                      >
                        <ChipFace file={one} />
                        <span class="visually-hidden">, download</span>
                      </a>
                    }
                  >
                    <Match when={one.kind === "picture" && one}>
                      {(picture) => (
                        <button
                          type="button"
                          class="row-picture"
                          aria-haspopup="dialog"
                          title={picture().name}
                          onClick={() => setOpen(one.id)}
                        >
                          <Thumb picture={picture()} />
                        </button>
                      )}
                    </Match>
                    <Match when={one.kind === "text"}>
                      <button
                        type="button"
                        class="attach-chip is-button"
                        aria-haspopup="dialog"
                        onClick={() => setOpen(one.id)}
                      >
                        <ChipFace file={one} />
                      </button>
                    </Match>
                  </Switch>
                </li>
              )}
            </For>
          </ul>
          <ArtifactViewer artifacts={files()} id={open()} onMove={setOpen} />
        </>
      )}
    </Show>
  );
}

function ChipFace(props: { file: KeptArtifact }): JSX.Element {
  const bytes = (): number => (props.file.kind === "output" ? 0 : props.file.bytes);
  return (
    <>
      <Icon name="file" size={14} />
      <span class="attach-name">{props.file.name}</span>
      <span class="attach-facts">{formatBytes(bytes())}</span>
    </>
  );
}

/** Its place is known before it is loaded, so nothing jumps. */
function Thumb(props: { picture: Picture }): JSX.Element {
  const scale = (): number => Math.min(1, WIDTH_MAX / props.picture.width, HEIGHT_MAX / props.picture.height);
  const side = (length: number): number => Math.max(1, Math.round(length * scale()));
  return (
    <>
      <span class="row-picture-frame">
        <ArtifactPicture
          id={props.picture.id}
          alt=""
          lazy
          width={side(props.picture.width)}
          height={side(props.picture.height)}
          fallback={<Icon name="camera" size={20} />}
        />
      </span>
      <span class="row-picture-name">
        {props.picture.name}{" "}
        <span class="attach-facts">
          {props.picture.width}×{props.picture.height}
        </span>
      </span>
    </>
  );
}

/**
 * What a link that saves an artifact does when it is followed: where its address alone would not be answered, the artifact is fetched
 * and then saved. One that cannot be fetched is opened in a tab, where the deployment says what is wrong.
 */
function save(source: ArtifactSource, id: string, name: string, event: MouseEvent): void {
  if (source.fetch === undefined) return;
  event.preventDefault();
  source.fetch(id).then(
    (blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      URL.revokeObjectURL(link.href);
    },
    () => window.open(source.url(id), "_blank", "noopener"),
  );
}
