/** The practical floor: a Node process with nothing but an HTTP server that answers a constant. */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";

import { freePort, sleep } from "../../tests/src/server.ts";

const SOURCE = `
require("node:http").createServer((request, response) => response.end("ok")).listen(Number(process.argv[1]), "127.0.0.1");
`;

export class BareServer {
  readonly process: ChildProcess;
  readonly url: string;

  private constructor(child: ChildProcess, port: number) {
    this.process = child;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(port?: number): Promise<BareServer> {
    const chosen = port ?? (await freePort());
    const child = spawn(process.execPath, ["-e", SOURCE, String(chosen)], { stdio: "ignore" });
    const server = new BareServer(child, chosen);
    await firstAnswer(server.url);
    return server;
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill(signal);
    await ended;
  }
}

/** Polls without a pause that would show in the result. */
export async function firstAnswer(url: string, init?: RequestInit): Promise<void> {
  for (;;) {
    try {
      const response = await fetch(url, init);
      await response.arrayBuffer();
      if (response.ok) {
        return;
      }
    } catch {
      // Not listening yet.
    }
    await sleep(1);
  }
}
