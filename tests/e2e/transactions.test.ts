import { cpSync } from "node:fs";
import { join } from "node:path";
import { makeFunctionReference } from "convex/server";
import { describe, expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";
import { eventually } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

const HELP = "Consider using smaller limits in your queries, paginating your queries, or using indexed queries with a selective index range expressions.";
const MIB = 1024 * 1024;

interface Metric {
  used: number;
  remaining: number;
}

interface Outcome {
  error: string | null;
  metrics: Record<string, Metric>;
}

const { server, app, calls } = await runApp("schema", {
  prepare: (app) => {
    cpSync(join(app.dir, "schemas/ledger.ts"), join(app.dir, "convex/schema.ts"));
  },
});

async function clear(): Promise<void> {
  while (await calls.mutation<boolean>("transactions:clear")) {
    // There are more.
  }
}

describe("a nested call", () => {
  it("that fails takes back its writes and what it scheduled, but neither its reads nor its count of scheduled functions", async () => {
    const result = await calls.mutation<{ error: string; seen: number; written: number[]; bytesWritten: number[]; scheduled: number[]; moreRead: boolean }>("transactions:around");
    expect(result.error).toMatch(/^Uncaught Error: rows: 1\n {4}at handler \(\.\.\/convex\/transactions\.ts:\d+:\d+\)/);
    expect(result.seen).toBe(1);
    expect(result.written).toEqual([1, 1]);
    expect(result.bytesWritten[1]).toBe(result.bytesWritten[0]);
    expect(result.scheduled).toEqual([0, 1]);
    expect(result.moreRead).toBe(true);
    // Anything scheduled in the undone call would have run before this.
    await calls.mutation("transactions:post", { n: 3 });
    const rows = await calls.query<{ n: number }[]>("documents:find", { table: "ledger" });
    expect(rows.map((row) => row.n)).toEqual([1, 2, 3]);
  });

  it("that fails leaves its reads in the read set: nobody acts on what it saw and another changed", async () => {
    await clear();
    await Promise.all(Array.from({ length: 40 }, () => calls.mutation("transactions:appendByFailedRead")));
    const rows = await calls.query<{ n: number }[]>("documents:find", { table: "ledger" });
    expect(rows.map((row) => row.n)).toEqual(Array.from({ length: 40 }, (_, n) => n));
  });

  it("on a stale snapshot does not see the caller's writes", async () => {
    await clear();
    await calls.mutation("transactions:post", { n: 0 });
    expect(await calls.mutation("transactions:stale")).toEqual([1, 2]);
    expect(await calls.query("transactions:staleInQuery")).toBe("`useStaleSnapshot` is only supported in mutations, not queries.");
  });

  it("has a budget of its own, never more than the caller has left", async () => {
    await calls.mutation("documents:fill", { table: "rows", from: 0, count: 100 });
    const within = { own: 10, budget: 5, nested: 5 };
    expect(await calls.mutation("transactions:budgeted", within)).toEqual({ outcome: { remaining: 5 }, used: 20, remaining: 31_980 });
    expect(await calls.mutation("transactions:budgeted", { ...within, nested: 6 })).toMatchObject({
      outcome: { error: expect.stringContaining(`Too many documents read in a single function execution (limit: 15). ${HELP}`) as string },
    });
    expect(await calls.mutation("transactions:budgeted", { ...within, budget: 1e6 })).toMatchObject({ outcome: { remaining: 31_990 } });
  });

  it("may be eight levels deep", async () => {
    expect(await calls.query("transactions:deep", { levels: 8 })).toBe(8);
    expect(await calls.failure(calls.query("transactions:deep", { levels: 9 }))).toContain(
      "Cross component call depth limit exceeded. Do you have an infinite loop in your app?",
    );
  });
});

describe("the metrics of a transaction", () => {
  it("count what was read and written, and what is left", async () => {
    const metrics = await calls.mutation<Record<string, Metric>>("transactions:metrics");
    // A document {n: 1}: 63 bytes of system fields and the field's 2 + 9.
    const size = 63 + 2 + 9;
    expect(metrics).toEqual({
      bytesRead: { used: 5 * size, remaining: 16 * MIB - 5 * size },
      bytesWritten: { used: 3 * size, remaining: 16 * MIB - 3 * size },
      // Reading what a write has looked up already is no further range, and the write's own look is none.
      databaseQueries: { used: 0, remaining: 4096 },
      documentsRead: { used: 5, remaining: 31_995 },
      documentsWritten: { used: 3, remaining: 15_997 },
      functionsScheduled: { used: 1, remaining: 999 },
      // The arguments [{n: 5}].
      scheduledFunctionArgsBytes: { used: 15, remaining: 16 * MIB - 15 },
    });
  });
});

describe("the limit of a transaction", () => {
  it("on documents read", { timeout: 120_000 }, async () => {
    for (let from = 100; from < 32_100; from += 4000) {
      await calls.mutation("documents:fill", { table: "rows", from, count: 4000 });
    }
    const full = await calls.query<Outcome>("limits:readDocuments", { count: 32_000 });
    expect(full.error).toBeNull();
    expect(full.metrics.documentsRead).toEqual({ used: 32_000, remaining: 0 });
    const over = await calls.query<Outcome>("limits:readDocuments", { count: 32_001 });
    expect(over.error).toBe(`Too many documents read in a single function execution (limit: 32000). ${HELP}`);
    expect(over.metrics.documentsRead?.remaining).toBe(0);
    expect(await calls.failure(calls.query("limits:readDocumentsUncaught", { count: 32_001 }))).toContain(
      `Uncaught Error: Too many documents read in a single function execution (limit: 32000). ${HELP}\n`,
    );
  });

  it("on ranges read", async () => {
    const full = await calls.query<Outcome>("limits:readRanges", { count: 4096 });
    expect(full.error).toBeNull();
    expect(full.metrics.databaseQueries).toEqual({ used: 4096, remaining: 0 });
    const over = await calls.query<Outcome>("limits:readRanges", { count: 4097 });
    expect(over.error).toBe(`Too many reads in a single function execution (limit: 4096). ${HELP}`);
  });

  it("on documents written; what was written before is kept when the error is caught", { timeout: 120_000 }, async () => {
    await clear();
    const full = await calls.mutation<Outcome>("limits:writeDocuments", { count: 16_000 });
    expect(full.error).toBeNull();
    expect(full.metrics.documentsWritten).toEqual({ used: 16_000, remaining: 0 });
    await clear();
    const over = await calls.mutation<Outcome>("limits:writeDocuments", { count: 16_001 });
    expect(over.error).toBe("Too many writes in a single function execution (limit: 16000)");
    expect(await calls.query("transactions:count")).toBe(16_000);
    await clear();
  });

  it("on bytes written and read", { timeout: 120_000 }, async () => {
    const tooLarge = await calls.mutation<string>("limits:tooLarge");
    expect(tooLarge).toMatch(/^\w{31,37} isn't a valid document: Value is too large \(1(\.00)? MiB > maximum size 1 MiB\)$/);
    const full = await calls.mutation<Outcome>("limits:writeBlobs", { count: 16 });
    expect(full.error).toBeNull();
    expect(full.metrics.bytesWritten).toEqual({ used: 16 * MIB, remaining: 0 });
    const read = await calls.query<Outcome>("limits:readBlobs", { count: 16 });
    expect(read.error).toBeNull();
    expect(read.metrics.bytesRead).toEqual({ used: 16 * MIB, remaining: 0 });
    const over = await calls.mutation<Outcome>("limits:writeBlobs", { count: 17 });
    expect(over.error).toBe("Too many bytes written in a single function execution (limit: 16 MiB)");
    const overread = await calls.query<Outcome>("limits:readBlobs", { count: 17 });
    expect(overread.error).toBe(`Too many bytes read in a single function execution (limit: 16777216 bytes). ${HELP}`);
  });

  it("on functions scheduled and their arguments", async () => {
    const full = await calls.mutation<Outcome>("limits:scheduleMany", { count: 1000 });
    expect(full.error).toBeNull();
    expect(full.metrics.functionsScheduled).toEqual({ used: 1000, remaining: 0 });
    const over = await calls.mutation<Outcome>("limits:scheduleMany", { count: 1001 });
    expect(over.error).toBe("Too many functions scheduled by this mutation (limit: 1000)");
    const large = await calls.mutation<Outcome>("limits:scheduleLarge", { more: 0 });
    expect(large.error).toBeNull();
    expect(large.metrics.scheduledFunctionArgsBytes).toEqual({ used: 16 * MIB, remaining: 0 });
    const larger = await calls.mutation<Outcome>("limits:scheduleLarge", { more: 1 });
    expect(larger.error).toBe("Too large total size of the arguments of scheduled functions from this mutation (limit: 16 MiB)");
  });

  it("gives a warning from 80 percent on, which the CLI shows", async () => {
    const warning = `Many documents read in a single function execution (actual: 25601, limit: 32000). ${HELP}`;
    const below = await app.convex("run", "limits:readDocumentsUncaught", '{"count":25600}');
    expect(below.output).not.toContain("Many documents");
    const above = await app.convex("run", "limits:readDocumentsUncaught", '{"count":25601}');
    expect(above.output).toContain(warning);
    expect(above.stdout.trim()).toBe("25601");
    const logs = app.spawnConvex("logs", "--history", "5", "--success");
    let output = "";
    logs.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    logs.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    try {
      await eventually("the warning in the log", () => (output.includes(`[CONVEX Q(limits:readDocumentsUncaught)] [WARN] ${warning}`) ? true : undefined)).catch((error: unknown) => {
        throw new Error(`${String(error)}:\n${output}`);
      });
    } finally {
      logs.kill("SIGINT");
    }
  });
});

describe("mutations that want the same document", () => {
  it("all succeed, for every client, and none is lost", { timeout: 120_000 }, async () => {
    const clients = Array.from({ length: 20 }, () => new WatchedClient(server));
    const increment = makeFunctionReference<"mutation", { name: string }, number>("transactions:increment");
    const PER_CLIENT = 25;
    try {
      const results = await Promise.all(
        clients.map(async (client) => {
          const values: number[] = [];
          for (let n = 0; n < PER_CLIENT; n += 1) {
            values.push(await client.mutation(increment, { name: "hot" }));
          }
          return values;
        }),
      );
      const all = results.flat().sort((a, b) => a - b);
      expect(all).toEqual(Array.from({ length: clients.length * PER_CLIENT }, (_, n) => n + 1));
      const [counter] = await calls.query<{ value: number }[]>("documents:find", { table: "counters" });
      expect(counter?.value).toBe(clients.length * PER_CLIENT);
    } finally {
      await Promise.all(clients.map((client) => client.close()));
    }
  });
});
