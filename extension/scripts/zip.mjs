/**
 * Packs `dist` into `farhand-extension.zip`, the same bytes for the same files: names in order, no times, no attributes. Fails when it is larger
 * than its budget, or a part is. `--json` prints the figures as one JSON line.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";

const ZIP_KB_MAX = 400;
/**
 * Gzipped, with what each imports without being asked. The worker carries what runs in a page's own world; the script for pages is overlay
 * and reading.
 */
const PARTS_KB_MAX = { panel: 85, worker: 10, page: 14 };
/** Each chunk that the panel loads when it needs it. */
const LAZY_KB_MAX = 30;
/** The first time that the format knows; the time of packing would make two packages of one build. */
const TIME = new Date(1980, 0, 1);

const root = fileURLToPath(new URL("../", import.meta.url));
const dist = join(root, "dist");
const names = readdirSync(dist, { recursive: true, encoding: "utf8" })
  .filter((name) => statSync(join(dist, name)).isFile())
  .map((name) => name.split(sep).join("/"))
  .sort();
if (!names.includes("manifest.json")) throw new Error("nothing is built: run `npm run build` first");

const files = Object.fromEntries(
  names.map((name) => [name, [readFileSync(join(dist, name)), { mtime: TIME, level: 9 }]]),
);
const zip = zipSync(files);
writeFileSync(join(root, "farhand-extension.zip"), zip);

const kb = (bytes) => Math.round(bytes / 100) / 10;
const gzipKb = (some) =>
  kb(some.reduce((sum, name) => sum + gzipSync(readFileSync(join(dist, name)), { level: 9 }).length, 0));

/** These files with everything that they import without being asked. */
function loaded(entries) {
  const found = new Set(entries);
  for (const name of found) {
    const code = readFileSync(join(dist, name), "utf8");
    for (const [, imported] of code.matchAll(/\b(?:import|from)\s*"\.\/([^"]+\.js)"/g))
      found.add(`${name.slice(0, name.lastIndexOf("/") + 1)}${imported}`);
  }
  return [...found];
}

const document = readFileSync(join(dist, "panel.html"), "utf8");
const panel = loaded([...document.matchAll(/(?:src|href)="\/([^"]+\.js)"/g)].map(([, name]) => name));
const worker = loaded(["worker.js"]);
const lazy = names.filter((name) => name.startsWith("assets/") && name.endsWith(".js"));
const tooLarge = lazy.filter((name) => !panel.includes(name) && gzipKb([name]) > LAZY_KB_MAX);
const parts = { panel: gzipKb(panel), worker: gzipKb(worker), page: gzipKb(["page.js"]) };
const figures = { extension_zip_kb: kb(zip.length), ...parts };
if (process.argv.includes("--json")) console.log(JSON.stringify(figures));
else
  console.log(
    `zip ${figures.extension_zip_kb} kB of ${ZIP_KB_MAX}; gzip: ${JSON.stringify(parts)} kB of ${JSON.stringify(PARTS_KB_MAX)}`,
  );
const over = Object.keys(PARTS_KB_MAX).filter(
  (name) => parts[name] === 0 || parts[name] > PARTS_KB_MAX[name],
);
if (figures.extension_zip_kb > ZIP_KB_MAX) over.push("zip");
if (over.length + tooLarge.length > 0) {
  console.error(`Over budget, or nothing built: ${[...over, ...tooLarge].join(", ")}`);
  process.exit(1);
}
