/**
 * What a session has besides its conversation and its diff: pictures and text files that came with prompts, and outputs too long for the
 * timeline. Newest first. Pure.
 */
import type { ArtifactId, Item, Participant, Prompt, PromptAttachment, Timestamp } from "@farhand/protocol";
import type { Session } from "./session-store.js";

interface Kept {
  id: ArtifactId;
  /** As it was called where it came from. */
  name: string;
  /** Who or what brought it. */
  from: string;
  at: Timestamp;
}

export type KeptArtifact =
  | (Kept & { kind: "picture"; width: number; height: number; bytes: number })
  | (Kept & { kind: "text"; bytes: number })
  | (Kept & { kind: "output" });

export function keptArtifacts(
  prompts: readonly Prompt[],
  items: readonly Item[],
  people: readonly Participant[],
): KeptArtifact[] {
  const found = [
    ...prompts.filter(({ state }) => state !== "cancelled").flatMap((prompt) => ofPrompt(prompt, people)),
    ...items.flatMap(ofItem),
  ];
  const once = new Map(found.map((one) => [one.id, one]));
  return [...once.values()].sort((one, other) => other.at - one.at);
}

/** Whether there may be any: cheap, and asked again at every change. */
export function hasArtifacts(session: Pick<Session, "state" | "history">): boolean {
  const { earlier } = session.history;
  const prompts = (list: readonly Prompt[]): boolean =>
    list.some((one) => one.state !== "cancelled" && (one.attachments ?? []).some(isKept));
  const items = (list: readonly Item[]): boolean => list.some((one) => ofItem(one).length > 0);
  const now = session.state.snapshot;
  return (
    prompts(earlier.prompts) ||
    items(earlier.items) ||
    (now !== null && (prompts(now.prompts) || items(now.items)))
  );
}

function isKept({ kind, picture, textId }: PromptAttachment): boolean {
  return picture !== undefined || (textId !== undefined && kind !== "capture");
}

function ofPrompt(prompt: Prompt, people: readonly Participant[]): KeptArtifact[] {
  const from = people.find(({ userId }) => userId === prompt.author)?.name ?? "Somebody";
  const at = prompt.submittedAt;
  return (prompt.attachments ?? []).flatMap(({ kind, name, bytes, picture, textId }) => {
    const kept: KeptArtifact[] = [];
    if (picture !== undefined) {
      const { artifactId: id, width, height } = picture;
      kept.push({ kind: "picture", id, name, from, at, width, height, bytes: picture.bytes });
    }
    if (textId !== undefined && kind !== "capture")
      kept.push({ kind: "text", id: textId, name, from, at, bytes });
    return kept;
  });
}

function ofItem({ content, startedAt }: Item): KeptArtifact[] {
  if (content.type !== "tool" || content.artifactId === undefined) return [];
  return [
    { kind: "output", id: content.artifactId, name: content.title, from: "whole output", at: startedAt },
  ];
}
