import { defineConfig } from "vitest/config";

import { FlakyReporter } from "./src/flaky-reporter.ts";

export default defineConfig({
  test: {
    include: ["e2e/**/*.test.ts"],
    // Each file starts servers of its own; two cores do not carry several at once.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Where many tests run on a machine that others share. At a developer's desk a test that fails once has failed.
    retry: process.env.CI === undefined ? 0 : 1,
    reporters: ["default", new FlakyReporter()],
  },
});
