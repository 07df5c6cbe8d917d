/** Scheduled functions: order, exactly once across crashes, canceling from outside, and many of them at once. */

import { makeFunctionReference } from "convex/server";
import { afterAll, describe, expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";
import { eventually, sleep } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

/** Watches some of what jobs write. */

const HOUR_MS = 3_600_000;

const { server, app, calls } = await runApp("scheduler");
const live = new WatchedClient(server);
for (const group of ["third", "second", "first", "from an action", "failing", "killed", "killed actions"]) {
  live.onUpdate(makeFunctionReference<"query">("jobs:runs"), { group }, () => undefined);
}

afterAll(async () => {
  await live.close();
});

async function schedule(target: string, group: string, count: number, { from = 0, delayMs = 0 } = {}): Promise<string[]> {
  return await calls.mutation<string[]>("jobs:schedule", { target, group, from, count, delayMs });
}

async function runs(group: string): Promise<number[]> {
  return await calls.query<number[]>("jobs:runs", { group });
}

async function states(name: string): Promise<Record<string, number>> {
  return await calls.query<Record<string, number>>("jobs:states", { name });
}

async function settled(name: string, count: number): Promise<Record<string, number>> {
  return await eventually(`${count} jobs of ${name} that are over`, async () => {
    const found = await states(name);
    const { pending = 0, inProgress = 0, ...over } = found;
    const total = Object.values(over).reduce((sum, n) => sum + n, 0);
    return pending + inProgress === 0 && total >= count ? found : undefined;
  }, 60_000);
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

/** Calls an endpoint for admins. */
async function admin(path: string, body: object, key = server.adminKey): Promise<{ status: number; answer: { jobs?: number; code?: string } }> {
  const response = await fetch(`${server.url}/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Convex ${key}` },
    body: JSON.stringify(body),
  });
  return { status: response.status, answer: (await response.json()) as { jobs?: number; code?: string } };
}

describe("scheduling", () => {
  it("belongs to the mutation, and in an action happens at once", async () => {
    expect(await calls.failure(calls.mutation("jobs:scheduleAndFail", { group: "rolled back" }))).toContain("rolled back");
    expect(await calls.failure(calls.action("jobs:scheduleFromAction", { group: "from an action" }))).toContain("too late");
    await eventually("the job of the action", async () => ((await runs("from an action")).length === 1 ? true : undefined));
    expect(await runs("rolled back")).toEqual([]);
  });

  it("starts jobs in the order of their times", async () => {
    const groups = ["third", "second", "first"];
    for (const [index, group] of groups.entries()) {
      await schedule("record", group, 1, { delayMs: 3000 - index * 800 });
    }
    const first: string[] = [];
    await eventually("all runs", async () => {
      for (const group of groups) {
        if (!first.includes(group) && (await runs(group)).length === 1) {
          first.push(group);
        }
      }
      return first.length === 3 ? true : undefined;
    });
    expect(first).toEqual(["first", "second", "third"]);
  });

  it("records what a job threw, and undoes what it wrote", async () => {
    const [id = ""] = await schedule("fail", "failing", 1);
    await settled("jobs.js:fail", 1);
    const job = await calls.query<{ state: { kind: string; error: string }; completedTime: number }>("jobs:job", { id });
    expect(job.state.kind).toBe("failed");
    expect(job.state.error).toContain("job 0 fails");
    expect(job.completedTime).toBeGreaterThan(0);
    expect(await runs("failing")).toEqual([]);
  });
});

describe("the CLI", () => {
  it("shows scheduled functions, and nothing of the tables behind them", async () => {
    const ids = await schedule("record", "shown", 2, { delayMs: HOUR_MS });
    const shown = await app.convex("data", "_scheduled_functions", "--format", "jsonArray", "--order", "desc", "--limit", "1");
    expect(JSON.parse(shown.stdout), shown.output).toEqual([
      { _id: ids[1], _creationTime: expect.any(Number) as number, name: "jobs.js:record", args: [{ group: "shown", n: 1 }], scheduledTime: expect.any(Number) as number, state: { kind: "pending" } },
    ]);
    expect((await app.convex("data", "_scheduled_jobs")).output).toContain("There are no documents in this table.");
    for (const id of ids) {
      expect((await admin("cancel_job", { id })).status).toBe(200);
    }
  });
});

