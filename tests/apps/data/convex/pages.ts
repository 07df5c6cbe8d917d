/** Pagination. */

import { paginationOptsValidator } from "convex/server";
import { ConvexError, v } from "convex/values";

import { api, internal } from "./_generated/api";
import { internalQuery, mutation, query } from "./_generated/server";
import { build, shape } from "./find";

const args = { ...shape, paginationOpts: paginationOptsValidator };

export const page = query({ args, handler: async (ctx, { paginationOpts, ...rest }) => await build(ctx, rest).paginate(paginationOpts) });

export const inMutation = mutation({ args, handler: async (ctx, { paginationOpts, ...rest }) => await build(ctx, rest).paginate(paginationOpts) });

/** One group's items: what an app's own paginated query looks like. */
export const items = query({
  args: { group: v.string(), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { group, paginationOpts }) =>
    await ctx.db.query("items").withIndex("by_group_n", (q) => q.eq("group", group)).paginate(paginationOpts),
});

/** Its range is data: when that changes, it is another query for the same arguments. */
export const fromSetting = query({
  args: { group: v.string(), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { group, paginationOpts }) => {
    const setting = await ctx.db.query("typed").filter((q) => q.eq(q.field("name"), group)).first();
    return await ctx.db
      .query("items")
      .withIndex("by_group_n", (q) => q.eq("group", group).gte("n", setting?.age ?? 0))
      .paginate(paginationOpts);
  },
});

export const caught = query({
  args,
  handler: async (ctx, { paginationOpts, ...rest }) => {
    try {
      await build(ctx, rest).paginate(paginationOpts);
    } catch (error) {
      return { message: (error as Error).message, data: error instanceof ConvexError ? (error.data as unknown) : null };
    }
    return { message: "no error", data: null };
  },
});

/** Starts over when the cursor is refused, as an app may. */
export const recovering = query({
  args,
  handler: async (ctx, { paginationOpts, ...rest }) => {
    try {
      return await build(ctx, rest).paginate(paginationOpts);
    } catch {
      return await build(ctx, rest).paginate({ ...paginationOpts, cursor: null });
    }
  },
});

export const twice = query({
  args,
  handler: async (ctx, { paginationOpts, ...rest }) => {
    await build(ctx, rest).paginate(paginationOpts);
    return await build(ctx, rest).paginate(paginationOpts);
  },
});

/** A page of its own, and one of a nested call: each function may have one. */
export const nested = query({
  args,
  handler: async (ctx, { paginationOpts, ...rest }): Promise<{ own: unknown; inner: unknown }> => {
    const inner: unknown = await ctx.runQuery(internal.pages.inner, { ...rest, paginationOpts });
    const own: unknown = await build(ctx, rest).paginate(paginationOpts);
    return { own, inner };
  },
});

export const inner = internalQuery({ args, handler: async (ctx, { paginationOpts, ...rest }) => await build(ctx, rest).paginate(paginationOpts) });

/** Reads a lot before its page. */
export const afterReading = query({
  args: { ...args, read: v.string() },
  handler: async (ctx, { paginationOpts, read, ...rest }) => {
    await ctx.db.query("items").withIndex("by_group_n", (q) => q.eq("group", read)).collect();
    return await build(ctx, rest).paginate(paginationOpts);
  },
});

/** A page within the budget of a nested call. */
export const withinBudget = mutation({
  args: { ...args, documentsRead: v.number() },
  handler: async (ctx, { documentsRead, ...rest }): Promise<unknown> => {
    const result: unknown = await ctx.runQuery(api.pages.page, rest, { transactionLimits: { documentsRead } });
    return result;
  },
});
