/**
 * Functions that mean harm, one after the other, while other clients go on with their work: each fails with its documented
 * error, nobody else notices but by the clock, the engine's process lives, and the memory comes back.
 */

import { ConvexClient, ConvexHttpClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import { WebSocket } from "ws";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { TestApp } from "../src/app.ts";
import { Calls } from "../src/calls.ts";
import { FreshetServer, eventually, residentMegabytes, sleep } from "../src/server.ts";

const TIMED_OUT = /Function execution timed out \(maximum duration: 1s\)/;
const OUT_OF_MEMORY = /JavaScript execution ran out of memory \(maximum memory usage: 256 MB\)/;
const OVERFLOW = /RangeError: Maximum call stack size exceeded/;
/** What is slow for want of processors or memory bandwidth may be ended for either. */
const MEMORY_OR_TIME = new RegExp(`${OUT_OF_MEMORY.source}|${TIMED_OUT.source}`);

/** Queries that harm, and what becomes of them. */
const QUERIES: [name: string, args: Record<string, string>, failure: RegExp][] = [
  ["time:loop", {}, TIMED_OUT],
  ["time:recursion", {}, OVERFLOW],
  ["time:microtasks", {}, TIMED_OUT],
  ["time:stubbornRecursion", {}, TIMED_OUT],
  ["time:regularExpression", {}, TIMED_OUT],
  ["time:never", {}, /Returned promise will never resolve/],
  ["memory:arrays", {}, MEMORY_OR_TIME],
  ["memory:oneMap", {}, MEMORY_OR_TIME],
  ["memory:objectKeys", {}, MEMORY_OR_TIME],
  ["memory:arrayBuffers", {}, MEMORY_OR_TIME],
  ["memory:oneArrayBuffer", {}, OUT_OF_MEMORY],
  ["memory:stubbornArrayBuffers", {}, MEMORY_OR_TIME],
  ["memory:blobs", {}, MEMORY_OR_TIME],
  ["memory:giantString", {}, MEMORY_OR_TIME],
  ["memory:hugeArrays", {}, MEMORY_OR_TIME],
  ["memory:fromLength", {}, MEMORY_OR_TIME],
  ["memory:webAssembly", {}, MEMORY_OR_TIME],
  ["results:huge", {}, new RegExp(`too large|${TIMED_OUT.source}`)],
  ["results:thrown", { what: "null" }, /Uncaught null/],
  ["results:thrown", { what: "undefined" }, /Uncaught undefined/],
  ["results:thrown", { what: "number" }, /Uncaught 7/],
  ["results:thrown", { what: "symbol" }, /Uncaught Symbol\(s\)/],
  ["results:thrown", { what: "function" }, /Uncaught \(\) ?=> ?1/],
  ["results:thrown", { what: "proxy" }, /Uncaught/],
  ["results:thrown", { what: "getter" }, /Uncaught/],
  ["results:thrown", { what: "stack" }, /Uncaught/],
  ["results:thrown", { what: "text" }, /Uncaught text/],
  ["results:getter", {}, /Uncaught Error: in a getter/],
  ["results:proxy", {}, /Uncaught/],
  ["results:cycle", {}, /Uncaught/],
];

let server: FreshetServer;
let app: TestApp;
let calls: Calls;
let load: Load;

/** Clients that write, read and watch, and take the time of it. */
class Load {
  readonly failures: string[] = [];
  readonly latencies: number[] = [];
  #running = true;
  readonly #work: Promise<void>[] = [];
  readonly #clients: ConvexClient[] = [];

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
      await sleep(10);
    }
  }

  async #read(url: string, author: string): Promise<void> {
    const client = new ConvexHttpClient(url, { logger: false });
    while (this.#running) {
      await this.#timed("query", async () => {
        await client.query(makeFunctionReference<"query">("notes:last"), { author });
      });
      await sleep(10);
    }
  }

  async #timed(what: string, work: () => Promise<void>): Promise<void> {
    const began = performance.now();
    try {
      await work();
    } catch (error) {
      this.failures.push(`${what}: ${(error as Error).message}`);
    }
    this.latencies.push(performance.now() - began);
  }

  /** The latencies since the last time. */
  take(): { count: number; p50: number; p99: number } {
    const sorted = this.latencies.splice(0).sort((one, other) => one - other);
    const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
    return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#work);
    await Promise.all(this.#clients.map(async (client) => { await client.close(); }));
  }
}

beforeAll(async () => {
  server = await FreshetServer.start();
  app = new TestApp(server, "hostile");
  await app.push();
  calls = new Calls(server);
  load = new Load(server.url, 2);
});

afterAll(async () => {
  await load.stop();
  app.delete();
  await server.stop();
});

