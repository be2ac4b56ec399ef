/** A picture that the session keeps, or what stands for one that cannot be loaded. */
import { createEffect, createSignal, type JSX, onCleanup, Show, useContext } from "solid-js";
import { Artifacts } from "../artifact-source.js";

export interface ArtifactPictureProps {
  id: string;
  alt: string;
  class?: string;
  /** In pixels; known before it is loaded, so that nothing jumps. */
  width?: number | undefined;
  height?: number | undefined;
  /** Loaded when it comes near the part of the page that is seen. */
  lazy?: boolean;
  fallback?: JSX.Element;
}

export function ArtifactPicture(props: ArtifactPictureProps): JSX.Element {
  const source = useContext(Artifacts);
  const [failed, setFailed] = createSignal(false);
  const [near, setNear] = createSignal(props.lazy !== true);
  const [fetched, setFetched] = createSignal<string>();
  const address = (): string | undefined => (source?.fetch ? fetched() : source?.url(props.id));
  createEffect(() => {
    if (!near() || !source?.fetch) return;
    const abort = new AbortController();
    let url: string | undefined;
    onCleanup(() => {
      abort.abort();
      if (url !== undefined) URL.revokeObjectURL(url);
    });
    source.fetch(props.id, abort.signal).then(
      (blob) => {
        if (abort.signal.aborted) return;
        url = URL.createObjectURL(blob);
        setFetched(url);
      },
      () => abort.signal.aborted || setFailed(true),
    );
  });
  const watch = (image: HTMLImageElement): void => {
    if (near() || !source?.fetch) return;
    const observer = new IntersectionObserver(([seen]) => {
      if (seen?.isIntersecting !== true) return;
      observer.disconnect();
      setNear(true);
    });
    observer.observe(image);
    onCleanup(() => observer.disconnect());
  };
  return (
    <Show when={!failed()} fallback={props.fallback}>
      <img
        ref={watch}
        class={props.class}
        src={address()}
        alt={props.alt}
        loading={props.lazy === true ? "lazy" : "eager"}
        decoding="async"
        width={props.width}
        height={props.height}
        onError={() => setFailed(true)}
      />
    </Show>
  );
}
