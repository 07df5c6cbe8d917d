/** Functions that schedule and cancel in unusual ways, and jobs that look at themselves. */

import { makeFunctionReference, type SchedulableFunctionReference, type Scheduler } from "convex/server";
import { v } from "convex/values";

import type { Id } from "./_generated/dataModel";
import { action, internalAction, internalMutation, mutation, type MutationCtx, query } from "./_generated/server";

type JobId = Id<"_scheduled_functions">;
type Ref = Extract<SchedulableFunctionReference, { _visibility: "public" | "internal" }>;

const jobId = v.id("_scheduled_functions");
const group = v.string();

function ref(name: string): Ref {
  return makeFunctionReference<"mutation">(name);
}

const recordRef = makeFunctionReference<"mutation", { group: string; n: number }>("jobs:record");
const noteRef = makeFunctionReference<"mutation", { group: string; text: string }>("rules:note");
const openRef = makeFunctionReference<"query", { group: string; text: string }, boolean>("rules:has");

/** The text of what goes wrong. */
async function caught(work: () => Promise<unknown>): Promise<unknown> {
  try {
    return await work();
  } catch (error) {
    return `failed: ${(error as Error).message}`;
  }
}

const moments = {
  target: v.string(),
  args: v.optional(v.any()),
  /** From now. */
  offsetMs: v.number(),
  as: v.union(v.literal("date"), v.literal("number"), v.literal("delay")),
};

async function scheduleAt(scheduler: Scheduler, { target, args, offsetMs, as }: { target: string; args?: unknown; offsetMs: number; as: "date" | "number" | "delay" }): Promise<unknown> {
  const own = (args ?? {}) as Record<string, never>;
  return await caught(async () => {
    if (as === "delay") {
      return await scheduler.runAfter(offsetMs, ref(target), own);
    }
    const at = Date.now() + offsetMs;
    return await scheduler.runAt(as === "date" ? new Date(at) : at, ref(target), own);
  });
}

export const at = mutation({ args: moments, handler: async (ctx, args) => await scheduleAt(ctx.scheduler, args) });

export const atFromAction = action({ args: moments, handler: async (ctx, args) => await scheduleAt(ctx.scheduler, args) });

/** Several jobs in one transaction, each at its distance from now. */
export const several = mutation({
  args: { group, offsetsMs: v.array(v.number()) },
  handler: async (ctx, { group, offsetsMs }) => {
    for (const [n, offsetMs] of offsetsMs.entries()) {
      await ctx.scheduler.runAt(Date.now() + offsetMs, ref("rules:note"), { group, text: String(n) });
    }
  },
});

/** What a transaction sees of a job that it has just made, and of one that it has canceled. */
export const scheduleAndLook = mutation({
  args: { group, scheduledTime: v.number() },
  handler: async (ctx, { group, scheduledTime }) => {
    const kept = await ctx.scheduler.runAt(scheduledTime, recordRef, { group, n: 1 });
    const canceled = await ctx.scheduler.runAfter(0, recordRef, { group, n: 2 });
    await ctx.scheduler.cancel(canceled);
    return { kept: await ctx.db.system.get(kept), canceled: await ctx.db.system.get(canceled) };
  },
});

export const cancel = mutation({
  args: { ids: v.array(v.string()) },
  handler: async (ctx, { ids }) => {
    for (const id of ids) {
      await ctx.scheduler.cancel(id as JobId);
    }
  },
});

export const cancelAndFail = mutation({
  args: { id: jobId },
  handler: async (ctx, { id }) => {
    await ctx.scheduler.cancel(id);
    throw new Error("not canceled after all");
  },
});

export const cancelFromAction = action({
  args: { id: v.string() },
  handler: async (ctx, { id }) => await caught(async () => { await ctx.scheduler.cancel(id as JobId); }),
});

/** A document that is no job. */
export const document = mutation({ args: {}, handler: async (ctx) => await ctx.db.insert("notes", { group: "document", text: "" }) });

export const note = internalMutation({
  args: { group, text: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("notes", args);
  },
});

/** Lets those go on that wait for this text. */
export const leave = mutation({
  args: { group, text: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("notes", args);
  },
});

export const notes = query({
  args: { group },
  handler: async (ctx, { group }) => {
    const rows = await ctx.db.query("notes").withIndex("by_group", (q) => q.eq("group", group)).collect();
    return rows.map((row) => row.text);
  },
});

export const has = query({
  args: { group, text: v.string() },
  handler: async (ctx, { group, text }) => {
    const rows = await ctx.db.query("notes").withIndex("by_group", (q) => q.eq("group", group)).collect();
    return rows.some((row) => row.text === text);
  },
});

