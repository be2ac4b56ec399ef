/** Unit tests of the parts that need no layout: redaction, checks of what pages answer, outline, sign-in, names in jsdom. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    environment: "node",
  },
});
