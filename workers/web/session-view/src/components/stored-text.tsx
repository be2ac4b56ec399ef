/** A text that the session keeps, fetched when it is shown; the page around it does not wait. */
import { createResource, type JSX, Show, Suspense } from "solid-js";
import { Spinner } from "./icons.jsx";

export function StoredText(props: { url: string }): JSX.Element {
  return (
    <Suspense fallback={<Spinner label="loading" />}>
      <Fetched url={props.url} />
    </Suspense>
  );
}

function Fetched(props: { url: string }): JSX.Element {
  const [text] = createResource(
    () => props.url,
    async (url) => {
      try {
        const answer = await fetch(url);
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
