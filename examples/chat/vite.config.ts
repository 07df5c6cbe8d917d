import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  // Relative, so that the built page works from any folder of a static server.
  base: "./",
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