describe("functions that mean harm, under the load of others", () => {
  it("fail as documented, and nobody else does", { timeout: 180_000 }, async () => {
    // Warm, so that the baseline is no better than it was going to be.
    await sleep(2_000);
    load.take();
    await sleep(5_000);
    const baseline = load.take();
    const engine = server.enginePid();
    const restBefore = residentMegabytes(engine);
    let peak = restBefore;
    const watch = setInterval(() => {
      try {
        peak = Math.max(peak, residentMegabytes(engine));
      } catch {
        // It is gone, which the test is about to find.
      }
    }, 20);
    const rows: string[] = [];
    const all: number[] = [];
    const wrong: string[] = [];
    for (const [name, args, failure] of QUERIES) {
      peak = 0;
      const began = performance.now();
      const text = await calls.failure(calls.query(name, args));
      const took = performance.now() - began;
      if (!failure.test(text)) {
        wrong.push(`${name} ${JSON.stringify(args)}: ${text}`);
      }
      all.push(...load.latencies);
      const others = load.take();
      rows.push(
        `${`${name} ${Object.values(args).join()}`.padEnd(30)} ${took.toFixed(0).padStart(6)} ms, peak ${peak.toFixed(0).padStart(5)} MB, ` +
          `others p99 ${others.p99.toFixed(1).padStart(7)} ms = ${(others.p99 / baseline.p99).toFixed(1)} x of ${others.count}`,
      );
      expect(server.enginePid(), `${name} ended the engine:\n${server.output.slice(-2000)}`).toBe(engine);
    }
    clearInterval(watch);
    all.sort((one, other) => one - other);
    const worst = all[Math.floor(all.length * 0.99)] ?? 0;
    rows.push(`all the time, others p99 ${worst.toFixed(1)} ms = ${(worst / baseline.p99).toFixed(1)} x of ${all.length}`);
    console.log(
      `others without harm: p50 ${baseline.p50.toFixed(1)} ms, p99 ${baseline.p99.toFixed(1)} ms of ${baseline.count}\n${rows.join("\n")}`,
    );
    expect(wrong).toEqual([]);
    expect(load.failures).toEqual([]);
    const restAfter = await eventually("the memory to come back", () => {
      const rest = residentMegabytes(engine);
      return rest < restBefore + 500 ? rest : undefined;
    });
    console.log(`resident memory: ${restBefore.toFixed(0)} MB before, ${restAfter.toFixed(0)} MB after`);
  });

  it("leave nothing behind for others", async () => {
    const clean = { polluted: false, parsed: { a: 1 }, text: '{"a":1}', mark: false };
    for (const name of ["reach:writeEverywhere", "reach:pollutePrototypes"]) {
      // Whether they succeed in a context of their own is their business.
      await calls.query(name).catch(() => undefined);
      for (let round = 0; round < 6; round += 1) {
        expect(await calls.query("reach:traces"), name).toEqual(clean);
      }
    }
    expect(load.failures).toEqual([]);
  });

  it("find no way out of their context", async () => {
    const { functions, escapes } = await calls.query<{ functions: number; escapes: string[] }>("reach:escape");
    expect(functions).toBeGreaterThan(500);
    expect(escapes).toEqual([]);
  });

  it("print no more than the documented lines", async () => {
    const lines = await eventually("the log", async () => {
      const response = await fetch(`${server.url}/api/query`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ path: "results:log", args: {} }),
      });
      return ((await response.json()) as { logLines: string[] }).logLines;
    });
    expect(lines).toHaveLength(256);
    expect(lines.at(-1)).toContain("Log overflow (maximum 256). Remaining log lines omitted.");
    expect(await calls.action("actions:print")).toBe("logged");
  });
});

describe("actions that mean harm", () => {
  it("may wait for thousands of promises", async () => {
    expect(await calls.action("actions:promises", { count: 20_000 })).toBe(20_000);
  });

  it("end their own process and nothing else", async () => {
    const engine = server.enginePid();
    const ends: [how: string, text: string][] = [
      ["exit", "its process ended with exit code 3, as after process.exit()"],
      ["abort", "its process was ended by signal 6 (SIGABRT)"],
      ["segfault", "its process was ended by signal 11 (SIGSEGV)"],
      ["child", "its process ended with exit code 4, as after process.exit()"],
    ];
    for (const [how, text] of ends) {
      expect(await calls.failure(calls.action("node:end", { how }))).toContain(`Transient error while executing action: ${text}`);
      expect(await calls.action("node:print")).toBe("printed");
    }
    expect(await calls.failure(calls.action("node:end", { how: "throw" }))).toContain("nobody catches this");
    expect(await calls.action("node:print")).toBe("printed");
    expect(server.output).toContain("[action] to standard output");
    expect(server.enginePid()).toBe(engine);
    expect(load.failures).toEqual([]);
  });

  it("that exhaust memory are told so, and take nobody along a second time", { timeout: 120_000 }, async () => {
    // Beside others: nobody can tell whose fault it was.
    const first = calls.failure(calls.action("actions:memory"));
    const beside = calls.action("actions:wait", { ms: 60_000 }).catch((error: unknown) => (error as Error).message);
    expect(await first).toContain("its process ran out of memory (maximum memory usage: 512 MB), while another action was running in it");
    expect(await beside).toContain("Transient error while executing action: its process ran out of memory");
    // Apart from others from now on.
    const again = calls.failure(calls.action("actions:memory"));
    const innocent = calls.action("actions:promises", { count: 200 });
    expect(await innocent).toBe(200);
    expect(await again).toContain("JavaScript execution ran out of memory (maximum memory usage: 512 MB)");
    expect(load.failures).toEqual([]);
  });
});

describe("a stack that user code reads", () => {
  it("points into the author's sources", async () => {
    expect(await calls.action("node:stack")).toMatch(/^Error: here\n {4}at handler \(\.\.\/convex\/node\.ts:\d+:\d+\)/);
  });
});
