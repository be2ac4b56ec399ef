/** Which period of time the page of metrics is about: what its address says, and what is asked of the API. Pure, but for the zone. */

export const PRESETS = [
  { days: 7, name: "7 days" },
  { days: 30, name: "30 days" },
  { days: 90, name: "90 days" },
  { days: 365, name: "12 months" },
] as const;

export interface Asked {
  /** So many days, today included; absent where the two dates count. */
  days: number | undefined;
  /** First day, `2026-11-01`. */
  from: string;
  /** Last day. */
  to: string;
  repository: string | undefined;
}

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

const DATE = /^\d{4}-\d{2}-\d{2}$/;
const USUAL_DAYS = 30;

/** A day as inputs of dates have it. */
export function dayText(date: Date): string {
  const two = (number: number): string => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** Some days later, in the calendar, so that no change of clocks matters. */
export function addDays(day: string, days: number): string {
  const [year = 1970, month = 1, date = 1] = day.split("-").map(Number);
  return dayText(new Date(year, month - 1, date + days));
}

/** What an address asks for; what it does not say, or says wrongly, is what is usual. */
export function readAsked(search: string, now: number): Asked {
  const query = new URLSearchParams(search);
  const repository = query.get("repository") ?? undefined;
  const [from, to] = [query.get("from") ?? "", query.get("to") ?? ""];
  if (DATE.test(from) && DATE.test(to) && from <= to) return { days: undefined, from, to, repository };
  const days = Number(query.get("days"));
  return { ...lastDays(PRESETS.some((one) => one.days === days) ? days : USUAL_DAYS, now), repository };
}

/** The last days, today included. */
export function lastDays(days: number, now: number): Pick<Asked, "days" | "from" | "to"> {
  const to = dayText(new Date(now));
  return { days, from: addDays(to, 1 - days), to };
}

/** The same as an address. */
export function writeAsked(asked: Asked): string {
  const query = new URLSearchParams(
    asked.days === undefined ? { from: asked.from, to: asked.to } : { days: String(asked.days) },
  );
  if (asked.repository !== undefined) query.set("repository", asked.repository);
  return `/metrics?${query}`;
}

/** What the API is asked. Its period ends before the day after the last one. */
export function apiQuery(asked: Asked): URLSearchParams {
  const query = new URLSearchParams({ from: asked.from, to: addDays(asked.to, 1), zone: ZONE });
  if (asked.repository !== undefined) query.set("repository", asked.repository);
  return query;
}

/** Where a table of it is as CSV. */
export function csvPath(asked: Asked, table: string): string {
  const query = apiQuery(asked);
  query.set("format", "csv");
  query.set("table", table);
  return `/api/metrics?${query}`;
}
