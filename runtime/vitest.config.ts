import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Worker processes with the flags of the engine, so that the code runs as it will in a lane.
    pool: "forks",
    execArgv: ["--experimental-vm-modules", "--no-warnings"],
  },
});
