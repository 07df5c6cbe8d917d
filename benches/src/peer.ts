/** The peer server of `benches/peers`: installed, started on the same Node.js as Freshet's engine, stopped. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

const PEERS = resolve(import.meta.dirname, "../peers");
const DRIVERS = ["better-sqlite3", "node:sqlite"];

export interface PeerOptions {
  /** Program that runs it. */
  node: string;
  accounts?: number;
  documents?: number;
}

export class Peer {
  readonly url: string;
  /** What to call it in tables. */
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, folder: string, port: number, name: string) {
    this.#child = child;
    this.#folder = folder;
    this.url = `http://127.0.0.1:${port}`;
    this.name = name;
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  static async start({ node, accounts = 0, documents = 0 }: PeerOptions): Promise<Peer> {
    const { driver, version } = chooseDriver(node);
    const folder = mkdtempSync(join(tmpdir(), "freshet-bench-peer-"));
    const child = spawn(node, ["server.mjs", driver, join(folder, "peer.sqlite3"), String(accounts), String(documents)], {
      cwd: PEERS,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const port = await new Promise<number>((resolvePort, reject) => {
      child.stdout.once("data", (chunk: Buffer) => {
        resolvePort(Number(chunk.toString()));
      });
      child.once("exit", () => {
        reject(new Error("the peer has ended"));
      });
    });
    return new Peer(child, folder, port, `node:http + ${driver} (SQLite ${version})`);
  }

  /** Calls one of its routes, for what is not measured. */
  async call(route: string, body: unknown = {}): Promise<unknown> {
    const response = await fetch(this.url + route, { method: "POST", body: JSON.stringify(body) });
    return await response.json();
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolveEnd) => this.#child.once("exit", resolveEnd));
    this.#child.kill();
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The Node.js that a process runs on, so that peers run on the same; ours where that cannot be told. */
export function nodeOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return process.execPath;
  }
}

/** Installs what the lock file says, unless that has been done. Without it there is still Node's own SQLite. */
function install(): void {
  const modified = (path: string): number => statSync(join(PEERS, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  // npm writes this copy of the lock file at the very end of an installation.
  if (modified("node_modules/.package-lock.json") >= modified("package-lock.json")) {
    return;
  }
  // No scripts: the binaries for common platforms are in the package.
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"], { cwd: PEERS, stdio: "inherit" });
  if (npm.status !== 0) {
    console.log("npm could not install the packages of benches/peers");
  }
}

/** Tries them in processes of their own: a binary that does not fit can end the process. */
function chooseDriver(node: string): { driver: string; version: string } {
  install();
  for (const driver of DRIVERS) {
    const trial = spawnSync(node, ["--no-warnings", "database.mjs", driver], { cwd: PEERS, encoding: "utf8" });
    if (trial.status === 0) {
      return { driver, version: trial.stdout.trim() };
    }
    console.log(`${driver} does not run on ${node}: ${trial.stderr.trim().split("\n").at(-1) ?? trial.signal}`);
  }
  throw new Error(`neither ${DRIVERS.join(" nor ")} runs on ${node}; Node.js 22.13 or newer is needed for the comparison`);
}
