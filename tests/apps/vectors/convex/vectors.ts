/** Vector searches of any index: the schema is what the test puts beside this file. */

import { actionGeneric, makeFunctionReference, mutationGeneric } from "convex/server";
import { type Value, v } from "convex/values";

import { nearest, type Search } from "./search.js";

interface Db {
  insert(table: string, value: unknown): Promise<string>;
  patch(id: string, value: unknown): Promise<void>;
  delete(id: string): Promise<void>;
}

export const insert = mutationGeneric({
  args: { values: v.array(v.any()) },
  handler: async (ctx, args) => {
    const ids: string[] = [];
    for (const value of args.values as unknown[]) {
      ids.push(await (ctx.db as unknown as Db).insert("items", value));
    }
    return ids;
  },
});

export const patch = mutationGeneric({
  args: { id: v.string(), value: v.any() },
  handler: async (ctx, args) => (ctx.db as unknown as Db).patch(args.id, args.value),
});

export const remove = mutationGeneric({
  args: { id: v.string() },
  handler: async (ctx, args) => (ctx.db as unknown as Db).delete(args.id),
});

export const search = actionGeneric({
  args: { search: v.any() },
  handler: async (ctx, args) => nearest(ctx, args.search as Search),
});

/** The error that an action can catch. */
export const attempt = actionGeneric({
  args: { search: v.any() },
  handler: async (ctx, args) => {
    try {
      await nearest(ctx, args.search as Search);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  },
});

/** Inserts, searches, changes, searches, deletes, searches: each search sees what came before it. */
export const ownWrites = actionGeneric({
  args: { embedding: v.array(v.number()), other: v.array(v.number()) },
  handler: async (ctx, { embedding, other }) => {
    const run = async (name: string, args: Record<string, Value>): Promise<unknown> => ctx.runMutation(makeFunctionReference<"mutation">(`vectors:${name}`), args);
    const find = async (): Promise<unknown> => (await nearest(ctx, { vector: embedding, limit: 1 }))[0];
    const [id] = (await run("insert", { values: [{ embedding, group: "own" }] })) as [string];
    const inserted = await find();
    await run("patch", { id, value: { embedding: other } });
    const changed = await find();
    await run("patch", { id, value: { embedding } });
    const changedBack = await find();
    await run("remove", { id });
    return { id, inserted, changed, changedBack, removed: await find() };
  },
});
