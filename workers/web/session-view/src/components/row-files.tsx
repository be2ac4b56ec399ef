/** Pictures and other files that the agent brought, below the row of their step or at the end of their turn. Loaded when there are some. */

import type { Artifact } from "@farhand/protocol";
import { createMemo, createSignal, For, type JSX, Match, Show, Switch, useContext } from "solid-js";
import { formatBytes } from "../format.js";
import { type KeptArtifact, ofAgent } from "../kept-artifacts.js";
import { ArtifactViewer } from "./artifact-viewer.jsx";
import { Icon } from "./icons.jsx";
import { ArtifactLinks } from "./output.jsx";

/** What a picture may take of the timeline, in pixels. */
const WIDTH_MAX = 360;
const HEIGHT_MAX = 220;

type Picture = Extract<KeptArtifact, { kind: "picture" }>;

export function RowFiles(props: { files: readonly Artifact[]; of: "step" | "turn" }): JSX.Element {
  const link = useContext(ArtifactLinks);
  const url = (one: KeptArtifact): string => link?.(one.id) ?? "";
  const [open, setOpen] = createSignal<string>();
  const files = createMemo(() => props.files.flatMap(ofAgent));
  return (
    <Show when={link}>
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
                  <a class="attach-chip is-button" href={url(one)} download={one.name}>
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
                      <Thumb picture={picture()} url={url(one)} />
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
      <ArtifactViewer artifacts={files()} id={open()} url={url} onMove={setOpen} />
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
function Thumb(props: { picture: Picture; url: string }): JSX.Element {
  const [failed, setFailed] = createSignal(false);
  const scale = (): number => Math.min(1, WIDTH_MAX / props.picture.width, HEIGHT_MAX / props.picture.height);
  const side = (length: number): number => Math.max(1, Math.round(length * scale()));
  return (
    <>
      <span class="row-picture-frame">
        <Show when={!failed()} fallback={<Icon name="camera" size={20} />}>
          <img
            src={props.url}
            alt=""
            loading="lazy"
            decoding="async"
            width={side(props.picture.width)}
            height={side(props.picture.height)}
            onError={() => setFailed(true)}
          />
        </Show>
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
