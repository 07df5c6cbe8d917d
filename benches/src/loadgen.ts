/** The load generator `freshet-loadgen`, and what it reports. */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";

import { freshetBinary } from "../../tests/src/server.ts";

/** What came of a run; the generator's own field names. */
export interface Outcome {
  seconds: number;
  completed: number;
  per_second: number;
  p50_ms: number;
  p99_ms: number;
  failed: number;
  refused: number;
  first_error: string | null;
  /** Processor time of the server for each call. */
  server_cpu_us: number | null;
  generator_cpu_us: number;
  /** Share of the machine that something else has used. */
  elsewhere: number | null;
  retries: { calls: number; retries: number } | null;
  balanced: boolean | null;
}

/** Lies beside the program under test, where `cargo xtask bench` has built both. */
export function loadgenBinary(): string {
  const binary = process.env.FRESHET_LOADGEN_BIN ?? join(dirname(freshetBinary()), "freshet-loadgen");
  if (!existsSync(binary)) {
    throw new Error(`${binary} is missing: run \`cargo build --release --package freshet-loadgen\``);
  }
  return binary;
}

/** Runs it to its end. A run in which calls have failed has an outcome, too. */
export async function loadgen<T = Outcome>(...args: string[]): Promise<T> {
  const child = spawn(loadgenBinary(), ["--json", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const code = await new Promise<number | null>((resolveEnd) => child.once("close", resolveEnd));
  if (stdout.trim() === "") {
    throw new Error(`freshet-loadgen ${args.join(" ")} ended with ${code}:\n${stderr}`);
  }
  return JSON.parse(stdout) as T;
}
