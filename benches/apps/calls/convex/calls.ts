import { v } from "convex/values";

import { action, mutation, query } from "./_generated/server";

/** Makes each call another one, so that no cache answers. */
const unique = { unique: v.optional(v.number()) };

export const emptyQuery = query({ args: unique, handler: () => null });

export const emptyMutation = mutation({ args: unique, handler: () => null });

export const insert = mutation({
  args: unique,
  handler: async (ctx) => {
    await ctx.db.insert("rows", { n: 1 });
  },
});

export const emptyAction = action({ args: unique, handler: () => null });

export const count = query({ args: {}, handler: async (ctx) => (await ctx.db.query("rows").take(10)).length });
