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

/** Names of the roles, and what each may do, in the order in which they are offered. */
export const ROLES: readonly { role: Role; name: string; may: string }[] = [
  { role: "owner", name: "Owner", may: "everything, also roles, archive and delete" },
  { role: "driver", name: "Driver", may: "prompts, steers, stops and orders the queue" },
  { role: "viewer", name: "Viewer", may: "watches" },
];

/** A role as people read it. */
export function roleName(role: Role): string {
  return ROLES.find((one) => one.role === role)?.name ?? "Viewer";
}
