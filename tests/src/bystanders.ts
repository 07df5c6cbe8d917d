/** Clients that write, read and watch the notes of `apps/hostile` while something else happens, and take the time of it. */

import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import { WebSocket } from "ws";

import { sleep } from "./server.ts";

/** Between two calls of a client. */
const PAUSE_MS = 10;

export class Bystanders {
  /** What went wrong: calls that failed, and subscriptions that did not show what their client had just written. */
  readonly failures: string[] = [];
  #latencies: number[] = [];
  #running = true;
  readonly #work: Promise<void>[] = [];
  readonly #clients: ConvexClient[] = [];

  /** Starts `clients` that write over a WebSocket and watch what they have written, and as many that read over HTTP. */
  constructor(url: string, clients: number) {
    for (let client = 0; client < clients; client += 1) {
      this.#work.push(this.#watchAndWrite(url, `watcher ${client}`), this.#read(url, `watcher ${client}`));
    }
  }

  async #watchAndWrite(url: string, author: string): Promise<void> {
    const client = new ConvexClient(url, { webSocketConstructor: WebSocket as unknown as typeof globalThis.WebSocket });
    this.#clients.push(client);
    let seen: number | null = -1;
    client.onUpdate(
      makeFunctionReference<"query">("notes:last"),
      { author },
      (n: number | null) => {
        seen = n;
      },
      (error) => this.failures.push(`subscription: ${error.message}`),
    );
    for (let n = 0; this.#running; n += 1) {
      await this.#timed("mutation", async () => {
        await client.mutation(makeFunctionReference<"mutation">("notes:add"), { author, n });
        if (seen !== n) {
          this.failures.push(`after writing ${n} the subscription showed ${seen}`);
        }
      });
      await sleep(PAUSE_MS);
    }
  }

  async #read(url: string, author: string): Promise<void> {
    const client = new ConvexHttpClient(url, { logger: false });
    while (this.#running) {
      await this.#timed("query", async () => {
        await client.query(makeFunctionReference<"query">("notes:last"), { author });
      });
      await sleep(PAUSE_MS);
    }
  }

  async #timed(what: string, work: () => Promise<void>): Promise<void> {
    const began = performance.now();
    try {
      await work();
    } catch (error) {
      this.failures.push(`${what}: ${(error as Error).message}`);
    }
    this.#latencies.push(performance.now() - began);
  }

  /** Milliseconds of each call that has ended since the last time. */
  take(): number[] {
    const taken = this.#latencies;
    this.#latencies = [];
    return taken;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#work);
    await Promise.all(this.#clients.map(async (client) => { await client.close(); }));
  }
}
