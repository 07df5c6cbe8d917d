/** Transactions as the caller describes them: each step's answer is returned, with the moment at which all of it counts. */

import { type Infer, v } from "convex/values";

import { internal } from "./_generated/api";
import type { Doc } from "./_generated/dataModel";
import { internalMutation, internalQuery, mutation, type MutationCtx, query, type QueryCtx } from "./_generated/server";

/** Rows of one group, or all, in the order of `n`. */
export const choice = v.object({
  group: v.optional(v.number()),
  from: v.optional(v.number()),
  below: v.optional(v.number()),
  order: v.union(v.literal("asc"), v.literal("desc")),
  /** Rejects rows by a filter: those whose `n` leaves another remainder. */
  even: v.optional(v.boolean()),
  take: v.optional(v.number()),
});

const plain = v.union(
  v.object({ do: v.literal("read"), rows: choice }),
  v.object({ do: v.literal("count") }),
  /** The rows that are written are the first ones of a choice: what is read decides what is written. */
  v.object({ do: v.literal("insert"), group: v.number(), n: v.number() }),
  v.object({ do: v.literal("add"), rows: choice, n: v.number() }),
  v.object({ do: v.literal("move"), rows: choice, group: v.number() }),
  v.object({ do: v.literal("replace"), rows: choice, group: v.number(), n: v.number() }),
  v.object({ do: v.literal("remove"), rows: choice }),
);

export const step = v.union(
  plain,
  v.object({ do: v.literal("stale"), rows: choice }),
  v.object({ do: v.literal("nested"), steps: v.array(plain), fails: v.boolean() }),
);

export type Choice = Infer<typeof choice>;
export type PlainStep = Infer<typeof plain>;
export type Step = Infer<typeof step>;
export type Row = Doc<"ledger">;

async function chosen(ctx: Pick<QueryCtx, "db">, { group, from, below, order, even, take }: Choice): Promise<Row[]> {
  const table = ctx.db.query("ledger");
  const source =
    group === undefined
      ? table.withIndex("by_n", (q) => q.gte("n", from ?? -Infinity).lt("n", below ?? Infinity))
      : table.withIndex("by_group_n", (q) => q.eq("group", group).gte("n", from ?? -Infinity).lt("n", below ?? Infinity));
  const ordered = source.order(order);
  const filtered = even === undefined ? ordered : ordered.filter((q) => q.eq(q.mod(q.field("n"), 2), even ? 0 : 1));
  return take === undefined ? await filtered.collect() : await filtered.take(take);
}

async function write(ctx: Pick<MutationCtx, "db">, given: PlainStep): Promise<unknown> {
  if (given.do === "read") {
    return await chosen(ctx, given.rows);
  }
  if (given.do === "count") {
    return await (ctx.db.query("ledger") as unknown as { count(): Promise<number> }).count();
  }
  if (given.do === "insert") {
    return await ctx.db.get(await ctx.db.insert("ledger", { group: given.group, n: given.n }));
  }
  const rows = await chosen(ctx, given.rows);
  for (const row of rows) {
    switch (given.do) {
      case "add":
        await ctx.db.patch(row._id, { n: row.n + given.n });
        break;
      case "move":
        await ctx.db.patch(row._id, { group: given.group });
        break;
      case "replace":
        await ctx.db.replace(row._id, { group: given.group, n: given.n });
        break;
      case "remove":
        await ctx.db.delete(row._id);
        break;
    }
  }
  return rows;
}

export const transact = mutation({
  args: { steps: v.array(step) },
  handler: async (ctx, { steps }) => {
    const answers: unknown[] = [];
    for (const given of steps) {
      if (given.do === "stale") {
        answers.push(await ctx.runQuery(internal.history.rows, { rows: given.rows }, { useStaleSnapshot: true }));
      } else if (given.do === "nested") {
        answers.push(await ctx.runMutation(internal.history.inner, given).catch(() => null));
      } else {
        answers.push(await write(ctx, given));
      }
    }
    return { answers, snapshot: ctx.meta.getSnapshotTs(), commit: ctx.db.vars.commitTs };
  },
});

export const inner = internalMutation({
  args: { do: v.literal("nested"), steps: v.array(plain), fails: v.boolean() },
  handler: async (ctx, { steps, fails }): Promise<unknown[]> => {
    const answers: unknown[] = [];
    for (const given of steps) {
      answers.push(await write(ctx, given));
    }
    if (fails) {
      throw new Error("undone");
    }
    return answers;
  },
});

export const rows = internalQuery({ args: { rows: choice }, handler: async (ctx, args) => await chosen(ctx, args.rows) });

/** Several choices at one moment. */
export const look = query({
  args: { choices: v.array(choice) },
  handler: async (ctx, { choices }) => {
    const answers: Row[][] = [];
    for (const one of choices) {
      answers.push(await chosen(ctx, one));
    }
    return { answers, snapshot: ctx.meta.getSnapshotTs() };
  },
});

/** One more in a row that everybody writes. */
export const hit = mutation({
  args: { group: v.number() },
  handler: async (ctx, { group }) => {
    const row = await ctx.db.query("ledger").withIndex("by_group_n", (q) => q.eq("group", group)).unique();
    if (row === null) {
      await ctx.db.insert("ledger", { group, n: 1 });
      return 1;
    }
    await ctx.db.patch(row._id, { n: row.n + 1 });
    return row.n + 1;
  },
});
