/** Unit tests of the parts that need no browser: reducer, connection, feed, Markdown, ANSI, diff lines. Solid is the browser's. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["browser"] },
  ssr: { resolve: { conditions: ["browser"] } },
  test: {
    include: ["tests/**/*.test.ts"],
    environment: "node",
    server: { deps: { inline: [/solid-js/] } },
  },
});
