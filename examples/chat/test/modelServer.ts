/** Starts the stand-in model for a test, on a free port. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("../model/server.mjs", import.meta.url));

export type ModelServer = { url: string; stop: () => Promise<void> };

export async function startModelServer(delay_ms = 1): Promise<ModelServer> {
  const child = spawn(process.execPath, [SCRIPT, "--port", "0", "--delay-ms", String(delay_ms)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, "line")) as [string];
  const url = /http:\S+/.exec(line)?.[0];
  if (url === undefined) throw new Error(`No address in “${line}”`);
  return {
    url,
    stop: async () => {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    },
  };
}
