/** How large a built page is: what it loads, and how much that is when it is compressed. For the budgets of the client and the extension. */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** These files of `dist` gzipped, in kilobytes to one decimal. */
export function gzipKb(dist, names) {
  const bytes = names.reduce(
    (sum, name) => sum + gzipSync(readFileSync(dist + name), { level: 9 }).length,
    0,
  );
  return Math.round(bytes / 100) / 10;
}

/** Scripts and styles that a document of `dist` names, and what the scripts import without being asked. */
export function loadedByDocument(dist, document) {
  const html = readFileSync(dist + document, "utf8");
  return loaded(
    dist,
    [...html.matchAll(/(?:src|href)="\/([^"]+\.(?:js|css))"/g)].map(([, name]) => name),
  );
}

/** These files of `dist`, and what the scripts among them import without being asked. */
export function loaded(dist, entries) {
  const names = new Set(entries);
  for (const name of names) {
    if (!name.endsWith(".js")) continue;
    const code = readFileSync(dist + name, "utf8");
    for (const [, imported] of code.matchAll(/\b(?:import|from)\s*"\.\/([^"]+\.js)"/g))
      names.add(`${name.slice(0, name.lastIndexOf("/") + 1)}${imported}`);
  }
  return [...names];
}
