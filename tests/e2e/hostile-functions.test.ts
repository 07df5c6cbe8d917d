/**
 * Functions that mean harm, one after the other, while other clients go on with their work: each fails with its documented
 * error, nobody else notices but by the clock, the engine's process lives, and the memory comes back.
 */

import { afterAll, describe, expect, it } from "vitest";

import { Bystanders } from "../src/bystanders.ts";
import { HARMFUL_ACTIONS, HARMFUL_QUERIES } from "../src/harm.ts";
import { runApp } from "../src/running-app.ts";
import { eventually, residentMegabytes, sleep } from "../src/server.ts";

const { server, calls } = await runApp("hostile");
const load = new Bystanders(server.url, 2);

function p99(latencies: number[]): number {
  const sorted = [...latencies].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length * 0.99)] ?? 0;
}

afterAll(async () => {
  await load.stop();
});

describe("functions that mean harm, under the load of others", () => {
  it("fail as documented, and nobody else does", { timeout: 180_000 }, async () => {
    // Warm, so that the baseline is no better than it was going to be.
    await sleep(2_000);
    load.take();
    await sleep(5_000);
    const quiet = load.take();
    const baseline = p99(quiet);
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
    for (const { name, args, failure } of HARMFUL_QUERIES) {
      peak = 0;
      const began = performance.now();
      const text = await calls.failure(calls.query(name, args));
      const took = performance.now() - began;
      if (!failure.test(text)) {
        wrong.push(`${name} ${JSON.stringify(args)}: ${text}`);
      }
      const others = load.take();
      all.push(...others);
      rows.push(
        `${`${name} ${Object.values(args).join()}`.padEnd(30)} ${took.toFixed(0).padStart(6)} ms, peak ${peak.toFixed(0).padStart(5)} MB, ` +
          `others p99 ${p99(others).toFixed(1).padStart(7)} ms = ${(p99(others) / baseline).toFixed(1)} x of ${others.length}`,
      );
      expect(server.enginePid(), `${name} ended the engine:\n${server.output.slice(-2000)}`).toBe(engine);
    }
    clearInterval(watch);
    rows.push(`all the time, others p99 ${p99(all).toFixed(1)} ms = ${(p99(all) / baseline).toFixed(1)} x of ${all.length}`);
    console.log(`others without harm: p99 ${baseline.toFixed(1)} ms of ${quiet.length}\n${rows.join("\n")}`);
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
    for (const { name, args, failure } of HARMFUL_ACTIONS) {
      const text = await calls.failure(calls.action(name, args));
      expect(text).toContain("Transient error while executing action: ");
      expect(text).toMatch(failure);
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
