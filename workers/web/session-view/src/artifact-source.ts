/** How the artifacts of a session are reached by what shows them. */
import type { ArtifactId } from "@farhand/protocol";
import { createContext } from "solid-js";

export interface ArtifactSource {
  /** Where one can be opened in a tab of its own. */
  url(artifactId: ArtifactId): string;
  /** Fetches one; present where that address cannot be shown in place, because the page is of another origin and signed in by a key. */
  fetch?: (artifactId: ArtifactId, signal?: AbortSignal) => Promise<Blob>;
}

/** Without one, nothing of an artifact is offered. */
export const Artifacts = createContext<ArtifactSource>();
