/** Figures as people read them. Pure. */

import type { MetricsStep } from "@farhand/protocol";
import { formatCount, formatDuration } from "@farhand/session-view";

const WHOLE = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const PERCENT = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const MONTH = new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric" });

export const count = (value: number): string => (value < 100_000 ? WHOLE.format(value) : formatCount(value));
export const average = (value: number): string => TENTH.format(value);
export const percent = (value: number): string => PERCENT.format(value);
export const tokens = (value: number): string => formatCount(Math.round(value));

/** `$0.00`, `$0.74`, `$1,204`. */
export function money(usd: number): string {
  if (usd > 0 && usd < 0.01) return "< $0.01";
  return `$${usd < 1000 ? usd.toFixed(2) : WHOLE.format(usd)}`;
}

/** `120 ms`, `4.9 s`, `3 min 5 s`; a dash where there was nothing to measure. */
export function duration(ms: number): string {
  if (ms <= 0) return "–";
  return ms < 950 ? `${WHOLE.format(ms)} ms` : formatDuration(ms);
}

/** `35 min`, `4 h`, `3 days`. */
export function age(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / (24 * 60))} days`;
}

/** A part of a period by where it begins. */
export function partName(at: number, step: MetricsStep): string {
  if (step === "month") return MONTH.format(at);
  return step === "week" ? `Week of ${DATE.format(at)}` : DAY.format(at);
}

export const dateName = (at: number): string => DATE.format(at);

export const STEP_NAMES: Record<MetricsStep, string> = {
  day: "per day",
  week: "per week",
  month: "per month",
};

/** What a sandbox was made from. */
export const START_NAMES: Record<string, string> = {
  warm: "Warm, from the pool",
  image: "Repository’s image",
  snapshot: "Session’s snapshot",
  base: "Base image",
};
