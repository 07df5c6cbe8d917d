import { ConvexError, v } from "convex/values";

import { mutation, query } from "./_generated/server";

export const get = query({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const row = await ctx.db
      .query("counters")
      .withIndex("by_name", (q) => q.eq("name", name))
      .unique();
    return row?.value ?? 0;
  },
});

export const add = mutation({
  args: { name: v.string(), by: v.number() },
  handler: async (ctx, { name, by }) => {
    const row = await ctx.db
      .query("counters")
      .withIndex("by_name", (q) => q.eq("name", name))
      .unique();
    if (row === null) {
      await ctx.db.insert("counters", { name, value: by });
      return by;
    }
    await ctx.db.patch(row._id, { value: row.value + by });
    return row.value + by;
  },
});

/** Both sides of a transfer, for readers that must never see one without the other. */
export const transfer = mutation({
  args: { from: v.string(), to: v.string(), amount: v.number() },
  handler: async (ctx, { from, to, amount }) => {
    for (const [name, by] of [
      [from, -amount],
      [to, amount],
    ] as const) {
      const row = await ctx.db
        .query("counters")
        .withIndex("by_name", (q) => q.eq("name", name))
        .unique();
      if (row === null) {
        throw new ConvexError({ code: "NO_ACCOUNT", name, amount: BigInt(amount) });
      }
      await ctx.db.patch(row._id, { value: row.value + by });
    }
  },
});

/** Appends one entry of a client's own sequence. */
export const append = mutation({
  args: { session: v.string(), n: v.number() },
  handler: async (ctx, { session, n }) => {
    await ctx.db.insert("log", { session, n });
  },
});

export const entries = query({
  args: { session: v.string() },
  handler: async (ctx, { session }) => {
    const rows = await ctx.db
      .query("log")
      .withIndex("by_session", (q) => q.eq("session", session))
      .collect();
    return rows.map((row) => row.n);
  },
});
