/** Starts a session: repository, model, first prompt. */
import type {
  Attachment,
  Configuration,
  CreateSessionRequest,
  PromptRequest,
  RepositoryId,
  RepositorySummary,
  User,
} from "@farhand/protocol";
import {
  Composer,
  createAttachments,
  createModelChoice,
  createReservation,
  Icon,
  newPromptId,
} from "@farhand/session-view";
import { createSignal, type JSX, onMount, Show } from "solid-js";
import { leaveAccount, messageOf } from "../account.js";
import { ApiError, api } from "../api.js";
import { RailButton } from "../components/rail-button.jsx";
import {
  RepositoryPicker,
  recentRepositories,
  rememberRepository,
} from "../components/repository-picker.jsx";
import { navigate } from "../router.js";

export default function NewSession(props: {
  configuration: Configuration;
  user: User;
  onRail(): void;
}): JSX.Element {
  const [repositories, setRepositories] = createSignal<readonly RepositorySummary[]>([]);
  const [note, setNote] = createSignal<string | null>("Loading repositories");
  const [repository, setRepository] = createSignal<RepositoryId | null>(null);
  const choice = createModelChoice(
    () => props.configuration,
    () => props.configuration.models[0] ?? "",
  );
  const [error, setError] = createSignal<string | null>(null);

  const fail = (cause: unknown): void => {
    if (cause instanceof ApiError && cause.code === "sign_in_required") leaveAccount();
    setError(messageOf(cause));
  };
  const load = async (): Promise<void> => {
    setError(null);
    setNote("Loading repositories");
    try {
      const { repositories: list } = await api.repositories();
      setRepositories(list);
      setNote(list.length === 0 ? "No repository that you may work on" : null);
      const known = (id: RepositoryId): boolean => list.some((one) => one.id === id);
      setRepository(recentRepositories().find(known) ?? list[0]?.id ?? null);
    } catch (cause) {
      setNote("Repositories could not be loaded");
      fail(cause);
    }
  };
  onMount(() => {
    document.title = "New session · Farhand";
    void load();
  });

  const files = createAttachments(() => props.configuration.attachments);
  const reservation = createReservation(api.reserve);
  const typed = (): void => {
    const chosen = repository();
    if (chosen !== null) reservation.typed(chosen);
  };

  // The same words keep their id, so that a second click after a lost answer is the same prompt.
  let prompt: Omit<PromptRequest, "origin"> | undefined;
  let sent: readonly Attachment[] = [];
  const start = async (text: string): Promise<boolean> => {
    const chosen = repository();
    if (chosen === null) return false;
    const effort = choice.effort();
    if (prompt?.text !== text || prompt.effort !== effort || sent !== files.list()) {
      prompt = { id: newPromptId(), text };
      if (effort !== undefined) prompt.effort = effort;
      sent = files.list();
      if (sent.length > 0) prompt.attachments = [...sent];
    }
    const body: CreateSessionRequest = { repository: chosen, prompt: { ...prompt, origin: "web" } };
    const model = choice.model();
    if (model !== undefined) body.model = model;
    const reserved = reservation.of(chosen);
    if (reserved !== undefined) body.reservation = reserved;
    setError(null);
    try {
      const { sessionId } = await api.createSession(body);
      rememberRepository(chosen);
      files.take();
      navigate(`/sessions/${sessionId}`);
      return true;
    } catch (cause) {
      fail(cause);
      return false;
    }
  };
  const blocked = (): string | undefined =>
    repository() === null ? (note() ?? "Choose a repository first") : undefined;

  return (
    <main class="page new-session" id="content">
      <RailButton onRail={props.onRail} />
      <div class="new-column">
        <h1>What should change?</h1>
        <div class="new-card">
          <RepositoryPicker
            repositories={repositories()}
            value={repository()}
            onChange={setRepository}
            note={note()}
          />
          <Composer
            label="First prompt"
            placeholder="Describe the change, the bug, or the question"
            draftName="new"
            storage={localStorage}
            blocked={blocked()}
            sendLabel="Start the session"
            onSend={start}
            onTyped={typed}
            files={props.configuration.attachments === undefined ? undefined : files}
            autofocus
            tools={choice.view}
          />
        </div>
        <Show when={error()}>
          {(message) => (
            <p class="form-error" role="alert">
              <Icon name="alert" size={14} />
              <span>{message()}</span>
              <Show when={repositories().length === 0}>
                <button type="button" class="text-button" onClick={() => void load()}>
                  Try again
                </button>
              </Show>
            </p>
          )}
        </Show>
        <p class="quiet new-note">
          Commits carry your name, {props.user.name}. The pull request is opened with your own account.
        </p>
      </div>
    </main>
  );
}
