/** A list of numbers: what the page with React shows and changes. */

import { actionGeneric, type DataModelFromSchemaDefinition, makeFunctionReference, type MutationBuilder, mutationGeneric, paginationOptsValidator, type QueryBuilder, queryGeneric } from "convex/server";
import { v } from "convex/values";

import type schema from "./schema.js";

type DataModel = DataModelFromSchemaDefinition<typeof schema>;
const query = queryGeneric as QueryBuilder<DataModel, "public">;
const mutation = mutationGeneric as MutationBuilder<DataModel, "public">;

const insertRef = makeFunctionReference<"mutation", { list: string; n: number }, number>("items:insert");

export const page = query({
  args: { list: v.string(), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { list, paginationOpts }) =>
    await ctx.db
      .query("items")
      .withIndex("by_list_n", (q) => q.eq("list", list))
      .paginate(paginationOpts),
});

export const count = query({
  args: { list: v.string() },
  handler: async (ctx, { list }): Promise<number> => {
    const rows = await ctx.db
      .query("items")
      .withIndex("by_list_n", (q) => q.eq("list", list))
      .collect();
    return rows.length;
  },
});

export const insert = mutation({
  args: { list: v.string(), n: v.number() },
  handler: async (ctx, row): Promise<number> => {
    await ctx.db.insert("items", row);
    return row.n;
  },
});

export const insertMany = mutation({
  args: { list: v.string(), numbers: v.array(v.number()) },
  handler: async (ctx, { list, numbers }): Promise<void> => {
    for (const n of numbers) {
      await ctx.db.insert("items", { list, n });
    }
  },
});

export const remove = mutation({
  args: { list: v.string(), numbers: v.array(v.number()) },
  handler: async (ctx, { list, numbers }): Promise<void> => {
    for (const n of numbers) {
      const row = await ctx.db
        .query("items")
        .withIndex("by_list_n", (q) => q.eq("list", list).eq("n", n))
        .unique();
      if (row !== null) {
        await ctx.db.delete(row._id);
      }
    }
  },
});

/** Writes, and fails. */
export const insertAndFail = mutation({
  args: { list: v.string(), n: v.number() },
  handler: async (ctx, row): Promise<null> => {
    await ctx.db.insert("items", row);
    throw new Error("it was not to be");
  },
});

export const insertLater = actionGeneric({
  args: { list: v.string(), n: v.number() },
  handler: async (ctx, args): Promise<string> => `inserted ${await ctx.runMutation(insertRef, args)}`,
});
