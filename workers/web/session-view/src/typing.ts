/** Who is writing: what the session says of others holds for a moment, and what it is told of this user is not told too often. */
import type { UserId } from "@farhand/protocol";
import { type Accessor, createSignal } from "solid-js";

/** The limits of the wire. */
const TYPING_MS_MAX = 5000;
const TYPING_REPEAT_MS = 3000;

export interface Typists {
  list: Accessor<readonly UserId[]>;
  note(userId: UserId): void;
  /** This user sent what was written, or is gone. */
  forget(userId: UserId): void;
  clear(): void;
}

export function createTypists(): Typists {
  const [list, setList] = createSignal<readonly UserId[]>([]);
  const timers = new Map<UserId, ReturnType<typeof setTimeout>>();
  const forget = (userId: UserId): void => {
    if (!timers.has(userId)) return;
    clearTimeout(timers.get(userId));
    timers.delete(userId);
    setList([...timers.keys()]);
  };
  return {
    list,
    note(userId) {
      const known = timers.has(userId);
      clearTimeout(timers.get(userId));
      timers.set(
        userId,
        setTimeout(() => forget(userId), TYPING_MS_MAX),
      );
      if (!known) setList([...timers.keys()]);
    },
    forget,
    clear() {
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
      setList([]);
    },
  };
}

/** Calls `say` at the first key and then every few seconds while keys go on. */
export function createTypingSignal(say: () => boolean): { typed(): void; stopped(): void } {
  let saidAt = Number.NEGATIVE_INFINITY;
  return {
    typed() {
      if (Date.now() - saidAt >= TYPING_REPEAT_MS && say()) saidAt = Date.now();
    },
    /** The next key counts as the first one. */
    stopped() {
      saidAt = Number.NEGATIVE_INFINITY;
    },
  };
}
