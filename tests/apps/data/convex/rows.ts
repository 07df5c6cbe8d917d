/** Documents: one function for each way to write and read them. */

import { v } from "convex/values";

import { internal } from "./_generated/api";
import type { Id, TableNames } from "./_generated/dataModel";
import { internalMutation, mutation, query } from "./_generated/server";

// Tables, ids and documents are the caller's choice, so the compiler cannot know them.
type AnyDocument = never;

export const echo = query({ args: { value: v.any() }, handler: async (_ctx, { value }) => value as unknown });

/** No validator at all. */
export const echoLoose = query(async (_ctx, args?: Record<string, unknown>) => args ?? null);

export const insert = mutation({
  args: { table: v.string(), value: v.any() },
  handler: async (ctx, { table, value }) => await ctx.db.insert(table as TableNames, value as AnyDocument),
});

export const insertMany = mutation({
  args: { table: v.string(), values: v.array(v.any()) },
  handler: async (ctx, { table, values }) => {
    const ids: string[] = [];
    for (const value of values as unknown[]) {
      ids.push(await ctx.db.insert(table as TableNames, value as AnyDocument));
    }
    return ids;
  },
});

export const get = query({
  args: { id: v.string(), table: v.optional(v.string()), system: v.optional(v.boolean()) },
  handler: async (ctx, { id, table, system }): Promise<unknown> => {
    const db = (system === true ? ctx.db.system : ctx.db) as unknown as { get(...args: string[]): Promise<unknown> };
    return table === undefined ? await db.get(id) : await db.get(table, id);
  },
});

export const patch = mutation({
  args: { id: v.string(), table: v.optional(v.string()), value: v.any(), unset: v.optional(v.array(v.string())) },
  handler: async (ctx, { id, table, value, unset }) => {
    const fields: Record<string, unknown> = { ...(value as Record<string, unknown>) };
    for (const field of unset ?? []) {
      fields[field] = undefined;
    }
    if (table === undefined) {
      await ctx.db.patch(id as Id<"items">, fields);
    } else {
      await ctx.db.patch(table as "items", id as Id<"items">, fields);
    }
    return await ctx.db.get(id as Id<"items">);
  },
});

export const replace = mutation({
  args: { id: v.string(), table: v.optional(v.string()), value: v.any() },
  handler: async (ctx, { id, table, value }) => {
    if (table === undefined) {
      await ctx.db.replace(id as Id<"items">, value as AnyDocument);
    } else {
      await ctx.db.replace(table as "items", id as Id<"items">, value as AnyDocument);
    }
    return await ctx.db.get(id as Id<"items">);
  },
});

export const remove = mutation({
  args: { id: v.string(), table: v.optional(v.string()), times: v.optional(v.number()) },
  handler: async (ctx, { id, table, times }) => {
    for (let round = 0; round < (times ?? 1); round += 1) {
      if (table === undefined) {
        await ctx.db.delete(id as Id<"items">);
      } else {
        await ctx.db.delete(table as "items", id as Id<"items">);
      }
    }
    return await ctx.db.get(id as Id<"items">);
  },
});

/** The forms that begin with the table. */
export const byTable = mutation({
  args: { group: v.string() },
  handler: async (ctx, { group }) => {
    const items = (ctx.db as unknown as { table(name: string): Record<string, (...args: unknown[]) => Promise<unknown>> }).table("items");
    const id = (await items.insert?.({ group, n: 1 })) as Id<"items">;
    await items.patch?.(id, { n: 2 });
    const patched = await items.get?.(id);
    await items.replace?.(id, { group, n: 3 });
    const replaced = await items.get?.(id);
    await items.delete?.(id);
    return { id, patched, replaced, gone: (await items.get?.(id)) === null };
  },
});

export const normalizeId = query({
  args: { table: v.string(), id: v.string() },
  handler: async (ctx, { table, id }) =>
    table.startsWith("_") ? ctx.db.system.normalizeId(table as "_storage", id) : ctx.db.normalizeId(table as TableNames, id),
});

