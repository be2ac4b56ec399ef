/** Who looks at a session now and who writes in it. Nothing of it is recorded, so it is forgotten with the connection. */
import type { ServerMessage, UserId } from "@farhand/protocol";
import { type Accessor, createSignal } from "solid-js";
import { createTypists } from "./typing.js";

type AudienceMessage = Extract<ServerMessage, { type: "presence" | "presence_changed" | "typing" }>;

export interface Audience {
  present: Accessor<readonly UserId[]>;
  typing: Accessor<readonly UserId[]>;
  apply(message: AudienceMessage): void;
  /** This user has sent what was written. */
  sent(userId: UserId): void;
  clear(): void;
}

export function createAudience(): Audience {
  const [present, setPresent] = createSignal<readonly UserId[]>([]);
  const typists = createTypists();
  return {
    present,
    typing: typists.list,
    apply(message) {
      switch (message.type) {
        case "presence":
          setPresent(message.users);
          break;
        case "presence_changed":
          setPresent((users) => changed(users, message.joined, message.left));
          for (const userId of message.left) typists.forget(userId);
          break;
        case "typing":
          typists.note(message.userId);
          break;
      }
    },
    sent: typists.forget,
    clear() {
      setPresent([]);
      typists.clear();
    },
  };
}

function changed(
  users: readonly UserId[],
  joined: readonly UserId[],
  left: readonly UserId[],
): readonly UserId[] {
  const stay = users.filter((one) => !left.includes(one));
  return [...stay, ...joined.filter((one) => !stay.includes(one))];
}
