/** A text that the session keeps, fetched when it is shown; the page around it does not wait. */
import { createResource, type JSX, onCleanup, Show, Suspense, useContext } from "solid-js";
import { Artifacts } from "../artifact-source.js";
import { Spinner } from "./icons.jsx";

export function StoredText(props: { id: string }): JSX.Element {
  return (
    <Suspense fallback={<Spinner label="loading" />}>
      <Fetched id={props.id} />
    </Suspense>
  );
}

function Fetched(props: { id: string }): JSX.Element {
  const source = useContext(Artifacts);
  const abort = new AbortController();
  onCleanup(() => abort.abort());
  const [text] = createResource(
    () => props.id,
    async (id) => {
      try {
        if (source?.fetch) return await (await source.fetch(id, abort.signal)).text();
        const answer = await fetch(source?.url(id) ?? "", { signal: abort.signal });
        return answer.ok ? await answer.text() : null;
      } catch {
        return null;
      }
    },
  );
  return (
    <Show when={text() !== null} fallback={<p class="is-quiet">It cannot be loaded now.</p>}>
      <pre class="attachment-text" tabindex="0">
        {text()}
      </pre>
    </Show>
  );
}
