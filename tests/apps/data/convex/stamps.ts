/** Commit timestamps. */

import { jsonToConvex, v } from "convex/values";

import { internal } from "./_generated/api";
import { internalMutation, internalQuery, mutation, query } from "./_generated/server";

export const write = mutation({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const ts = ctx.db.vars.commitTs;
    await ctx.db.insert("stamps", { name, ts });
    await ctx.db.insert("stamps", { name, ts });
    return { ts, deep: [{ ts }], snapshot: ctx.meta.getSnapshotTs() };
  },
});

/** Passed into nested calls, and back. */
export const nested = mutation({
  args: { name: v.string() },
  handler: async (ctx, { name }): Promise<unknown> => {
    const ts = ctx.db.vars.commitTs;
    const inner: unknown = await ctx.runMutation(internal.stamps.inner, { name, ts });
    const read: unknown = await ctx.runQuery(internal.stamps.echo, { value: { ts } });
    return { inner, read, ts };
  },
});

export const inner = internalMutation({
  args: { name: v.string(), ts: v.commitTs() },
  handler: async (ctx, { name, ts }) => {
    await ctx.db.insert("stamps", { name, ts });
    await ctx.db.insert("stamps", { name, ts: ctx.db.vars.commitTs });
    return { ts };
  },
});

export const echo = internalQuery({ args: { value: v.any() }, handler: async (_ctx, { value }) => value as unknown });

/** What the writing transaction itself finds of its rows. */
export const pending = mutation({
  args: { name: v.string(), before: v.array(v.int64()) },
  handler: async (ctx, { name, before }) => {
    for (const ts of before) {
      await ctx.db.insert("stamps", { name, ts });
    }
    const ts = ctx.db.vars.commitTs;
    const id = await ctx.db.insert("stamps", { name, ts });
    const all = await ctx.db.query("stamps").withIndex("by_name_ts", (q) => q.eq("name", name)).collect();
    const equal = await ctx.db.query("stamps").withIndex("by_name_ts", (q) => q.eq("name", name).eq("ts", ts)).collect();
    const above = await ctx.db.query("stamps").withIndex("by_name_ts", (q) => q.eq("name", name).gte("ts", before[0] ?? 0n)).order("desc").collect();
    const own = await ctx.db.get(id);
    return {
      lastIsOwn: all.at(-1)?._id === id,
      equal: equal.map((row) => row._id === id),
      firstAboveIsOwn: above[0]?._id === id,
      // The constant itself comes back.
      isPlaceholder: own?.ts === ts,
    };
  },
});

export const returned = query({
  args: {},
  // Queries are not given the placeholder, but can make it.
  handler: async (): Promise<unknown> => jsonToConvex({ $commitTs: null }),
});

export const list = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => await ctx.db.query("stamps").withIndex("by_name_ts", (q) => q.eq("name", name)).collect(),
});

export const snapshotTs = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => ({
    snapshot: ctx.meta.getSnapshotTs(),
    stamps: (await ctx.db.query("stamps").withIndex("by_name_ts", (q) => q.eq("name", name)).collect()).map((row) => row.ts),
  }),
});

export const scheduled = mutation({
  args: {},
  handler: async (ctx): Promise<string> => {
    try {
      await ctx.scheduler.runAfter(3_600_000, internal.rows.noop, { note: ctx.db.vars.commitTs });
    } catch (error) {
      return (error as Error).message;
    }
    return "no error";
  },
});
