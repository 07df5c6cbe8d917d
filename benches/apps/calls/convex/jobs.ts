import { v } from "convex/values";

import { internal } from "./_generated/api";
import { internalMutation, mutation, query } from "./_generated/server";

export const run = internalMutation({
  args: { job: v.number(), dueMs: v.number() },
  handler: async (ctx, { job, dueMs }) => {
    await ctx.db.insert("done", { job, dueMs, startedMs: Date.now() });
  },
});

/** Schedules jobs that are all due at one moment. */
export const schedule = mutation({
  args: { from: v.number(), count: v.number(), dueMs: v.number() },
  handler: async (ctx, { from, count, dueMs }) => {
    for (let job = from; job < from + count; job += 1) {
      await ctx.scheduler.runAt(dueMs, internal.jobs.run, { job, dueMs });
    }
  },
});

/** Counted without reading, which the package's types do not show. */
export const doneCount = query({
  args: {},
  handler: async (ctx) => await (ctx.db.query("done") as unknown as { count: () => Promise<number> }).count(),
});

export const page = query({
  args: { cursor: v.union(v.string(), v.null()) },
  handler: async (ctx, { cursor }) => {
    const page = await ctx.db.query("done").paginate({ cursor, numItems: 2000 });
    return {
      rows: page.page.map((row) => ({ job: row.job, dueMs: row.dueMs, startedMs: row.startedMs })),
      isDone: page.isDone,
      cursor: page.continueCursor,
    };
  },
});
