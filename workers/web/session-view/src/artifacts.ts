/** Which artifacts there are, for what is shown with every session; what they are is in `kept-artifacts`, for those that have some. Pure. */
import type { Artifact, Item, Prompt } from "@farhand/protocol";
import type { Session } from "./session-store.js";

/** Whether there may be any: cheap, and asked again at every change. */
export function hasArtifacts(session: Pick<Session, "state" | "history">): boolean {
  const { earlier } = session.history;
  const now = session.state.snapshot;
  return (
    brings(earlier) ||
    (now !== null && (brings(now) || now.artifacts.some(({ content }) => content.type === "file")))
  );
}

function brings(part: { prompts: readonly Prompt[]; items: readonly Item[] }): boolean {
  return (
    part.prompts.some(
      ({ state, attachments }) =>
        state !== "cancelled" &&
        attachments?.some(({ kind, picture, textId }) => picture ?? (kind !== "capture" && textId)),
    ) || part.items.some(({ content }) => content.type === "tool" && content.artifactId !== undefined)
  );
}

/** Files of a turn by the step that brought them; those that were left for people without one are under "". */
export function filesByStep(artifacts: readonly Artifact[], turnId: string): Map<string, Artifact[]> {
  const found = new Map<string, Artifact[]>();
  for (const artifact of artifacts) {
    if (artifact.turnId !== turnId || artifact.content.type !== "file") continue;
    const step = artifact.content.itemId ?? "";
    found.set(step, [...(found.get(step) ?? []), artifact]);
  }
  return found;
}
