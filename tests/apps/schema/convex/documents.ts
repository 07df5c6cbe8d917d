/** Reading and writing any table: the schema is what the test puts beside this file. */

import { makeFunctionReference, mutationGeneric, queryGeneric } from "convex/server";
import { type Value, v } from "convex/values";

type Document = Record<string, Value>;

/** What functions do with tables whose names they are told. */
interface Reader {
  get(id: string): Promise<Document | null>;
  query(table: string): Source;
}

interface Writer extends Reader {
  insert(table: string, value: unknown): Promise<string>;
  patch(id: string, value: unknown): Promise<void>;
  replace(id: string, value: unknown): Promise<void>;
  delete(id: string): Promise<void>;
}

interface Source extends Ordered {
  withIndex(name: string, range?: (builder: RangeBuilder) => RangeBuilder): Ordered;
}

interface Ordered {
  order(order: "asc" | "desc"): Ordered;
  collect(): Promise<Document[]>;
  take(count: number): Promise<Document[]>;
  paginate(options: { cursor: string | null; numItems: number }): Promise<{ page: Document[]; isDone: boolean; continueCursor: string }>;
}

type RangeBuilder = Record<string, (field: string, value: Value | undefined) => RangeBuilder>;

export function reader(ctx: { db: unknown }): Reader {
  return ctx.db as Reader;
}

export function writer(ctx: { db: unknown }): Writer {
  return ctx.db as Writer;
}

/** `[comparison, field]` for undefined, `[comparison, field, value]` for anything else. */
const range = v.array(v.array(v.any()));
const source = { table: v.string(), index: v.optional(v.string()), range: v.optional(range), order: v.optional(v.union(v.literal("asc"), v.literal("desc"))) };

interface SourceArgs {
  table: string;
  index?: string;
  range?: unknown[][];
  order?: "asc" | "desc";
}

function open(db: Reader, args: SourceArgs): Ordered {
  const table = db.query(args.table);
  const indexed =
    args.index === undefined
      ? table
      : table.withIndex(args.index, (builder) =>
          (args.range ?? []).reduce<RangeBuilder>((built, [comparison, field, value]) => {
            const step = built[comparison as string];
            if (step === undefined) {
              throw new Error(`there is no comparison ${String(comparison)}`);
            }
            return step.call(built, field as string, value as Value | undefined);
          }, builder),
        );
  return indexed.order(args.order ?? "asc");
}

export const insert = mutationGeneric({
  args: { table: v.string(), value: v.any() },
  handler: async (ctx, args) => writer(ctx).insert(args.table, args.value),
});

export const insertMany = mutationGeneric({
  args: { table: v.string(), values: v.array(v.any()) },
  handler: async (ctx, args) => {
    const ids: string[] = [];
    for (const value of args.values as unknown[]) {
      ids.push(await writer(ctx).insert(args.table, value));
    }
    return ids;
  },
});

/** Documents `{n, group, nested: {rank}}`, with a field missing here and there. */
export const fill = mutationGeneric({
  args: { table: v.string(), from: v.number(), count: v.number() },
  handler: async (ctx, args) => {
    const db = writer(ctx);
    for (let n = args.from; n < args.from + args.count; n += 1) {
      await db.insert(args.table, { n, group: `g${n % 7}`, ...(n % 3 === 0 ? {} : { nested: { rank: n % 11 } }) });
    }
  },
});

export const replace = mutationGeneric({
  args: { id: v.string(), value: v.any() },
  handler: async (ctx, args) => {
    await writer(ctx).replace(args.id, args.value);
  },
});

export const patch = mutationGeneric({
  args: { id: v.string(), value: v.any() },
  handler: async (ctx, args) => {
    await writer(ctx).patch(args.id, args.value);
  },
});

export const remove = mutationGeneric({
  args: { id: v.string() },
  handler: async (ctx, args) => {
    await writer(ctx).delete(args.id);
  },
});

/** Tries a write and hands back the text of its error; whatever else the mutation writes is committed. */
export const attempt = mutationGeneric({
  args: { write: v.string(), table: v.optional(v.string()), id: v.optional(v.string()), value: v.optional(v.any()) },
  handler: async (ctx, args): Promise<string | null> => {
    const db = writer(ctx);
    try {
      switch (args.write) {
        case "insert":
          await db.insert(args.table ?? "", args.value);
          break;
        case "patch":
          await db.patch(args.id ?? "", args.value);
          break;
        default:
          await db.replace(args.id ?? "", args.value);
      }
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  },
});

export const get = queryGeneric({
  args: { id: v.string() },
  handler: async (ctx, args) => reader(ctx).get(args.id),
});

export const find = queryGeneric({
  args: { ...source, limit: v.optional(v.number()) },
  handler: async (ctx, args): Promise<Document[]> => {
    const opened = open(reader(ctx), args);
    return await (args.limit === undefined ? opened.collect() : opened.take(args.limit));
  },
});

/** Like `find`, with the error's text instead of a failure. */
export const attemptFind = queryGeneric({
  args: source,
  handler: async (ctx, args): Promise<string | null> => {
    try {
      await open(reader(ctx), args).take(1);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  },
});

/** Rows of a large table, with what its indexes are about. */
export const page = queryGeneric({
  args: { ...source, cursor: v.union(v.string(), v.null()), numItems: v.number() },
  handler: async (ctx, args) => {
    const { page: rows, isDone, continueCursor } = await open(reader(ctx), args).paginate({ cursor: args.cursor, numItems: args.numItems });
    return {
      rows: rows.map((row) => ({ id: row._id, time: row._creationTime, n: row.n, group: row.group, rank: (row.nested as { rank: number } | undefined)?.rank })),
      isDone,
      continueCursor,
    };
  },
});

export const normalize = queryGeneric({
  args: { table: v.string(), id: v.string() },
  handler: async (ctx, args) => (ctx.db as unknown as { normalizeId(table: string, id: string): string | null }).normalizeId(args.table, args.id),
});

export const nothing = mutationGeneric({ args: {}, handler: async () => null });

/** Schedules a function and returns the id of the job. */
export const schedule = mutationGeneric({
  args: {},
  handler: async (ctx): Promise<string> => await ctx.scheduler.runAfter(0, makeFunctionReference<"mutation">("documents:nothing")),
});
