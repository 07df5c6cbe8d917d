/** Nested calls and what is undone with them. */

import { makeFunctionReference, mutationGeneric } from "convex/server";
import { v } from "convex/values";

import { writer } from "./documents";

export const insertAndThrow = mutationGeneric({
  args: { table: v.string(), value: v.any() },
  handler: async (ctx, args) => {
    await writer(ctx.db).insert(args.table, args.value);
    throw new Error("undo it");
  },
});

/** Calls a mutation that fails after its write, and goes on. */
export const undone = mutationGeneric({
  args: { table: v.string(), value: v.any() },
  handler: async (ctx, args): Promise<string> => {
    try {
      await ctx.runMutation(makeFunctionReference<"mutation">("transactions:insertAndThrow"), args);
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error("the nested call did not fail");
  },
});
