/** Up to the limits of one transaction, and one step further. Every function tells the text of the error it caught, or null. */

import { makeFunctionReference, mutationGeneric, queryGeneric } from "convex/server";
import { v } from "convex/values";

import { reader, writer } from "./documents";

const ignored = makeFunctionReference<"mutation", { text?: string }>("limits:ignore");
/** Size of a document `{text: ""}` of the table `blobs`. */
const EMPTY_BLOB = 63 + 5 + 2;
const MIB = 1024 * 1024;

async function caught(work: () => Promise<unknown>): Promise<string | null> {
  try {
    await work();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

export const ignore = mutationGeneric({ args: { text: v.optional(v.string()) }, handler: async () => null });

export const readDocuments = queryGeneric({
  args: { count: v.number() },
  handler: async (ctx, args) => ({
    error: await caught(async () => reader(ctx).query("rows").take(args.count)),
    metrics: await ctx.meta.getTransactionMetrics(),
  }),
});

/** Without catching. */
export const readDocumentsUncaught = queryGeneric({
  args: { count: v.number() },
  handler: async (ctx, args) => (await reader(ctx).query("rows").take(args.count)).length,
});

export const readBlobs = queryGeneric({
  args: { count: v.number() },
  handler: async (ctx, args) => ({
    error: await caught(async () => reader(ctx).query("blobs").take(args.count)),
    metrics: await ctx.meta.getTransactionMetrics(),
  }),
});

/** Looks up so many numbers that do not touch each other. */
export const readRanges = queryGeneric({
  args: { count: v.number() },
  handler: async (ctx, args) => ({
    error: await caught(async () => {
      for (let n = 0; n < args.count; n += 1) {
        await reader(ctx)
          .query("rows")
          .withIndex("by_n", (range) => range.eq?.("n", -2 - n) ?? range)
          .take(1);
      }
    }),
    metrics: await ctx.meta.getTransactionMetrics(),
  }),
});

export const writeDocuments = mutationGeneric({
  args: { count: v.number() },
  handler: async (ctx, args) => ({
    error: await caught(async () => {
      for (let n = 0; n < args.count; n += 1) {
        await writer(ctx).insert("ledger", { n });
      }
    }),
    metrics: await ctx.meta.getTransactionMetrics(),
  }),
});

/** Documents of exactly one MiB. */
export const writeBlobs = mutationGeneric({
  args: { count: v.number() },
  handler: async (ctx, args) => {
    const text = "x".repeat(MIB - EMPTY_BLOB);
    return {
      error: await caught(async () => {
        for (let n = 0; n < args.count; n += 1) {
          await writer(ctx).insert("blobs", { text });
        }
      }),
      metrics: await ctx.meta.getTransactionMetrics(),
    };
  },
});

export const tooLarge = mutationGeneric({
  args: {},
  handler: async (ctx) => await caught(async () => writer(ctx).insert("blobs", { text: "x".repeat(MIB - EMPTY_BLOB + 1) })),
});

export const scheduleMany = mutationGeneric({
  args: { count: v.number() },
  handler: async (ctx, args) => ({
    error: await caught(async () => {
      for (let n = 0; n < args.count; n += 1) {
        await ctx.scheduler.runAfter(3_600_000, ignored, {});
      }
    }),
    metrics: await ctx.meta.getTransactionMetrics(),
  }),
});

/** Four calls whose arguments are 4 MiB each together with what is added to the last one's. */
export const scheduleLarge = mutationGeneric({
  args: { more: v.number() },
  handler: async (ctx, args) => ({
    error: await caught(async () => {
      for (let n = 0; n < 4; n += 1) {
        // An array of one object with one field, and the text's own overhead.
        const size = 4 * MIB - 11 + (n === 3 ? (args.more) : 0);
        await ctx.scheduler.runAfter(3_600_000, ignored, { text: "x".repeat(size) });
      }
    }),
    metrics: await ctx.meta.getTransactionMetrics(),
  }),
});