/** Inserts and deletes in one transaction, and rows of a nested call that is undone, between them. */
export const creationTimes = mutation({
  args: { group: v.string() },
  handler: async (ctx, { group }) => {
    const times: number[] = [];
    for (let n = 0; n < 50; n += 1) {
      const id = await ctx.db.insert("items", { group, n });
      times.push((await ctx.db.get(id))?._creationTime ?? NaN);
      if (n === 10) {
        await ctx.db.delete(id);
      }
      if (n === 20) {
        await ctx.runMutation(internal.rows.insertAndFail, { group }).catch(() => null);
      }
    }
    return times;
  },
});

export const insertAndFail = internalMutation({
  args: { group: v.string() },
  handler: async (ctx, { group }): Promise<null> => {
    await ctx.db.insert("items", { group, n: -1 });
    throw new Error("undone");
  },
});

/** Two patches that change nothing, and one that does. */
export const emptyWrites = mutation({
  args: { id: v.id("items") },
  handler: async (ctx, { id }) => {
    const row = await ctx.db.get(id);
    if (row === null) {
      return -1;
    }
    const { _id, _creationTime, ...fields } = row;
    await ctx.db.patch(id, {});
    await ctx.db.patch(id, { n: row.n });
    await ctx.db.replace(id, fields);
    await ctx.db.replace(id, { _id, _creationTime, ...fields });
    const metrics = await ctx.meta.getTransactionMetrics();
    return metrics.documentsWritten.used;
  },
});

export const schedule = mutation({
  args: { note: v.string() },
  handler: async (ctx, { note }): Promise<string> => await ctx.scheduler.runAfter(3_600_000, internal.rows.noop, { note }),
});

/** One job of each end. */
export const scheduleAll = mutation({
  args: {},
  handler: async (ctx): Promise<Record<string, string>> => {
    const canceled = await ctx.scheduler.runAfter(3_600_000, internal.rows.noop, { note: "canceled" });
    await ctx.scheduler.cancel(canceled);
    return {
      canceled,
      success: await ctx.scheduler.runAfter(0, internal.rows.noop, { note: [1n] }),
      failed: await ctx.scheduler.runAfter(0, internal.rows.insertAndFail, { group: "failed job" }),
    };
  },
});

/** Writes until it may not; what it wrote before stays. */
export const writeUntilRefused = mutation({
  args: { table: v.string(), count: v.number(), bytes: v.number() },
  handler: async (ctx, { table, count, bytes }) => {
    const pad = "x".repeat(bytes);
    let written = 0;
    try {
      for (; written < count; written += 1) {
        await ctx.db.insert(table as TableNames, { n: written, pad } as AnyDocument);
      }
    } catch (error) {
      return { written, message: (error as Error).message };
    }
    return { written, message: "no error" };
  },
});

/** Point reads at as many places, each twice. */
export const readUntilRefused = query({
  args: { count: v.number() },
  handler: async (ctx, { count }) => {
    let read = 0;
    try {
      for (; read < count; read += 1) {
        for (let again = 0; again < 2; again += 1) {
          await ctx.db.query("items").withIndex("by_group_n", (q) => q.eq("group", "no such group").eq("n", read)).collect();
        }
      }
    } catch (error) {
      return { read, message: (error as Error).message };
    }
    return { read, message: "no error" };
  },
});

export const noop = internalMutation({ args: { note: v.any() }, handler: async () => null });

export const typedArgs = query({
  args: { name: v.string(), id: v.optional(v.id("items")), list: v.optional(v.array(v.object({ a: v.number() }))) },
  handler: async () => null,
});

export const typedResult = query({ args: { value: v.any() }, returns: v.object({ ok: v.boolean() }), handler: async (_ctx, { value }) => value as { ok: boolean } });

/** Results that the wire cannot carry are made here, where no client checks them first. */
export const bigResult = query({
  args: { what: v.string(), size: v.number() },
  handler: async (_ctx, { what, size }): Promise<unknown> => {
    switch (what) {
      case "nested": {
        let value: unknown = 0;
        for (let level = 0; level < size; level += 1) {
          value = [value];
        }
        return value;
      }
      case "array":
        return new Array(size).fill(0);
      case "object":
        return Object.fromEntries(Array.from({ length: size }, (_, n) => [`f${n}`, 0]));
      case "surrogate":
        return "\ud800";
      default:
        return "x".repeat(size);
    }
  },
});
