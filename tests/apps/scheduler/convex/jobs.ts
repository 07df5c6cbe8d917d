/** Functions that schedule others, and that leave a trace each time they run. */

import { makeFunctionReference } from "convex/server";
import { v } from "convex/values";

import { action, internalAction, internalMutation, mutation, query } from "./_generated/server";

const recordRef = makeFunctionReference<"mutation", { group: string; n: number }>("jobs:record");
const actRef = makeFunctionReference<"action", { group: string; n: number }>("jobs:act");
const otherRef = makeFunctionReference<"mutation", { group: string; n: number }>("jobs:other");
const failRef = makeFunctionReference<"mutation", { group: string; n: number }>("jobs:fail");

const TARGETS = { record: recordRef, act: actRef, other: otherRef, fail: failRef };
const target = v.union(v.literal("record"), v.literal("act"), v.literal("other"), v.literal("fail"));

export const schedule = mutation({
  args: { target, group: v.string(), from: v.number(), count: v.number(), delayMs: v.number() },
  handler: async (ctx, { target, group, from, count, delayMs }) => {
    const ids: string[] = [];
    for (let n = from; n < from + count; n += 1) {
      ids.push(await ctx.scheduler.runAfter(delayMs, TARGETS[target], { group, n }));
    }
    return ids;
  },
});

export const scheduleAndFail = mutation({
  args: { group: v.string() },
  handler: async (ctx, { group }) => {
    await ctx.scheduler.runAfter(0, recordRef, { group, n: 1 });
    throw new Error("rolled back");
  },
});

/** Schedules from an action, where each call commits at once, and then fails. */
export const scheduleFromAction = action({
  args: { group: v.string() },
  handler: async (ctx, { group }) => {
    await ctx.scheduler.runAfter(0, recordRef, { group, n: 1 });
    throw new Error("too late to roll back");
  },
});

export const record = internalMutation({
  args: { group: v.string(), n: v.number() },
  handler: async (ctx, args) => {
    await ctx.db.insert("runs", args);
  },
});

export const other = internalMutation({
  args: { group: v.string(), n: v.number() },
  handler: async (ctx, args) => {
    await ctx.db.insert("runs", args);
  },
});

export const fail = internalMutation({
  args: { group: v.string(), n: v.number() },
  handler: async (ctx, args) => {
    await ctx.db.insert("runs", args);
    throw new Error(`job ${args.n} fails`);
  },
});

export const act = internalAction({
  args: { group: v.string(), n: v.number() },
  handler: async (ctx, args) => {
    await ctx.runMutation(recordRef, args);
    await new Promise((resolve) => setTimeout(resolve, 20));
  },
});

export const runs = query({
  args: { group: v.string() },
  handler: async (ctx, { group }) => {
    const rows = await ctx.db.query("runs").withIndex("by_group", (q) => q.eq("group", group)).collect();
    return rows.map((row) => row.n);
  },
});

/** How many jobs of a function are in each state. */
export const states = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const counts: Record<string, number> = {};
    for await (const job of ctx.db.system.query("_scheduled_functions")) {
      if (job.name === name) {
        counts[job.state.kind] = (counts[job.state.kind] ?? 0) + 1;
      }
    }
    return counts;
  },
});

export const job = query({
  args: { id: v.id("_scheduled_functions") },
  handler: async (ctx, { id }) => await ctx.db.system.get(id),
});

export const ping = query({ args: { n: v.number() }, handler: (_ctx, { n }) => n });
