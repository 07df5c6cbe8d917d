/** The demonstration, as `freshet demo` runs it: server, stand-in model, pushed app and page. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

import { eventually, freePort, freshetBinary } from "./server.ts";

const ROOT = resolve(import.meta.dirname, "../..");

export class Demo {
  readonly dataDir = mkdtempSync(join(tmpdir(), "freshet-demo-"));
  readonly #process: ChildProcess;
  readonly port: number;
  pageUrl = "";
  #output = "";

  private constructor(port: number) {
    this.port = port;
    const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: "1", FRESHET_AUDIT_DETERMINISM: "1", RUST_LOG: "warn,freshet_functions::audit=info" };
    delete env.OPENAI_API_KEY;
    this.#process = spawn(freshetBinary(), ["demo", "--port", String(port), "--data", this.dataDir], {
      cwd: ROOT,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const record = (chunk: Buffer): void => {
      this.#output += chunk.toString();
    };
    this.#process.stdout?.on("data", record);
    this.#process.stderr?.on("data", record);
  }

  /** Everything it has printed so far. */
  get output(): string {
    return this.#output;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts it and waits until the page is served. */
  static async start(): Promise<Demo> {
    const demo = new Demo(await freePort());
    try {
      demo.pageUrl = await eventually(
        "the demo",
        () => {
          if (demo.#process.exitCode !== null) {
            throw new Error("the demo has ended");
          }
          return /^\W+(http:\/\/\S+)/m.exec(demo.#output)?.[1];
        },
        150_000,
      );
    } catch (error) {
      await demo.stop();
      throw new Error(`${String(error)}; it printed:\n${demo.#output}`, { cause: error });
    }
    return demo;
  }

  adminKey(): string {
    return execFileSync(freshetBinary(), ["admin-key", "--data", this.dataDir], { encoding: "utf8" }).trim();
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      const ended = new Promise((resolveEnd) => this.#process.once("exit", resolveEnd));
      this.#process.kill("SIGINT");
      await ended;
    }
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}
