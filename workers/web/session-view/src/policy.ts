/** Who may do what in a session: the session's own table, so that nothing is offered which would be refused. */
import type { Role, SessionSnapshot, UserId } from "@farhand/protocol";

/** What a participant wants to do. */
export type Action = "prompt" | "order_queue" | "stop_turn" | "rename" | "change_role" | "archive" | "delete";

const DRIVERS_MAY: ReadonlySet<Action> = new Set<Action>(["prompt", "order_queue", "stop_turn", "rename"]);

/** Whether someone with this role may do that. */
export function evaluatePermission(role: Role, action: Action): boolean {
  return role === "owner" || (role === "driver" && DRIVERS_MAY.has(action));
}

/** The role of a user; one who was never here becomes the session's owner or a driver on coming. */
export function roleOf(snapshot: SessionSnapshot, userId: UserId): Role {
  const person = snapshot.participants.find((one) => one.userId === userId);
  if (person === undefined) return snapshot.session.createdBy === userId ? "owner" : "driver";
  return person.role ?? "driver";
}

/** The roles and their names, in the order in which they are offered. */
export const ROLES: readonly { role: Role; name: string }[] = [
  { role: "owner", name: "Owner" },
  { role: "driver", name: "Driver" },
  { role: "viewer", name: "Viewer" },
];

/** A role as people read it. */
export function roleName(role: Role): string {
  return ROLES.find((one) => one.role === role)?.name ?? "Viewer";
}
