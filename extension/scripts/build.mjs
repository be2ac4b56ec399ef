/**
 * Builds the extension into `dist`, ready to be loaded unpacked: panel and worker as modules, the script for pages as one file without
 * imports, and inside the worker the function for the page's own world. `--out DIR` builds elsewhere.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "vite";
import solid from "vite-plugin-solid";

const root = fileURLToPath(new URL("../", import.meta.url));
const { values } = parseArgs({ options: { out: { type: "string" } } });
const out = values.out ?? `${root}dist`;

const shared = {
  root,
  configFile: false,
  logLevel: "warn",
  publicDir: false,
  define: { "process.env.NODE_ENV": JSON.stringify("production") },
};

/** One entry as a single script; its default export ends up in the global of that name. */
async function bundle(entry, name) {
  const result = await build({
    ...shared,
    build: {
      target: "chrome123",
      write: false,
      minify: true,
      lib: { entry: root + entry, formats: ["iife"], name, fileName: () => "script.js" },
    },
  });
  const [{ output }] = Array.isArray(result) ? result : [result];
  if (output.length !== 1) throw new Error(`${entry}: one file expected, not ${output.length}`);
  return output[0].code.trim();
}

/** The bundled function in a function, so that the browser can send it with everything that it needs. */
function pageFunction(code) {
  const id = "virtual:page-function";
  return {
    name: "page-function",
    resolveId: (source) => (source === id ? `\0${id}` : null),
    load: (source) =>
      source === `\0${id}`
        ? `export function nameComponents(request) {\n${code}\nreturn farhandNames(request);\n}`
        : null,
  };
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  ...shared,
  plugins: [solid(), pageFunction(await bundle("src/framework/page-function.ts", "farhandNames"))],
  build: {
    outDir: out,
    emptyOutDir: false,
    target: "chrome123",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      input: { panel: `${root}panel.html`, worker: `${root}src/worker/main.ts` },
      output: {
        entryFileNames: (chunk) => (chunk.name === "worker" ? "worker.js" : "assets/[name]-[hash].js"),
      },
    },
  },
});
writeFileSync(`${out}/page.js`, `${await bundle("src/page/main.ts", "farhandPage")}\n`);
cpSync(`${root}public`, out, { recursive: true });

const { version } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
const { name, ...manifest } = JSON.parse(readFileSync(`${root}manifest.json`, "utf8"));
writeFileSync(`${out}/manifest.json`, `${JSON.stringify({ name, version, ...manifest }, null, 2)}\n`);
