/** Unit tests of the parts that need no browser: reducer, connection, Markdown, ANSI, diff lines. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
