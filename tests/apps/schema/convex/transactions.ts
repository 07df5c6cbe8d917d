/** Nested calls and what is undone with them. */

import { type FunctionReference, makeFunctionReference, mutationGeneric, queryGeneric } from "convex/server";
import { type Value, v } from "convex/values";

import { reader, writer } from "./documents";

type Args = Record<string, Value>;

function mutation(name: string): FunctionReference<"mutation", "public", Args> {
  return makeFunctionReference<"mutation", Args>(`transactions:${name}`);
}

function query(name: string): FunctionReference<"query", "public", Args> {
  return makeFunctionReference<"query", Args>(`transactions:${name}`);
}

async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("the nested call did not fail");
}

export const insertAndThrow = mutationGeneric({
  args: { table: v.string(), value: v.any() },
  handler: async (ctx, args) => {
    await writer(ctx).insert(args.table, args.value);
    throw new Error("undo it");
  },
});

/** Calls a mutation that fails after its write, and goes on. */
export const undone = mutationGeneric({
  args: { table: v.string(), value: v.any() },
  handler: async (ctx, args): Promise<string> => await failure(ctx.runMutation(mutation("insertAndThrow"), args as Args)),
});

export const count = queryGeneric({
  args: {},
  handler: async (ctx): Promise<number> => (await reader(ctx).query("ledger").collect()).length,
});

export const post = mutationGeneric({
  args: { n: v.number() },
  handler: async (ctx, args) => {
    await writer(ctx).insert("ledger", { n: args.n });
  },
});

/** Writes, schedules, nests, and throws all of it away; tells how many rows there were. */
export const postAndThrow = mutationGeneric({
  args: { n: v.number() },
  handler: async (ctx, args) => {
    const rows = await reader(ctx).query("ledger").collect();
    await ctx.runMutation(mutation("post"), { n: args.n });
    await ctx.scheduler.runAfter(0, mutation("post"), { n: args.n });
    await writer(ctx).insert("ledger", { n: args.n });
    throw new Error(`rows: ${rows.length}`);
  },
});

/** A failed nested call between two writes. */
export const around = mutationGeneric({
  args: {},
  handler: async (ctx) => {
    const db = writer(ctx);
    await db.insert("ledger", { n: 1 });
    const before = await ctx.meta.getTransactionMetrics();
    const error = await failure(ctx.runMutation(mutation("postAndThrow"), { n: 100 }));
    const after = await ctx.meta.getTransactionMetrics();
    const seen = (await ctx.runQuery(query("count"), {})) as number;
    await db.insert("ledger", { n: 2 });
    return {
      error,
      seen,
      written: [before.documentsWritten.used, after.documentsWritten.used],
      bytesWritten: [before.bytesWritten.used, after.bytesWritten.used],
      scheduled: [before.functionsScheduled.used, after.functionsScheduled.used],
      moreRead: after.documentsRead.used > before.documentsRead.used,
    };
  },
});

/** Appends the number of rows, which only a nested call that fails has read. */
export const appendByFailedRead = mutationGeneric({
  args: {},
  handler: async (ctx) => {
    const error = await failure(ctx.runMutation(mutation("postAndThrow"), { n: -1 }));
    await writer(ctx).insert("ledger", { n: Number(/rows: (\d+)/.exec(error)?.[1]) });
  },
});

/** Deletes some rows and tells whether there may be more: every delete reads its document, which is a range of its own. */
export const clear = mutationGeneric({
  args: {},
  handler: async (ctx): Promise<boolean> => {
    const db = writer(ctx);
    const rows = await db.query("ledger").take(4000);
    for (const row of rows) {
      await db.delete(row._id as string);
    }
    return rows.length === 4000;
  },
});

/** What a stale and an ordinary nested query see of this mutation's write. */
export const stale = mutationGeneric({
  args: {},
  handler: async (ctx): Promise<number[]> => {
    await writer(ctx).insert("ledger", { n: 1 });
    const onSnapshot = (await ctx.runQuery(query("count"), {}, { useStaleSnapshot: true })) as number;
    const now = (await ctx.runQuery(query("count"), {})) as number;
    return [onSnapshot, now];
  },
});

export const staleInQuery = queryGeneric({
  args: {},
  handler: async (ctx) => await failure((async (): Promise<unknown> => await ctx.runQuery(query("count"), {}, { useStaleSnapshot: true } as object))()),
});

export const take = queryGeneric({
  args: { count: v.number() },
  handler: async (ctx, args) => {
    const budget = (await ctx.meta.getTransactionMetrics()).documentsRead.remaining;
    await reader(ctx).query("rows").take(args.count);
    return budget;
  },
});

/** Reads in a nested call with a budget of its own, then without. */
export const budgeted = mutationGeneric({
  args: { own: v.number(), budget: v.number(), nested: v.number() },
  handler: async (ctx, args) => {
    await reader(ctx).query("rows").take(args.own);
    const call = ctx.runQuery(query("take"), { count: args.nested }, { transactionLimits: { documentsRead: args.budget } });
    const outcome = await call.then(
      (remaining: number) => ({ remaining }),
      (error: unknown) => ({ error: (error as Error).message }),
    );
    await reader(ctx).query("rows").take(args.nested);
    const { documentsRead } = await ctx.meta.getTransactionMetrics();
    return { outcome, ...documentsRead };
  },
});

/** Calls itself so many levels deep. */
export const deep = queryGeneric({
  args: { levels: v.number() },
  handler: async (ctx, args): Promise<number> => (args.levels === 0 ? 0 : 1 + ((await ctx.runQuery(query("deep"), { levels: (args.levels) - 1 })) as number)),
});

export const metrics = mutationGeneric({
  args: {},
  handler: async (ctx) => {
    const db = writer(ctx);
    const id = await db.insert("ledger", { n: 1 });
    await db.patch(id, { n: 2 });
    await db.patch(id, { n: 2 });
    await db.get(id);
    await db.get(id);
    await db.delete(id);
    await ctx.scheduler.runAfter(1000, mutation("post"), { n: 5 });
    return await ctx.meta.getTransactionMetrics();
  },
});

/** The hot spot. */
export const increment = mutationGeneric({
  args: { name: v.string() },
  handler: async (ctx, args): Promise<number> => {
    const db = writer(ctx);
    const found = await db
      .query("counters")
      .withIndex("by_name", (range) => range.eq?.("name", args.name) ?? range)
      .take(1);
    const counter = found[0];
    if (counter === undefined) {
      await db.insert("counters", { name: args.name, value: 1 });
      return 1;
    }
    const value = (counter.value as number) + 1;
    await db.patch(counter._id as string, { value });
    return value;
  },
});
