/** Names and moments as the pages around the sessions tell them. Pure. */

// Made once: a formatter costs more than a hundred moments told with it.
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const OTHER_YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** `10:42`. */
export function clockText(at: number): string {
  return CLOCK.format(at);
}

/** `today 10:42`, `yesterday 10:42`, `14 Nov`, `14 Nov 2025`. */
export function dateText(at: number, now = Date.now()): string {
  const day = (time: number): number => new Date(time).setHours(0, 0, 0, 0);
  if (day(at) === day(now)) return `today ${CLOCK.format(at)}`;
  if (day(at) === day(day(now) - 1)) return `yesterday ${CLOCK.format(at)}`;
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return (sameYear ? DAY : OTHER_YEAR).format(at);
}

const BROWSERS: readonly [mark: RegExp, name: string][] = [
  [/Edg(?:e|A|iOS)?\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\/|FxiOS\//, "Firefox"],
  [/Chrom(?:e|ium)\/|CriOS\//, "Chrome"],
  [/Safari\//, "Safari"],
];
const SYSTEMS: readonly [mark: RegExp, name: string][] = [
  [/iPhone|iPad/, "iOS"],
  [/Android/, "Android"],
  [/Windows/, "Windows"],
  [/Mac OS X|Macintosh/, "macOS"],
  [/CrOS/, "ChromeOS"],
  [/Linux/, "Linux"],
];

/** `Firefox on Windows`, out of what a browser calls itself; that itself where it is of another kind. */
export function browserName(agent: string): string {
  const find = (list: readonly [RegExp, string][]): string | undefined =>
    list.find(([mark]) => mark.test(agent))?.[1];
  const browser = find(BROWSERS);
  const system = find(SYSTEMS);
  if (browser === undefined) return agent.trim() === "" ? "An unnamed browser" : agent.slice(0, 60);
  return system === undefined ? browser : `${browser} on ${system}`;
}
