/** What the other clients do meanwhile. */

import { v } from "convex/values";

import { mutationGeneric as mutation, queryGeneric as query } from "convex/server";

export const add = mutation({
  args: { author: v.string(), n: v.number() },
  handler: async (ctx, note) => {
    await ctx.db.insert("notes", note);
  },
});

export const last = query({
  args: { author: v.string() },
  handler: async (ctx, { author }) => {
    const note = (await ctx.db
      .query("notes")
      .withIndex("by_author", (q) => q.eq("author", author))
      .order("desc")
      .first()) as { n: number } | null;
    return note?.n ?? null;
  },
});
