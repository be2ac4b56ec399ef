/**
 * A warm sandbox for a prompt that is being composed: asked for at the first key and again while keys go on, so that it is there when
 * the prompt is sent. Nobody notices when there is none.
 */
import type { RepositoryId, ReservationId } from "@farhand/protocol";
import { newReservationId } from "./ids.js";

/** A reservation holds for two minutes after it was last asked for. */
const REPEAT_MS = 60_000;

export interface Reservation {
  /** A key changed the prompt for this repository. */
  typed(repository: RepositoryId): void;
  /** What a session about this repository is to name; nothing where nothing was asked for. */
  of(repository: RepositoryId): ReservationId | undefined;
}

export function createReservation(
  ask: (repository: RepositoryId, id: ReservationId) => Promise<unknown>,
): Reservation {
  const asked = new Map<RepositoryId, { id: ReservationId; at: number }>();
  return {
    typed(repository) {
      const known = asked.get(repository);
      if (known !== undefined && Date.now() - known.at < REPEAT_MS) return;
      const id = known?.id ?? newReservationId();
      asked.set(repository, { id, at: Date.now() });
      ask(repository, id).catch(() => {});
    },
    of: (repository) => asked.get(repository)?.id,
  };
}
