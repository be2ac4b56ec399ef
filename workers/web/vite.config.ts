/** Builds the web client into `dist`, which the edge Worker serves as its assets. */
import { defineConfig } from "vite";
import solid from "vite-plugin-solid";

const NEEDED_AT_ONCE =
  /\/session-view\/src\/|\/node_modules\/(?:solid-js|marked|remend)\/|vite\/preload-helper/;
/** Loaded when they are looked at. */
const LAZY =
  /\/session-view\/src\/(?:kept-artifacts|link-target|suggest|components\/(?:artifact-picture|artifact-shelf|artifact-viewer|attachment-contents|details|item-menu|row-files|stored-text|suggestions))\.tsx?$/;

export default defineConfig({
  plugins: [solid()],
  build: {
    target: "es2023",
    // The content security policy refuses inline data but for pictures, so nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // What a session needs at once is one file: it is compressed better than the pieces that lazy parts share with it.
        codeSplitting: {
          includeDependenciesRecursively: false,
          groups: [{ name: "session", test: (id) => NEEDED_AT_ONCE.test(id) && !LAZY.test(id) }],
        },
      },
    },
  },
});
