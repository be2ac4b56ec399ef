/** The start of a session: a repository, words, and what was selected. Remembers which repository a site belongs to. */
import type { CreateSessionRequest, RepositoryId, RepositorySummary } from "@farhand/protocol";
import { Composer, createModelChoice, createReservation, Icon, newPromptId } from "@farhand/session-view";
import { type Accessor, createEffect, createResource, createSignal, For, type JSX, on, Show } from "solid-js";
import type { PromptWithAttachments } from "../attachment.js";
import { ProblemLine } from "./app.jsx";
import { Chips } from "./chips.jsx";
import type { PageState } from "./page.js";
import type { Selection } from "./selection.js";
import type { Known } from "./workspace.jsx";

export function NewSession(props: {
  known: Known;
  page: Accessor<PageState>;
  selection: Selection;
  onCreated(sessionId: string): void;
}): JSX.Element {
  const { deployment, configuration } = props.known;
  const [repositories, { refetch }] = createResource(
    async () => (await deployment.repositories()).repositories,
  );
  const [chosen, setChosen] = createSignal<RepositoryId | null>(null);
  const choice = createModelChoice(
    () => configuration,
    () => configuration.models[0] ?? "",
  );
  const [problem, setProblem] = createSignal<string | null>(null);
  const host = (): string | undefined => {
    const now = props.page();
    return now.state === "readable" ? now.host : undefined;
  };
  const list = (): readonly RepositorySummary[] =>
    repositories.error === undefined ? (repositories() ?? []) : [];
  const repository = (): RepositoryId | null => chosen() ?? list()[0]?.id ?? null;
  createEffect(
    on([host, list], ([site, known]) => {
      const remembered = [site, ""].map((key) =>
        key === undefined ? null : localStorage.getItem(siteKey(key)),
      );
      const match = remembered.find((id) => id !== null && known.some((one) => one.id === id));
      if (match) setChosen(match);
    }),
  );
  const reservation = createReservation(deployment.reserve);
  const blocked = (): string | undefined => {
    if (repositories.loading) return "Loading your repositories";
    if (repositories.error !== undefined) return "Your repositories could not be loaded";
    return repository() === null ? "You have no repository that you may work on" : undefined;
  };

  // The same words keep their id, so that sending again after a lost answer is the same prompt.
  let prompt: PromptWithAttachments | undefined;
  let words: string | undefined;
  const start = async (text: string): Promise<boolean> => {
    const about = repository();
    if (about === null) return false;
    const effort = choice.effort();
    const isRepeat = words === text && prompt?.effort === effort;
    if (prompt === undefined || !isRepeat || props.selection.chips().length > 0) {
      prompt = {
        id: prompt !== undefined && isRepeat ? prompt.id : newPromptId(),
        origin: "extension",
        ...props.selection.take(text),
      };
      if (effort !== undefined) prompt.effort = effort;
      words = text;
    }
    const body: CreateSessionRequest = { repository: about, prompt };
    const model = choice.model();
    if (model !== undefined) body.model = model;
    const reserved = reservation.of(about);
    if (reserved !== undefined) body.reservation = reserved;
    setProblem(null);
    try {
      const { sessionId } = await deployment.createSession(body);
      const site = host();
      if (site !== undefined) localStorage.setItem(siteKey(site), about);
      localStorage.setItem(siteKey(""), about);
      props.onCreated(sessionId);
      return true;
    } catch (error) {
      setProblem(error instanceof Error ? error.message : "Something went wrong. Try again.");
      return false;
    }
  };
  return (
    <main class="conversation">
      <div class="timeline-frame new-hint">
        <Hint selection={props.selection} readable={host() !== undefined} />
      </div>
      <div class="dock">
        <div class="dock-column">
          <ProblemLine text={problem()} onDismiss={() => setProblem(null)} />
          <Show when={repositories.error}>
            <p class="form-error" role="alert">
              <Icon name="alert" size={14} />
              <span>Your repositories could not be loaded.</span>
              <button type="button" class="text-button" onClick={() => void refetch()}>
                Try again
              </button>
            </p>
          </Show>
          <label class="repository-select">
            <Icon name="repository" />
            <span class="visually-hidden">Repository</span>
            <select
              value={repository() ?? ""}
              disabled={list().length === 0}
              onChange={(event) => setChosen(event.currentTarget.value)}
            >
              <For each={list()} fallback={<option value="">{blocked() ?? ""}</option>}>
                {(one) => (
                  <option value={one.id} selected={one.id === repository()}>
                    {one.id}
                  </option>
                )}
              </For>
            </select>
            <Icon name="chevron" size={12} class="select-chevron" />
          </label>
          <Composer
            label="First prompt"
            placeholder="What should change?"
            draftName="new"
            storage={localStorage}
            blocked={blocked()}
            sendLabel="Start the session"
            onSend={start}
            onTyped={() => {
              const about = repository();
              if (about !== null) reservation.typed(about);
            }}
            attachments={<Chips selection={props.selection} />}
            tools={choice.view}
          />
        </div>
      </div>
    </main>
  );
}

function Hint(props: { selection: Selection; readable: boolean }): JSX.Element {
  return (
    <div class="hint">
      <span class="hint-icon">
        <Icon name="select" size={20} />
      </span>
      <p class="hint-title">
        {props.selection.chips().length > 0 ? "Say what should change" : "Point at what should change"}
      </p>
      <p class="quiet">
        {props.selection.chips().length > 0
          ? "The agent gets the elements, their components and where they are written."
          : props.readable
            ? "Select an area of the page, or just write. The agent works on the repository below."
            : "Just write, or open the page that is wrong and press the toolbar icon there."}
      </p>
    </div>
  );
}

function siteKey(site: string): string {
  return `farhand.repository.${site}`;
}
