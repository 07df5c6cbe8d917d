/** A copy of an app to push: tests edit its files and run the unmodified CLI in it. */

import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";

import type { FreshetServer } from "./server.ts";

/** Where the CLI is pointed at: a server, or something in front of one. */
type Target = Pick<FreshetServer, "url" | "adminKey" | "output">;

const TESTS = resolve(import.meta.dirname, "..");
const PACKAGE = resolve(TESTS, "../node_modules/convex");

export interface CliResult {
  code: number | null;
  /** Standard output and error, in order, without colours. */
  output: string;
  stdout: string;
}

export class TestApp {
  readonly dir: string;
  /** Variables of the CLI's process, besides those that point it at the server. */
  readonly env: Record<string, string> = {};
  readonly #server: Target;
  readonly #package: string;

  /**
   * Copies `tests/apps/<name>` to a folder below `tests`, where the packages of the workspace are found. `convexPackage` is the
   * folder of another version of the client, whose command line is used and which the app gets.
   */
  constructor(server: Target, name: string, convexPackage = PACKAGE) {
    this.#server = server;
    this.#package = convexPackage;
    const work = join(TESTS, ".work");
    mkdirSync(work, { recursive: true });
    this.dir = mkdtempSync(join(work, `${name}-`));
    cpSync(join(TESTS, "apps", name), this.dir, { recursive: true });
    writeFileSync(join(this.dir, "package.json"), JSON.stringify({ name: "test-app", private: true, type: "module", dependencies: { convex: "*" } }));
    if (convexPackage !== PACKAGE) {
      mkdirSync(join(this.dir, "node_modules"));
      symlinkSync(convexPackage, join(this.dir, "node_modules/convex"));
    }
  }

  write(path: string, text: string): void {
    const target = join(this.dir, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
  }

  remove(path: string): void {
    rmSync(join(this.dir, path), { force: true });
  }

  /** Runs the CLI to its end. */
  async convex(...args: string[]): Promise<CliResult> {
    const child = this.spawnConvex(...args);
    return await finished(child);
  }

  /** Starts the CLI, for commands that go on until they are stopped. */
  spawnConvex(...args: string[]): ChildProcess {
    return spawn(process.execPath, [join(this.#package, "bin/main.js"), ...args], {
      cwd: this.dir,
      env: {
        ...process.env,
        CONVEX_SELF_HOSTED_URL: this.#server.url,
        CONVEX_SELF_HOSTED_ADMIN_KEY: this.#server.adminKey,
        CONVEX_DEPLOYMENT: "",
        CI: "true",
        NO_COLOR: "1",
        FORCE_COLOR: "0",
        ...this.env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Pushes the app; fails with what the CLI printed when it does not succeed. */
  async push(): Promise<string> {
    const result = await this.convex("dev", "--once", "--typecheck", "disable");
    if (result.code !== 0) {
      throw new Error(`the push failed:\n${result.output}\n--- server:\n${this.#server.output.slice(-4000)}`);
    }
    return result.output;
  }

  delete(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

async function finished(child: ChildProcess): Promise<CliResult> {
  let output = "";
  let stdout = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    output += chunk.toString();
    stdout += chunk.toString();
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  const code = await new Promise<number | null>((resolveEnd) => child.once("close", resolveEnd));
  return { code, output, stdout };
}
