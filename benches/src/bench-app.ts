/** An app of `benches/apps`, pushed to a server with the unmodified CLI. */

import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

import type { FreshetServer } from "../../tests/src/server.ts";

const BENCHES = resolve(import.meta.dirname, "..");
const MODULES = resolve(BENCHES, "../node_modules");

/** A copy of an app, because the CLI writes into its folder, and benchmarks change its files. */
export class BenchApp {
  readonly #server: FreshetServer;
  readonly #folder: string;

  constructor(server: FreshetServer, name: string) {
    this.#server = server;
    this.#folder = mkdtempSync(join(tmpdir(), "freshet-bench-app-"));
    cpSync(join(BENCHES, "apps", name), this.#folder, { recursive: true });
    symlinkSync(MODULES, join(this.#folder, "node_modules"));
    const manifest = { name: "bench-app", private: true, type: "module", dependencies: { convex: "*" } };
    writeFileSync(join(this.#folder, "package.json"), JSON.stringify(manifest));
  }

  /** Replaces or adds a file. */
  write(path: string, text: string): void {
    writeFileSync(join(this.#folder, path), text);
  }

  /** Pushes it; fails with what the CLI printed when it does not succeed. */
  async push(): Promise<void> {
    const child = spawn(process.execPath, [join(MODULES, "convex/bin/main.js"), "dev", "--once", "--typecheck", "disable"], {
      cwd: this.#folder,
      env: {
        ...process.env,
        CONVEX_SELF_HOSTED_URL: this.#server.url,
        CONVEX_SELF_HOSTED_ADMIN_KEY: this.#server.adminKey,
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
      throw new Error(`the push failed:\n${output}\n--- server:\n${this.#server.output.slice(-4000)}`);
    }
  }

  delete(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Pushes an app as it is. */
export async function pushApp(server: FreshetServer, name: string): Promise<void> {
  const app = new BenchApp(server, name);
  try {
    await app.push();
  } finally {
    app.delete();
  }
}
