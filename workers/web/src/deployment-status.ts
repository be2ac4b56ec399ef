/** How a deployment is, in words: what does not work, what waits, and what is behind. Pure. */
import type {
  DeploymentStatus,
  ReasonCode,
  Replica,
  RepositoryLoad,
  SessionLoad,
  SessionsLoad,
} from "@farhand/protocol";
import { plural } from "@farhand/session-view";
import { imageStanding, poolText, type Standing } from "./repository-status.js";

const REASONS: Record<ReasonCode, string> = {
  bridge: "Sandbox bridge",
  database: "Database",
  ending: "Ending",
  migrations: "Migrations",
  provider: "Provider",
  room: "Room",
  unknown: "Something",
};

export function reasonName(code: ReasonCode): string {
  return REASONS[code];
}

/** The one line that says whether anything needs somebody. */
export function wholeStanding(status: DeploymentStatus): Standing {
  const away = status.replicas.filter((replica) => replica.status === undefined).length;
  const faults =
    status.reasons.length +
    away +
    status.replicas.reduce((sum, replica) => sum + (replica.status?.reasons.length ?? 0), 0);
  if (faults > 0)
    return {
      tone: "error",
      text: `${plural(faults, "thing")} keep${faults === 1 ? "s" : ""} it from working`,
    };
  const paused = status.repositories.filter((one) => one.status?.pause !== undefined).length;
  const behind = failing(status.sessions).length + (status.sessions.silent > 0 ? 1 : 0);
  if (paused + behind > 0) return { tone: "warning", text: "It works; something is behind" };
  return { tone: "ok", text: "Everything works" };
}

export function replicaStanding(replica: Replica): Standing {
  const { status } = replica;
  if (status === undefined) return { tone: "error", text: "does not answer" };
  if (status.reasons.length > 0) return { tone: "error", text: "cannot make sandboxes" };
  return { tone: "ok", text: "works" };
}

export function replicaText(replica: Replica): string {
  const { status } = replica;
  if (status === undefined) return replica.error ?? "";
  const { sandboxes, attached, warm } = status;
  return `${status.provider} · ${plural(sandboxes, "sandbox", "sandboxes")}, ${attached} connected, ${warm} unclaimed · version ${status.version}`;
}

/** Sessions whose outbox has something that failed before, those with the most tries first. */
export function failing(sessions: SessionsLoad): SessionLoad[] {
  return sessions.asked
    .filter((load) => load.backlog.failing > 0)
    .sort((one, other) => other.backlog.tries - one.backlog.tries);
}

export function queueText(sessions: SessionsLoad): string {
  const queued = sessions.asked.reduce((sum, load) => sum + load.queued, 0);
  const turns =
    sessions.running === 0
      ? "no turn runs"
      : `${plural(sessions.running, "turn")} run${sessions.running === 1 ? "s" : ""}`;
  return `${turns}, ${queued === 0 ? "no prompt waits" : `${plural(queued, "prompt")} wait${queued === 1 ? "s" : ""}`}`;
}

export function outboxText(sessions: SessionsLoad): string {
  const waiting = sessions.asked.reduce((sum, load) => sum + load.backlog.waiting, 0);
  const asked = `of ${plural(sessions.asked.length, "session")} that were asked`;
  if (waiting === 0) return `nothing waits, ${asked}`;
  return `${plural(waiting, "thing")} to be done, ${asked}`;
}

export function backlogText({ backlog }: SessionLoad): string {
  return `${backlog.failing} of ${plural(backlog.waiting, "thing")} failed before, one ${plural(backlog.tries, "time")}`;
}

/** The breaker first: while it is open nothing else of the repository moves. */
export function repositoryStanding(load: RepositoryLoad, now: number): Standing {
  const { status } = load;
  if (status === undefined) return { tone: "quiet", text: "no image" };
  const image = imageStanding(status, now);
  const behind = (status.backlog?.failing ?? 0) > 0;
  return image.tone === "ok" && behind ? { tone: "warning", text: `${image.text}, orders fail` } : image;
}

export function repositoryText({ status }: RepositoryLoad): string {
  return status === undefined ? "" : poolText(status);
}