describe("canceling from outside", () => {
  it("cancels one job, and says when there is none", async () => {
    const [id = ""] = await schedule("record", "canceled", 1, { delayMs: HOUR_MS });
    expect(await admin("cancel_job", { id })).toEqual({ status: 200, answer: { jobs: 1 } });
    const job = await calls.query<{ state: { kind: string } }>("jobs:job", { id });
    expect(job.state.kind).toBe("canceled");
    // Once more changes nothing.
    expect((await admin("cancel_job", { id })).status).toBe(200);
    expect(await admin("cancel_job", { id: "nonsense" })).toMatchObject({ status: 400, answer: { code: "InvalidScheduledFunctionId" } });
    expect((await admin("cancel_job", { id }, "wrong|00")).status).toBe(401);
    expect(await admin("cancel_job", { id, componentId: "x" })).toMatchObject({ status: 400, answer: { code: "ComponentNotFound" } });
  });

  it("cancels all jobs of a function, or those due in a span of time", async () => {
    await schedule("other", "soon", 10, { delayMs: HOUR_MS });
    await schedule("other", "late", 5, { delayMs: 3 * HOUR_MS });
    await schedule("record", "kept", 4, { delayMs: HOUR_MS });
    const twoHours = BigInt(Date.now() + 2 * HOUR_MS) * 1_000_000n;
    const late = await admin("cancel_all_jobs", { udfPath: "jobs.js:other", startNextTs: twoHours.toString() });
    expect(late).toEqual({ status: 200, answer: { jobs: 5 } });
    const soon = await admin("cancel_all_jobs", { udfPath: "jobs:other" });
    expect(soon).toEqual({ status: 200, answer: { jobs: 10 } });
    expect((await states("jobs.js:other")).canceled).toBe(15);
    expect((await states("jobs.js:record")).pending).toBe(4);
    expect(await admin("cancel_all_jobs", {})).toEqual({ status: 200, answer: { jobs: 4 } });
    expect(await admin("cancel_all_jobs", { udfPath: "::" })).toMatchObject({ status: 400 });
  });

  it("cancels more jobs than fit into one transaction, and deletes them all", { timeout: 60_000 }, async () => {
    for (const from of [0, 1000, 2000]) {
      await schedule("other", "many", 900, { from, delayMs: HOUR_MS });
    }
    expect(await admin("cancel_all_jobs", { udfPath: "jobs.js:other" })).toEqual({ status: 200, answer: { jobs: 2700 } });
    expect(await runs("many")).toEqual([]);
    const deleted = await admin("delete_scheduled_functions_table", {});
    expect(deleted.answer.jobs).toBeGreaterThanOrEqual(2700);
    expect(await states("jobs.js:other")).toEqual({});
  });
});

describe("many jobs", () => {
  it("run once each and leave room for other calls", { timeout: 120_000 }, async () => {
    const JOBS = 3000;
    for (let from = 0; from < JOBS; from += 500) {
      await schedule("record", "flood", 500, { from });
    }
    const latencies: number[] = [];
    await eventually("all runs", async () => {
      for (let n = 0; n < 20; n += 1) {
        const before = performance.now();
        expect(await calls.query("jobs:ping", { n })).toBe(n);
        latencies.push(performance.now() - before);
      }
      return (await runs("flood")).length >= JOBS ? true : undefined;
    }, 90_000);
    expect(await runs("flood")).toEqual(range(JOBS));
    latencies.sort((a, b) => a - b);
    const at = (share: number): string => (latencies[Math.floor(share * (latencies.length - 1))] ?? 0).toFixed(1);
    console.log(`queries while ${JOBS} jobs ran: ${latencies.length}, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
  });

  it("run exactly once when mutations and at most once when actions, however often the engine dies", { timeout: 180_000 }, async () => {
    const MUTATIONS = 800;
    const ACTIONS = 120;
    for (let part = 0; part < 4; part += 1) {
      await schedule("act", "killed actions", ACTIONS / 4, { from: (part * ACTIONS) / 4 });
      await schedule("record", "killed", MUTATIONS / 4, { from: (part * MUTATIONS) / 4 });
    }
    for (let kill = 0; kill < 5; kill += 1) {
      await sleep(50 + ((kill * 37) % 100));
      server.killEngine();
      await server.answering();
    }
    await eventually("the end of all jobs", async () => {
      const [mutations, actions] = [await states("jobs.js:record"), await states("jobs.js:act")];
      return mutations.pending === undefined && actions.pending === undefined && actions.inProgress === undefined ? true : undefined;
    }, 90_000);
    expect(await runs("killed")).toEqual(range(MUTATIONS));
    const acted = await runs("killed actions");
    expect(new Set(acted).size).toBe(acted.length);
    const { success = 0, failed = 0, ...rest } = await states("jobs.js:act");
    expect(rest).toEqual({});
    expect(success + failed).toBe(ACTIONS);
    // What succeeded has run.
    expect(acted.length).toBeGreaterThanOrEqual(success);
    console.log(`of ${ACTIONS} actions ${success} succeeded and ${failed} were interrupted`);
  });
});
