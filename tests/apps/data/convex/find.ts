/** Queries as the caller describes them, made with the client package's own builders. */

import type { OrderedQuery, Query } from "convex/server";
import { v } from "convex/values";

import type { DataModel, TableNames } from "./_generated/dataModel";
import { mutation, query, type QueryCtx } from "./_generated/server";

/** `undefined` cannot be sent: this stands for it in ranges and filters. */
const UNDEFINED = "<undefined>";

export const shape = {
  table: v.string(),
  index: v.optional(v.string()),
  /** `[method, field, value]` */
  range: v.optional(v.array(v.array(v.any()))),
  /** Bare values are literals; `["field", path]` and `[method, ...operands]` are expressions. */
  filter: v.optional(v.any()),
  order: v.optional(v.union(v.literal("asc"), v.literal("desc"))),
};

export interface Shape {
  table: string;
  index?: string;
  range?: unknown[][];
  filter?: unknown;
  order?: "asc" | "desc";
}

type Builder = Record<string, (...operands: unknown[]) => unknown>;

function operand(value: unknown): unknown {
  return value === UNDEFINED ? undefined : value;
}

function expression(q: Builder, node: unknown): unknown {
  if (!Array.isArray(node)) {
    return operand(node);
  }
  const [method, ...operands] = node as [string, ...unknown[]];
  if (method === "field") {
    return q.field?.(operands[0]);
  }
  return q[method]?.(...operands.map((inner) => expression(q, inner)));
}

export function build(ctx: Pick<QueryCtx, "db">, { table, index, range, filter, order }: Shape): OrderedQuery<DataModel["items"]> {
  const isSystem = table.startsWith("_");
  // Names and fields are the caller's choice, so the compiler cannot know them.
  const start = isSystem ? ctx.db.system.query(table as "_storage") : ctx.db.query(table as TableNames);
  const initial = start as unknown as {
    withIndex(name: string, range: (q: unknown) => unknown): Query<DataModel["items"]>;
    fullTableScan(): Query<DataModel["items"]>;
  };
  const source =
    index === undefined
      ? initial.fullTableScan()
      : initial.withIndex(index, (q) =>
          (range ?? []).reduce<unknown>((built, [method, field, value]) => (built as Builder)[method as string]?.(field, operand(value)), q),
        );
  const ordered: OrderedQuery<DataModel["items"]> = order === undefined ? source : source.order(order);
  return filter === undefined ? ordered : ordered.filter((q) => expression(q as unknown as Builder, filter) as boolean);
}

const end = { take: v.optional(v.number()), first: v.optional(v.boolean()), unique: v.optional(v.boolean()), until: v.optional(v.number()) };

/** What a query finds; `until` leaves the loop after so many rows. */
async function find(
  ctx: Pick<QueryCtx, "db">,
  { take, first, unique, until, ...rest }: Shape & { take?: number; first?: boolean; unique?: boolean; until?: number },
): Promise<unknown> {
  const built = build(ctx, rest);
  if (take !== undefined) {
    return await built.take(take);
  }
  if (first === true) {
    return await built.first();
  }
  if (unique === true) {
    return await built.unique();
  }
  const rows: unknown[] = [];
  for await (const row of built) {
    rows.push(row);
    if (rows.length === until) {
      break;
    }
  }
  return rows;
}

export const rows = query({ args: { ...shape, ...end }, handler: async (ctx, args) => await find(ctx, args) });

/** Several in one transaction. */
export const many = query({
  args: { queries: v.array(v.object(shape)) },
  handler: async (ctx, { queries }) => {
    const found: unknown[] = [];
    for (const one of queries) {
      found.push(await build(ctx, one).collect());
    }
    return found;
  },
});

/** The rows with what the transaction has used for them. */
export const measured = query({
  args: { ...shape, ...end },
  handler: async (ctx, args) => {
    const found = await find(ctx, args);
    const metrics = await ctx.meta.getTransactionMetrics();
    return { found, bytes: metrics.bytesRead.used, documents: metrics.documentsRead.used };
  },
});

/** A random number in the result: it changes whenever the query runs again, and only then. */
export const stamped = query({
  args: { ...shape, ...end },
  handler: async (ctx, args) => ({ found: await find(ctx, args), run: Math.random() }),
});

/** What a caught failure looks like in the function. */
export const caught = query({
  args: { ...shape, ...end },
  handler: async (ctx, args): Promise<string> => {
    try {
      await find(ctx, args);
    } catch (error) {
      return (error as Error).message;
    }
    return "no error";
  },
});

export const count = query({
  args: { table: v.string() },
  handler: async (ctx, { table }) => {
    const start = table.startsWith("_") ? ctx.db.system.query(table as "_storage") : ctx.db.query(table as TableNames);
    return await (start as unknown as { count(): Promise<number> }).count();
  },
});

/** Rows that a scan in progress sees of what its own loop inserts before and behind its position. */
export const whileWriting = mutation({
  args: { group: v.string() },
  handler: async (ctx, { group }) => {
    const seen: number[] = [];
    for (const n of [10, 20, 30]) {
      await ctx.db.insert("items", { group, n });
    }
    for await (const { _id, n } of ctx.db.query("items").withIndex("by_group_n", (q) => q.eq("group", group))) {
      seen.push(n);
      if (n === 10) {
        await ctx.db.insert("items", { group, n: 5 });
        await ctx.db.insert("items", { group, n: 25 });
      }
      if (n === 20) {
        await ctx.db.patch(_id, { n: 40 });
      }
      if (n === 25) {
        const last = await ctx.db.query("items").withIndex("by_group_n", (q) => q.eq("group", group).eq("n", 30)).unique();
        if (last !== null) {
          await ctx.db.delete(last._id);
        }
      }
    }
    return seen;
  },
});