async function ownJob(ctx: MutationCtx): Promise<JobId> {
  const { scheduledFunctionId } = await ctx.meta.getRequestMetadata();
  if (scheduledFunctionId === null) {
    throw new Error("this is no job");
  }
  return scheduledFunctionId as JobId;
}

/** Writes down what a job sees of itself. */
export const lookAtItself = internalMutation({
  args: { group },
  handler: async (ctx, { group }) => {
    const job = await ctx.db.system.get(await ownJob(ctx));
    await ctx.db.insert("notes", { group, text: JSON.stringify({ state: job?.state, completed: job?.completedTime ?? null }) });
  },
});

export const cancelsItself = internalMutation({
  args: { group },
  handler: async (ctx, { group }) => {
    const own = await ownJob(ctx);
    const outcome = await caught(async () => { await ctx.scheduler.cancel(own); });
    await ctx.db.insert("notes", { group, text: `went on: ${typeof outcome === "string" ? outcome : "nothing"}` });
  },
});

export const aQuery = query({ args: {}, handler: () => 1 });

/** Schedules itself again until it is at zero. */
export const countDown = internalMutation({
  args: { group, n: v.number() },
  handler: async (ctx, { group, n }) => {
    await ctx.db.insert("runs", { group, n });
    if (n > 0) {
      await ctx.scheduler.runAfter(0, ref("rules:countDown"), { group, n: n - 1 });
    }
  },
});

export const startCountDown = mutation({
  args: { group, n: v.number() },
  handler: async (ctx, args) => await ctx.scheduler.runAfter(0, ref("rules:countDown"), args),
});

/** Many jobs for one document. */
export const countTogether = mutation({
  args: { group, jobs: v.number() },
  handler: async (ctx, { group, jobs }) => {
    await ctx.db.insert("counters", { group, value: 0 });
    for (let n = 0; n < jobs; n += 1) {
      await ctx.scheduler.runAfter(0, ref("rules:count"), { group });
    }
  },
});

export const count = internalMutation({
  args: { group },
  handler: async (ctx, { group }) => {
    const counter = await ctx.db.query("counters").withIndex("by_group", (q) => q.eq("group", group)).unique();
    if (counter !== null) {
      await ctx.db.patch(counter._id, { value: counter.value + 1 });
    }
  },
});

export const counted = query({
  args: { group },
  handler: async (ctx, { group }) => (await ctx.db.query("counters").withIndex("by_group", (q) => q.eq("group", group)).unique())?.value ?? null,
});

/** Occupies a job's place until it is told to go on; then schedules in every way that an action has. */
export const work = internalAction({
  args: { group },
  handler: async (ctx, { group }) => {
    await ctx.runMutation(noteRef, { group, text: "started" });
    while (!(await ctx.runQuery(openRef, { group, text: "go on" }))) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const own = await ctx.scheduler.runAfter(0, recordRef, { group, n: 1 });
    const viaMutation = await ctx.runMutation(makeFunctionReference<"mutation", { group: string; n: number }, JobId>("rules:spawn"), { group, n: 2 });
    const viaAction = await ctx.runAction(makeFunctionReference<"action", { group: string; n: number }, JobId>("rules:spawnFromAction"), { group, n: 3 });
    await ctx.runMutation(noteRef, { group, text: `ended ${[own, viaMutation, viaAction].join(" ")}` });
  },
});

/** Schedules a job that would schedule another. */
export const spawn = internalMutation({
  args: { group, n: v.number() },
  handler: async (ctx, args) => await ctx.scheduler.runAfter(0, ref("rules:countDown"), args),
});

export const spawnFromAction = internalAction({
  args: { group, n: v.number() },
  handler: async (ctx, args): Promise<JobId> => await ctx.scheduler.runAfter(0, recordRef, args),
});

/** All jobs of a function, oldest first. */
export const jobs = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const all = await ctx.db.system.query("_scheduled_functions").collect();
    return all.filter((job) => job.name === name);
  },
});

/** Takes its time, and says when it begins and ends. */
export const slow = internalAction({
  args: { group, ms: v.number() },
  handler: async (ctx, { group, ms }) => {
    await ctx.runMutation(noteRef, { group, text: "begin" });
    await new Promise((resolve) => setTimeout(resolve, ms));
    await ctx.runMutation(noteRef, { group, text: "end" });
  },
});

/** Leaves a trace, and then fails. */
export const noteAndFail = internalAction({
  args: { group },
  handler: async (ctx, { group }) => {
    await ctx.runMutation(noteRef, { group, text: "failed" });
    throw new Error("after the note");
  },
});
