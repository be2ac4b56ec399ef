/**
 * What a session has besides its conversation and its diff: pictures and files that came with prompts or that the agent brought, and
 * outputs too long for the timeline. Newest first. Pure.
 */
import type { Artifact, ArtifactId, Item, Participant, Prompt, Timestamp } from "@farhand/protocol";

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
  /** Nothing that is shown: it is downloaded. */
  | (Kept & { kind: "file"; bytes: number })
  | (Kept & { kind: "output" });

export function keptArtifacts(
  prompts: readonly Prompt[],
  items: readonly Item[],
  people: readonly Participant[],
  artifacts: readonly Artifact[],
): KeptArtifact[] {
  const found = [
    ...prompts.filter(({ state }) => state !== "cancelled").flatMap((prompt) => ofPrompt(prompt, people)),
    ...items.flatMap(ofItem),
    ...artifacts.flatMap(ofAgent),
  ];
  const once = new Map(found.map((one) => [one.id, one]));
  return [...once.values()].sort((one, other) => other.at - one.at);
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

/** A picture or another file that the agent made or looked at. */
export function ofAgent({ content, changedAt: at }: Artifact): KeptArtifact[] {
  if (content.type !== "file") return [];
  const { contentId: id, name, bytes, extent, mediaType } = content;
  const kept = { id, name, from: "the agent", at, bytes };
  if (extent !== undefined) return [{ kind: "picture", ...kept, ...extent }];
  return [{ kind: mediaType === "text/plain" ? "text" : "file", ...kept }];
}
