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
/** Gzipped. The worker carries what runs in a page's own world; the script for pages is overlay and reading. */
const PARTS_KB_MAX = { panel: 85, worker: 10, page: 14 };
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
/** A part with everything that it imports. */
const part = (entry, also) =>
  kb(
    names
      .filter(
        (name) => name === entry || also.some((prefix) => name.startsWith(prefix) && name.endsWith(".js")),
      )
      .reduce((sum, name) => sum + gzipSync(readFileSync(join(dist, name)), { level: 9 }).length, 0),
  );
const parts = {
  panel: part("", ["assets/"]),
  worker: part("worker.js", ["assets/inbox"]),
  page: part("page.js", []),
};
const figures = { extension_zip_kb: kb(zip.length), ...parts };
if (process.argv.includes("--json")) console.log(JSON.stringify(figures));
else
  console.log(
    `zip ${figures.extension_zip_kb} kB of ${ZIP_KB_MAX}; gzip: ${JSON.stringify(parts)} kB of ${JSON.stringify(PARTS_KB_MAX)}`,
  );
const over = Object.keys(PARTS_KB_MAX).filter((name) => parts[name] > PARTS_KB_MAX[name]);
if (figures.extension_zip_kb > ZIP_KB_MAX || over.length > 0) {
  console.error(`Over budget: ${["zip", ...over].join(", ")}`);
  process.exit(1);
}
