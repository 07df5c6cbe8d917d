/** A Freshet server for one test file: the real binary, a data directory of its own, free ports. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

const ROOT = resolve(import.meta.dirname, "../..");

export interface ServerOptions {
  /** Data directory; a temporary one when absent. */
  dataDir?: string;
  env?: Record<string, string>;
  args?: string[];
  /** Whether HTTP actions have no port of their own. */
  singlePort?: boolean;
  /** A program and its arguments that run the server, for tests that limit what it can do. It must become the server. */
  wrapper?: string[];
}

export class FreshetServer {
  readonly dataDir: string;
  readonly port: number;
  readonly sitePort: number;
  readonly adminKey: string;
  #process: ChildProcess;
  #output = "";
  readonly #temporary: boolean;

  private constructor(
    child: ChildProcess,
    dataDir: string,
    temporary: boolean,
    port: number,
    sitePort: number,
    adminKey: string,
  ) {
    this.#process = child;
    this.dataDir = dataDir;
    this.#temporary = temporary;
    this.port = port;
    this.sitePort = sitePort;
    this.adminKey = adminKey;
    const record = (chunk: Buffer): void => {
      this.#output += chunk.toString();
    };
    child.stdout?.on("data", record);
    child.stderr?.on("data", record);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get siteUrl(): string {
    return `http://127.0.0.1:${this.sitePort}`;
  }

  /** Everything the server has printed so far. */
  get output(): string {
    return this.#output;
  }

  /** Process id of the supervisor. */
  get pid(): number {
    return this.#process.pid ?? -1;
  }

  static async start(options: ServerOptions = {}): Promise<FreshetServer> {
    const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), "freshet-test-"));
    const [port, sitePort] = [await freePort(), await freePort()];
    const binary = freshetBinary();
    const adminKey = execFileSync(binary, ["admin-key", "--data", dataDir], { encoding: "utf8" }).trim();
    const [program, ...before] = options.wrapper ?? ["env"];
    const child = spawn(
      program ?? "env",
      [...before, binary, "serve", "--data", dataDir, "--host", "127.0.0.1", "--port", String(port), ...(options.singlePort === true ? ["--single-port"] : ["--site-port", String(sitePort)]), ...(options.args ?? [])],
      { env: { ...process.env, ...options.env }, stdio: ["ignore", "pipe", "pipe"] },
    );
    const server = new FreshetServer(child, dataDir, options.dataDir === undefined, port, sitePort, adminKey);
    await server.answering();
    return server;
  }

  /** Waits until the server answers a request; fails with its output when it ends instead. */
  async answering(timeoutMs = 30_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      try {
        const response = await fetch(`${this.url}/version`);
        if (response.ok) {
          return;
        }
      } catch {
        // Not listening yet.
      }
      if (this.#process.exitCode !== null || Date.now() > deadline) {
        throw new Error(`the server does not answer; it printed:\n${this.#output}`);
      }
      await sleep(20);
    }
  }

  /** Process id of the engine, the supervisor's child. */
  enginePid(): number {
    for (const pid of execFileSync("ps", ["-e", "-o", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n")) {
      const [child, parent] = pid.trim().split(/\s+/);
      if (Number(parent) === this.pid) {
        return Number(child);
      }
    }
    throw new Error(`the supervisor has no engine; it printed:\n${this.#output}`);
  }

  /** Kills the engine the hard way; the supervisor is to start another. */
  killEngine(): void {
    process.kill(this.enginePid(), "SIGKILL");
  }

  /** Ends the server and returns its exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    const child = this.#process;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolveEnd) => child.once("exit", resolveEnd));
      child.kill(signal);
      await ended;
    }
    if (this.#temporary) {
      rmSync(this.dataDir, { recursive: true, force: true });
    }
    return child.exitCode;
  }
}

/** The binary under test: built by `cargo xtask test`, or by hand. */
export function freshetBinary(): string {
  const binary = process.env.FRESHET_BIN ?? join(ROOT, "target/debug/freshet");
  if (!existsSync(binary)) {
    throw new Error(`${binary} is missing: run \`cargo build\` or \`cargo xtask test\``);
  }
  return binary;
}

export async function freePort(): Promise<number> {
  return await new Promise((resolvePort, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => {
        resolvePort(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  });
}

export async function sleep(ms: number): Promise<void> {
  await new Promise((wake) => setTimeout(wake, ms));
}

/** Tries until `check` returns something else than `undefined`, or throws when the time is over. */
export async function eventually<T>(what: string, check: () => T | undefined | Promise<T | undefined>, timeoutMs = 15_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await check();
    if (found !== undefined) {
      return found;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    }
    await sleep(25);
  }
}

/** Resident memory of a process in MiB (Linux). */
export function residentMegabytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}
