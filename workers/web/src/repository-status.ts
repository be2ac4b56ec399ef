/** How a repository's images and warm pool are, in words; and their states for a long list, asked a few at a time. */
import type { BuildDescription, RepositoryId, RepositoryStatus } from "@farhand/protocol";
import { formatDuration } from "@farhand/session-view";
import { createSignal } from "solid-js";
import { messageOf } from "./account.js";
import { api } from "./api.js";
import { noteFailure } from "./load.js";

/** The code host is asked about access with each of them. */
const ASKED_AT_ONCE = 4;

export type Tone = "ok" | "warning" | "error" | "quiet";

export interface Standing {
  tone: Tone;
  text: string;
}

/** `null` where nothing was configured yet: no session was ever started. */
export type KnownStatus = RepositoryStatus | null | { failed: string };

/** How fresh what sandboxes start from is; the newest build counts, because the one before may hide a failing one. */
export function imageStanding(status: RepositoryStatus, now: number): Standing {
  const [newest] = status.builds;
  const age = status.image === undefined ? "" : `image of ${ageText(status.image.builtAt, now)}`;
  if (status.pause !== undefined) return { tone: "error", text: age === "" ? "paused" : `${age}, paused` };
  if (newest !== undefined && newest.outcome === undefined)
    return { tone: "warning", text: age === "" ? "first build runs" : `${age}, build runs` };
  const failed = newest?.outcome?.type === "failed" || newest?.outcome?.type === "unknown";
  if (status.image === undefined)
    return failed
      ? { tone: "error", text: "no image: the build failed" }
      : { tone: "quiet", text: "no image yet" };
  return failed ? { tone: "error", text: `${age}, last build failed` } : { tone: "ok", text: age };
}

/** `2 of 3 sandboxes ready`. */
export function poolText({ pool }: RepositoryStatus): string {
  if (pool.target === 0 && pool.ready + pool.filling === 0) return "no warm sandboxes";
  const filling = pool.filling > 0 ? `, ${pool.filling} being made` : "";
  const reserved = pool.reserved > 0 ? `, ${pool.reserved} held` : "";
  return `${pool.ready} of ${pool.target} sandboxes ready${filling}${reserved}`;
}

/** How a build ended, or what it is at. */
export function buildStanding(build: BuildDescription): Standing {
  const took = build.endedAt === undefined ? "" : ` in ${formatDuration(build.endedAt - build.startedAt)}`;
  const { outcome } = build;
  if (outcome === undefined) return { tone: "warning", text: build.step === "" ? "begins" : build.step };
  switch (outcome.type) {
    case "built":
      return { tone: "ok", text: `built${took}` };
    case "unchanged":
      return { tone: "quiet", text: "nothing has changed" };
    case "failed":
      return { tone: "error", text: `failed at ${outcome.step}${took}` };
    default:
      return { tone: "error", text: "ended in a way that this version does not know" };
  }
}

/** `just now`, `12 min ago`, `5 h ago`, `3 days ago`. */
export function ageText(at: number, now: number): string {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return `${Math.floor(minutes / (24 * 60))} days ago`;
}

/** The state of one repository; `null` where there is none yet. */
export async function fetchStatus(id: RepositoryId): Promise<RepositoryStatus | null> {
  try {
    return await api.repositoryStatus(id);
  } catch (error) {
    if (noteFailure(error) === "not_found") return null;
    throw error;
  }
}

/** States that are asked for when a row comes into view, a few at a time and each once. */
export function createStatuses() {
  const [known, setKnown] = createSignal<ReadonlyMap<RepositoryId, KnownStatus>>(new Map());
  const asked = new Set<RepositoryId>();
  const waiting: RepositoryId[] = [];
  let running = 0;
  const next = (): void => {
    if (running >= ASKED_AT_ONCE) return;
    const id = waiting.shift();
    if (id === undefined) return;
    running += 1;
    fetchStatus(id)
      .catch((error): KnownStatus => ({ failed: messageOf(error) }))
      .then((status) => setKnown((before) => new Map(before).set(id, status)))
      .finally(() => {
        running -= 1;
        next();
      });
  };
  return {
    of: (id: RepositoryId): KnownStatus | undefined => known().get(id),
    want(id: RepositoryId): void {
      if (asked.has(id)) return;
      asked.add(id);
      waiting.push(id);
      next();
    },
  };
}
