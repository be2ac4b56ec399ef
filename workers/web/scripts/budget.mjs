/**
 * Fails when the built client is larger than its budget: JavaScript and CSS that the session route loads, gzipped.
 * Run after `vite build`; `npm run build` does both. `--json` prints the figures as one JSON line.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const BUDGET_KB = { js: 90, css: 14 };
const dist = fileURLToPath(new URL("../dist/", import.meta.url));

/** Sum of the gzipped sizes of all files with this ending, in kB of 1000 bytes. The client is one route bundle, so all count. */
function gzipKb(ending) {
  const files = readdirSync(dist, { recursive: true }).filter((name) => String(name).endsWith(`.${ending}`));
  const bytes = files.reduce(
    (sum, name) => sum + gzipSync(readFileSync(dist + name), { level: 9 }).length,
    0,
  );
  return Math.round(bytes / 100) / 10;
}

const sizes = { session_js_kb: gzipKb("js"), session_css_kb: gzipKb("css") };
if (process.argv.includes("--json")) {
  console.log(JSON.stringify(sizes));
} else {
  console.log(
    `JavaScript ${sizes.session_js_kb} kB of ${BUDGET_KB.js}, CSS ${sizes.session_css_kb} kB of ${BUDGET_KB.css} (gzip)`,
  );
}
if (sizes.session_js_kb === 0 || sizes.session_js_kb > BUDGET_KB.js || sizes.session_css_kb > BUDGET_KB.css) {
  console.error("Over budget, or nothing built. See what grew with `npx vite build --mode development`.");
  process.exit(1);
}
