/** An app of `benches/apps`, pushed to a server with the unmodified CLI. */

import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

import type { FreshetServer } from "../../tests/src/server.ts";

const BENCHES = resolve(import.meta.dirname, "..");
const MODULES = resolve(BENCHES, "../node_modules");

/** Pushes from a copy, because the CLI writes into the app's folder. */
export async function pushApp(server: FreshetServer, name: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "freshet-bench-app-"));
  try {
    cpSync(join(BENCHES, "apps", name), folder, { recursive: true });
    symlinkSync(MODULES, join(folder, "node_modules"));
    const manifest = { name: "bench-app", private: true, type: "module", dependencies: { convex: "*" } };
    writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
    const child = spawn(process.execPath, [join(MODULES, "convex/bin/main.js"), "dev", "--once", "--typecheck", "disable"], {
      cwd: folder,
      env: {
        ...process.env,
        CONVEX_SELF_HOSTED_URL: server.url,
        CONVEX_SELF_HOSTED_ADMIN_KEY: server.adminKey,
        CONVEX_DEPLOYMENT: "",
        CI: "true",
        NO_COLOR: "1",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const record = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on("data", record);
    child.stderr.on("data", record);
    const code = await new Promise<number | null>((resolveEnd) => child.once("close", resolveEnd));
    if (code !== 0) {
      throw new Error(`the push failed:\n${output}\n--- server:\n${server.output.slice(-4000)}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
