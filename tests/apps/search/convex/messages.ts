import { type DataModelFromSchemaDefinition, makeFunctionReference, type MutationBuilder, mutationGeneric, paginationOptsValidator, type QueryBuilder, queryGeneric } from "convex/server";
import { v } from "convex/values";

import type schema from "../schemas/indexed.js";

type DataModel = DataModelFromSchemaDefinition<typeof schema>;
const query = queryGeneric as QueryBuilder<DataModel, "public">;
const mutation = mutationGeneric as MutationBuilder<DataModel, "public">;

/** What is searched for; without a channel in all of them. */
const wanted = { words: v.string(), channel: v.optional(v.string()) };

/** The bodies that are found, with a number that is another one after each run. */
export const search = query({
  args: wanted,
  handler: async (ctx, { words, channel }) => {
    const rows = await ctx.db
      .query("messages")
      .withSearchIndex("by_body", (q) => (channel === undefined ? q.search("body", words) : q.search("body", words).eq("channel", channel)))
      .collect();
    return { bodies: rows.map((row) => row.body), run: Math.random() };
  },
});

const searchAgain = makeFunctionReference<"query", { words: string }, { bodies: string[] }>("messages:search");

/** The best of those that a filter accepts. */
export const best = query({
  args: { words: v.string(), count: v.number(), likes: v.number() },
  handler: async (ctx, { words, count, likes }) => {
    const found = ctx.db.query("messages").withSearchIndex("by_body", (q) => q.search("body", words));
    const rows = await found.filter((q) => q.gte(q.field("likes"), likes)).take(count);
    return rows.map((row) => row.body);
  },
});

export const page = query({
  args: { words: v.string(), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { words, paginationOpts }) =>
    await ctx.db
      .query("messages")
      .withSearchIndex("by_body", (q) => q.search("body", words))
      .paginate(paginationOpts),
});

/** Conditions that the types would not allow. */
interface Conditions {
  search(field: string, text: string): Conditions;
  eq(field: string, value: string): Conditions;
}

interface Untyped {
  query(table: string): { withSearchIndex(index: string, conditions: (q: Conditions) => Conditions): { collect(): Promise<unknown[]> } };
}

/** Searches with conditions as they come, wrong ones too; returns the number of rows, or what went wrong. */
export const attempt = query({
  args: { table: v.optional(v.string()), index: v.string(), search: v.array(v.string()), equal: v.array(v.string()) },
  handler: async (ctx, args) => {
    const conditions = (q: Conditions): Conditions => {
      const searched = args.search.reduce((all, field) => all.search(field, "word"), q);
      return args.equal.reduce((all, field) => all.eq(field, "x"), searched);
    };
    try {
      const found = (ctx.db as unknown as Untyped).query(args.table ?? "messages").withSearchIndex(args.index, conditions);
      return (await found.collect()).length;
    } catch (error) {
      return (error as Error).message;
    }
  },
});

export const send = mutation({
  args: { body: v.string(), channel: v.string(), likes: v.optional(v.number()) },
  handler: async (ctx, args) => await ctx.db.insert("messages", args),
});

export const fill = mutation({
  args: { from: v.number(), count: v.number() },
  handler: async (ctx, args) => {
    for (let n = args.from; n < args.from + args.count; n++) {
      await ctx.db.insert("messages", { body: `message number${n} in bucket${n % 31}`, channel: `c${n % 3}` });
    }
  },
});

export const patch = mutation({
  args: { id: v.id("messages"), fields: v.object({ body: v.optional(v.string()), channel: v.optional(v.string()), likes: v.optional(v.number()) }) },
  handler: async (ctx, args) => {
    await ctx.db.patch(args.id, args.fields);
  },
});

export const remove = mutation({
  args: { id: v.id("messages") },
  handler: async (ctx, args) => {
    await ctx.db.delete(args.id);
  },
});

/** Writes, and tells what it finds before it commits, by itself and through a nested query. */
export const sendAndSearch = mutation({
  args: { body: v.string(), channel: v.string(), words: v.string(), fail: v.boolean() },
  handler: async (ctx, args) => {
    await ctx.db.insert("messages", { body: args.body, channel: args.channel });
    const own = await ctx.db
      .query("messages")
      .withSearchIndex("by_body", (q) => q.search("body", args.words))
      .collect();
    const nested = await ctx.runQuery(searchAgain, { words: args.words });
    if (args.fail) {
      throw new Error("undone");
    }
    return { own: own.map((row) => row.body), nested: nested.bodies };
  },
});
