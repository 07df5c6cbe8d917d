import { ConvexError, v } from "convex/values";

import { api, internal } from "./_generated/api";
import { action, internalQuery, mutation, query } from "./_generated/server";
import { failDeep } from "./deep";

export const echo = query({ args: { value: v.any() }, handler: (_ctx, { value }) => value as unknown });

export const store = mutation({
  args: { value: v.any() },
  handler: async (ctx, { value }) => {
    const id = await ctx.db.insert("values", { value: value as unknown });
    return (await ctx.db.get(id))?.value as unknown;
  },
});

export const fail = query({
  args: {},
  handler: (): null => {
    throw new Error("on purpose");
  },
});

export const failWithData = mutation({
  args: {},
  handler: (): null => {
    throw new ConvexError({ code: "LIMIT", max: 10n });
  },
});

export const endless = query({
  args: {},
  handler: (): null => {
    for (;;) {
      // Never ends.
    }
  },
});

export const secret = internalQuery({ args: {}, handler: () => "internal" });

export const site = query({ args: {}, handler: () => process.env.CONVEX_SITE_URL ?? null });

export const setting = query({ args: {}, handler: () => process.env.SETTING ?? null });

/** The subject of the caller's token. */
export const me = query({ args: {}, handler: async (ctx) => (await ctx.auth.getUserIdentity())?.subject ?? null });

export const relay = action({
  args: { name: v.string() },
  handler: async (ctx, { name }): Promise<{ value: number; secret: string; random: boolean }> => {
    await new Promise((wake) => setTimeout(wake, 5));
    const value: number = await ctx.runMutation(api.counters.add, { name, by: 1 });
    const secret: string = await ctx.runQuery(internal.misc.secret, {});
    return { value, secret, random: Math.random() !== Math.random() };
  },
});

/** A failing nested mutation must leave no trace, and its caller must be able to go on. */
export const nested = mutation({
  args: { name: v.string() },
  handler: async (ctx, { name }): Promise<string> => {
    await ctx.runMutation(api.counters.add, { name, by: 1 });
    try {
      await ctx.runMutation(api.counters.transfer, { from: name, to: "nobody", amount: 1 });
    } catch (error) {
      return error instanceof ConvexError ? (error.data as { code: string }).code : String(error);
    }
    return "no error";
  },
});

export const failShared = query({ args: {}, handler: (): null => failDeep() });
