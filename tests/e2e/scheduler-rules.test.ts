/** The rules of scheduling and canceling, where only one job runs at a time: order, bounds, what a job and its transaction see. */

import { describe, expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";
import { eventually } from "../src/server.ts";

interface Job {
  _id: string;
  name: string;
  args: unknown[];
  scheduledTime: number;
  completedTime?: number;
  state: { kind: string; error?: string };
}

const HOUR_MS = 3_600_000;
const FIVE_YEARS_MS = 5 * 366 * 24 * HOUR_MS;

const { server, app, calls } = await runApp("scheduler", { env: { SCHEDULED_JOB_EXECUTION_PARALLELISM: "1" } });

async function at(target: string, args: object, offsetMs: number, as: "date" | "number" | "delay" = "delay"): Promise<string> {
  return await calls.mutation<string>("rules:at", { target, args: args as never, offsetMs, as });
}

async function job(id: string): Promise<Job | null> {
  return await calls.query<Job | null>("jobs:job", { id });
}

async function over(id: string): Promise<Job> {
  return await eventually(`the end of job ${id}`, async () => {
    const found = await job(id);
    return found?.completedTime === undefined ? undefined : found;
  });
}

async function notes(group: string): Promise<string[]> {
  return await calls.query<string[]>("rules:notes", { group });
}

async function runs(group: string): Promise<number[]> {
  return await calls.query<number[]>("jobs:runs", { group });
}

/** Occupies the one place that there is; returns how to give it back. */
async function occupy(group: string): Promise<{ id: string; leave: () => Promise<void> }> {
  const id = await at("rules:work", { group }, 0);
  await eventually("the place to be taken", async () => ((await notes(group)).includes("started") ? true : undefined));
  return { id, leave: async () => { await calls.mutation("rules:leave", { group, text: "go on" }); } };
}

describe("the time of a job", () => {
  it("is at most five years of 366 days away, in both directions, in mutations and in actions", async () => {
    for (const name of ["mutation", "action"] as const) {
      const ask = async (offsetMs: number): Promise<string> => {
        const args = { target: "jobs:record", args: { group: "far", n: 1 }, offsetMs, as: "number" };
        return name === "mutation" ? await calls.mutation<string>("rules:at", args) : await calls.action<string>("rules:atFromAction", args);
      };
      // An action's clock goes on between its question and the answer.
      const slack = name === "mutation" ? 0 : 60_000;
      expect(await ask(FIVE_YEARS_MS)).toMatch(/^[0-9a-z]{32}$/);
      expect(await ask(FIVE_YEARS_MS + 1 + slack)).toMatch(/^failed: .*is more than 5 years in the future$/);
      expect(await ask(-FIVE_YEARS_MS + slack)).toMatch(/^[0-9a-z]{32}$/);
      expect(await ask(-FIVE_YEARS_MS - 1)).toMatch(/^failed: .*is more than 5 years in the past$/);
    }
    for (const offsetMs of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(await at("jobs:record", { group: "never", n: 1 }, offsetMs, "number")).toContain("failed: Invalid arguments for `scheduler`");
    }
    expect(await at("jobs:record", { group: "never", n: 1 }, Number.NaN, "date")).toContain("failed: Invalid arguments for `scheduler`");
    expect(await runs("never")).toEqual([]);
  });

  it("is kept as it was asked for, and may be past", async () => {
    const before = Date.now();
    const id = await at("jobs:record", { group: "past", n: 1 }, -HOUR_MS, "date");
    const done = await over(id);
    expect(await runs("past")).toEqual([1]);
    expect(Math.abs(done.scheduledTime + HOUR_MS - before)).toBeLessThan(60_000);
    expect(done.completedTime).toBeGreaterThanOrEqual(before);
  });

  it("decides the order, and jobs of one transaction that are due at once start in the order of the calls", async () => {
    const { leave } = await occupy("order place");
    await calls.mutation("rules:several", { group: "order", offsetsMs: [400, 0, -HOUR_MS, 0, -2 * HOUR_MS, 200, 0] });
    await at("rules:note", { group: "order", text: "later" }, -3 * HOUR_MS, "number");
    await leave();
    const order = await eventually("all runs", async () => {
      const seen = await notes("order");
      return seen.length === 8 ? seen : undefined;
    });
    // The one that was made last is not the first, however long ago it asks for.
    expect(order.indexOf("later")).toBeGreaterThanOrEqual(5);
    expect(order.filter((text) => text !== "later")).toEqual(["1", "2", "3", "4", "6", "5", "0"]);
  });
});

describe("a job", () => {
  it("is seen by its transaction at once, with what was canceled there", async () => {
    const scheduledTime = Date.now() + HOUR_MS + 0.5;
    const { kept, canceled } = await calls.mutation<{ kept: Job; canceled: Job }>("rules:scheduleAndLook", { group: "looked at", scheduledTime });
    expect(kept).toMatchObject({ name: "jobs.js:record", args: [{ group: "looked at", n: 1 }], scheduledTime, state: { kind: "pending" } });
    expect(kept.completedTime).toBeUndefined();
    expect(canceled.state).toEqual({ kind: "canceled" });
    expect(canceled.completedTime).toBeGreaterThan(0);
    await calls.mutation("rules:cancel", { ids: [kept._id] });
    expect(await runs("looked at")).toEqual([]);
  });

  it("that is a mutation is in progress for itself alone", async () => {
    const id = await at("rules:lookAtItself", { group: "itself" }, 0);
    expect((await over(id)).state).toEqual({ kind: "success" });
    expect((await notes("itself")).map((text) => JSON.parse(text) as unknown)).toEqual([{ state: { kind: "inProgress" }, completed: null }]);
  });

  it("must have a function when it is scheduled, whose kind and arguments are looked at when it runs", async () => {
    expect(await at("rules:nothing", {}, 0)).toContain("failed: Attempted to schedule function, but no exported function nothing found in the file: rules.js");
    expect(await at("nowhere:nothing", {}, 0)).toContain("failed: Attempted to schedule function at nonexistent path: nowhere.js");
    expect(await calls.action("rules:atFromAction", { target: "nowhere:nothing", offsetMs: 0, as: "delay" })).toContain("failed: Attempted to schedule function at nonexistent path: nowhere.js");
    const query = await over(await at("rules:aQuery", {}, 0));
    expect(query.state.kind).toBe("failed");
    expect(query.state.error).toContain("Unsupported function type.");
    for (const args of [{}, { group: 5, n: 1 }, { group: "x", n: 1, more: true }]) {
      const wrong = await over(await at("jobs:record", args, 0));
      expect(wrong.state.kind).toBe("failed");
      expect(wrong.state.error).toContain("ArgumentValidationError");
    }
  });

  it("fails when its function or its module is gone by then", { timeout: 180_000 }, async () => {
    const { leave } = await occupy("gone place");
    const keep = 'import { internalMutation } from "./_generated/server";\nexport const there = internalMutation({ args: {}, handler: () => null });\n';
    app.write("convex/gone.ts", `${keep}export const soonGone = internalMutation({ args: {}, handler: () => null });\n`);
    app.write("convex/alsoGone.ts", keep);
    await app.push();
    const ids = [await at("gone:soonGone", {}, 0), await at("alsoGone:there", {}, 0), await at("gone:there", {}, 0)];
    app.write("convex/gone.ts", keep);
    app.remove("convex/alsoGone.ts");
    await app.push();
    await leave();
    const states = [];
    for (const id of ids) {
      states.push((await over(id)).state);
    }
    expect(states).toEqual([
      { kind: "failed", error: expect.stringContaining('Couldn\'t find "soonGone" in module "gone.js".') as string },
      { kind: "failed", error: expect.stringContaining("Couldn't find JavaScript module 'alsoGone.js'. Did you forget to run `npx convex dev`?") as string },
      { kind: "success" },
    ]);
  });
});

describe("canceling", () => {
  it("belongs to its transaction", async () => {
    const id = await at("jobs:record", { group: "taken back", n: 1 }, HOUR_MS);
    expect(await calls.failure(calls.mutation("rules:cancelAndFail", { id }))).toContain("not canceled after all");
    expect((await job(id))?.state.kind).toBe("pending");
    expect(await calls.action("rules:cancelFromAction", { id })).toBeNull();
    const canceled = await job(id);
    expect(canceled?.state.kind).toBe("canceled");
    // Once more changes nothing.
    await calls.mutation("rules:cancel", { ids: [id, id] });
    expect(await job(id)).toEqual(canceled);
  });

  it("does nothing to what is over or deleted, and refuses what is no job", async () => {
    const done = await over(await at("jobs:record", { group: "done", n: 1 }, 0));
    const failed = await over(await at("jobs:fail", { group: "done", n: 1 }, 0));
    await calls.mutation("rules:cancel", { ids: [done._id, failed._id] });
    expect([await job(done._id), await job(failed._id)]).toEqual([done, failed]);
    const response = await fetch(`${server.url}/api/delete_scheduled_functions_table`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Convex ${server.adminKey}` },
      body: "{}",
    });
    expect(response.status).toBe(200);
    expect(await job(done._id)).toBeNull();
    await calls.mutation("rules:cancel", { ids: [done._id] });
    const document = await calls.mutation<string>("rules:document");
    const foreign = "Invalid scheduled function ID. The ID must be an ID on the '_scheduled_functions' table.";
    expect(await calls.failure(calls.mutation("rules:cancel", { ids: [document] }))).toContain(foreign);
    expect(await calls.action("rules:cancelFromAction", { id: document })).toContain(foreign);
    for (const id of ["", "x", `${done._id}0`, done._id.toUpperCase()]) {
      expect(await calls.failure(calls.mutation("rules:cancel", { ids: [id] }))).toContain("Invalid argument `id` for `db.cancel_job`");
    }
  });

  it("of itself is nothing that a mutation can do", async () => {
    const id = await at("rules:cancelsItself", { group: "own end" }, 0);
    expect((await over(id)).state).toEqual({ kind: "success" });
    expect(await notes("own end")).toEqual(["went on: nothing"]);
  });

  it("of a running action does not interrupt it, but nothing that it schedules runs", async () => {
    const { id, leave } = await occupy("canceled");
    expect((await job(id))?.state.kind).toBe("inProgress");
    await calls.mutation("rules:cancel", { ids: [id] });
    const canceled = await job(id);
    expect(canceled?.state.kind).toBe("canceled");
    await leave();
    const end = await eventually("its end", async () => (await notes("canceled")).find((text) => text.startsWith("ended ")));
    const scheduled = end.split(" ").slice(1);
    expect(scheduled).toHaveLength(3);
    for (const child of scheduled) {
      expect(await job(child), child).toMatchObject({ state: { kind: "canceled" } });
    }
    // Its end leaves the job as it is, and its place to the next.
    expect((await over(await at("jobs:record", { group: "after", n: 1 }, 0))).state.kind).toBe("success");
    expect(await job(id)).toEqual(canceled);
    expect(await runs("canceled")).toEqual([]);
  });

  it("has no half-way: a job that is canceled at any moment has run once or never", { timeout: 120_000 }, async () => {
    const JOBS = 150;
    const ids = await calls.mutation<string[]>("jobs:schedule", { target: "record", group: "race", from: 0, count: JOBS, delayMs: 0 });
    // From the end, where those are that have not started.
    for (let last = JOBS; last > 0; last -= 5) {
      await calls.mutation("rules:cancel", { ids: ids.slice(last - 5, last) });
    }
    const states: string[] = [];
    for (const id of ids) {
      states.push((await over(id)).state.kind);
    }
    const ran = await runs("race");
    expect(ran).toEqual(states.flatMap((state, n) => (state === "success" ? [n] : [])));
    expect(new Set(states)).toEqual(new Set(["success", "canceled"]));
  });
});
