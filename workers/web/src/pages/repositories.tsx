/** The repositories that one may work on: how fresh the image of each is, and how many sandboxes wait. */
import type { RepositorySummary } from "@farhand/protocol";
import { Icon } from "@farhand/session-view";
import { createMemo, createSignal, For, type JSX, Match, onCleanup, onMount, Show, Switch } from "solid-js";
import { api } from "../api.js";
import { Await, Sheet } from "../components/parts.jsx";
import { createLoad } from "../load.js";
import { createStatuses, imageStanding, type KnownStatus, poolText } from "../repository-status.js";
import { followLink } from "../router.js";
import "../styles/sheet.css";

export default function Repositories(props: { onRail(): void }): JSX.Element {
  const list = createLoad(async () => (await api.repositories()).repositories);
  const statuses = createStatuses();
  const [search, setSearch] = createSignal("");
  const shown = createMemo(() => {
    const words = search().toLowerCase().split(/\s+/).filter(Boolean);
    return (list.value() ?? []).filter((one) => {
      const text = `${one.id} ${one.description}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
  });
  onMount(() => {
    document.title = "Repositories · Farhand";
  });
  onCleanup(() => {
    document.title = "Farhand";
  });
  const inView = createInView((id) => statuses.want(id));
  return (
    <Sheet title="Repositories" onRail={props.onRail}>
      <p class="sheet-text">
        Of each repository that is worked on Farhand keeps an image, and sandboxes made of it that wait for a
        prompt.
      </p>
      <Await load={list} lines={6}>
        {(all) => (
          <Show
            when={all().length > 0}
            fallback={
              <p class="rows-none">
                There is no repository that you may push to. Ask at the code host, or have the app installed
                there.
              </p>
            }
          >
            <label class="search">
              <Icon name="search" />
              <span class="visually-hidden">Search repositories</span>
              <input
                type="search"
                placeholder="Search repositories"
                value={search()}
                onInput={(event) => setSearch(event.currentTarget.value)}
              />
            </label>
            <ul class="rows" aria-label="Repositories">
              <For each={shown()} fallback={<li class="rows-none">No repository of yours matches.</li>}>
                {(one) => (
                  <Row repository={one} status={statuses.of(one.id)} watch={(row) => inView(row, one.id)} />
                )}
              </For>
            </ul>
          </Show>
        )}
      </Await>
    </Sheet>
  );
}

function Row(props: {
  repository: RepositorySummary;
  /** Absent until it is known. */
  status: KnownStatus | undefined;
  watch(row: HTMLElement): void;
}): JSX.Element {
  const failed = () => {
    const { status } = props;
    return status !== undefined && status !== null && "failed" in status ? status.failed : undefined;
  };
  const known = () => {
    const { status } = props;
    return status !== undefined && status !== null && !("failed" in status) ? status : undefined;
  };
  return (
    <li ref={props.watch}>
      <a class="row is-link" href={`/repositories/${props.repository.id}`} onClick={followLink}>
        <Icon name="repository" />
        <span class="row-text">
          <span class="row-name">{props.repository.id}</span>
          <Show when={props.repository.description}>
            <span class="row-detail">{props.repository.description}</span>
          </Show>
        </span>
        <span class="row-standing">
          <Switch fallback={<span class="quiet">…</span>}>
            <Match when={props.status === null}>
              <span class="quiet">not worked on yet</span>
            </Match>
            <Match when={failed()}>{(text) => <span class="quiet">{text()}</span>}</Match>
            <Match when={known()}>
              {(status) => (
                <>
                  <span class={`standing is-${imageStanding(status(), Date.now()).tone}`}>
                    {imageStanding(status(), Date.now()).text}
                  </span>
                  <span class="row-detail">{poolText(status())}</span>
                </>
              )}
            </Match>
          </Switch>
        </span>
        <Icon name="chevron" size={13} />
      </a>
    </li>
  );
}

/** Calls once for each row that comes into view. */
function createInView(seen: (id: string) => void): (row: HTMLElement, id: string) => void {
  const ids = new WeakMap<Element, string>();
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const id = ids.get(entry.target);
      if (!entry.isIntersecting || id === undefined) continue;
      observer.unobserve(entry.target);
      seen(id);
    }
  });
  onCleanup(() => observer.disconnect());
  return (row, id) => {
    ids.set(row, id);
    observer.observe(row);
  };
}
