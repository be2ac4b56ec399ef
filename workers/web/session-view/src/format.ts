/** Numbers, times and names as people read them. Pure. */

/** `0.4 s`, `6.4 s`, `42 s`, `3 min 5 s`, `1 h 4 min`. */
export function formatDuration(ms: number): string {
  if (ms < 950) return `${Math.max(0.1, Math.round(ms / 100) / 10)} s`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `950`, `12.3k`, `182k`, `1.4M`. */
export function formatCount(count: number): string {
  if (count < 1000) return String(count);
  if (count < 99_950) return `${trim(count / 1000)}k`;
  if (count < 999_500) return `${Math.round(count / 1000)}k`;
  return `${trim(count / 1_000_000)}M`;
}

function trim(value: number): string {
  return value.toFixed(1).replace(/\.0$/, "");
}

/** `950 bytes`, `12.3 kB`, `1.4 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return plural(bytes, "byte");
  return bytes < 999_950 ? `${trim(bytes / 1000)} kB` : `${trim(bytes / 1_000_000)} MB`;
}

/** `$0.74`; empty where the price is unknown. */
export function formatCost(usd: number): string {
  if (usd <= 0) return "";
  return usd < 0.01 ? "< $0.01" : `$${usd.toFixed(2)}`;
}

/** `just now`, `4m`, `3h`, `2d`, then a date. */
export function formatAge(at: number, now: number): string {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes}m`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)}h`;
  if (minutes < 7 * 24 * 60) return `${Math.floor(minutes / (24 * 60))}d`;
  return new Date(at).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

/** `10:42`. */
export function formatTime(at: number): string {
  return new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
}

/** `Today`, `Yesterday`, or a date. */
export function formatDay(at: number, now: number): string {
  const day = startOfDay(at);
  const today = startOfDay(now);
  if (day === today) return "Today";
  if (day === startOfDay(today - 1)) return "Yesterday";
  return new Date(at).toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long" });
}

export function startOfDay(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

/** `Jo Reyes` → `JR`. What is no letter or digit, such as an emoji, does not count. */
export function initials(name: string): string {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? [];
  const first = [...(words[0] ?? "?")];
  const last = words.length > 1 ? [...(words.at(-1) ?? "")][0] : first[1];
  return ((first[0] ?? "") + (last ?? "")).toUpperCase();
}

/** A steady hue for an id, 0 to 359. */
export function hueOf(id: string): number {
  let hash = 2166136261;
  for (let index = 0; index < id.length; index += 1) {
    hash = Math.imul(hash ^ id.charCodeAt(index), 16777619);
  }
  return (hash >>> 0) % 360;
}

/** `anthropic/claude-sonnet-4-5` → `claude-sonnet-4-5`. */
export function modelName(model: string): string {
  return model.slice(model.indexOf("/") + 1);
}

/** `1 file`, `3 files`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `Jo is writing`, `Jo and Mika are writing`, `Jo and 2 others are writing`. */
export function typingText(names: readonly string[]): string {
  const [first = "Somebody", second] = names;
  if (second === undefined) return `${first} is writing`;
  return names.length === 2
    ? `${first} and ${second} are writing`
    : `${first} and ${names.length - 1} others are writing`;
}

/** `Jo joined`, `Jo and Mika joined, Tess left`, `3 people left`. */
export function presenceText(joined: readonly string[], left: readonly string[]): string {
  const who = (names: readonly string[]): string =>
    names.length > 2 ? `${names.length} people` : names.join(" and ");
  const parts = [];
  if (joined.length > 0) parts.push(`${who(joined)} joined`);
  if (left.length > 0) parts.push(`${who(left)} left`);
  return parts.join(", ");
}

/** Messages of the session begin small, because programs put words in front of them; people read sentences. */
export function capitalised(message: string): string {
  return message.charAt(0).toUpperCase() + message.slice(1);
}
