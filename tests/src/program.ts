/** Programs that tests run to their end. */

import { spawn } from "node:child_process";
import process from "node:process";

export interface Run {
  code: number | null;
  /** Standard output and error, in order. */
  output: string;
}

interface RunOptions {
  /** More variables. */
  env?: Record<string, string>;
  /** Gets what it prints, as it comes. */
  listener?: (text: string) => void;
  /** Ends it. */
  signal?: AbortSignal;
}

export async function run(program: string, args: string[], { env = {}, listener = () => undefined, signal }: RunOptions = {}): Promise<Run> {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], signal });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      listener(chunk.toString());
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { code, output };
}
