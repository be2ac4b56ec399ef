/**
 * Packs `dist` into `farhand-extension.zip`, the same bytes for the same files: names in order, no times, no attributes. Fails when it is larger
 * than its budget, or a part is. `--json` prints the figures as one JSON line.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { zipSync } from "fflate";
import { gzipKb, loaded, loadedByDocument } from "../../workers/web/scripts/sizes.mjs";

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
const dist = join(root, "dist/");
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
const js = (some) => some.filter((name) => name.endsWith(".js"));
const panel = js(loadedByDocument(dist, "panel.html"));
const worker = loaded(dist, ["worker.js"]);
const lazy = names.filter((name) => name.startsWith("assets/") && name.endsWith(".js"));
const tooLarge = lazy.filter((name) => !panel.includes(name) && gzipKb(dist, [name]) > LAZY_KB_MAX);
const parts = { panel: gzipKb(dist, panel), worker: gzipKb(dist, worker), page: gzipKb(dist, ["page.js"]) };
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
