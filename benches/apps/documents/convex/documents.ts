/** Many small documents: loaded by the thousand, read by id, by room and by range, changed one at a time. */

import { v } from "convex/values";

import { mutation, query } from "./_generated/server";

/** An argument that nothing depends on, with which each call is one that no cache knows. */
const unique = v.optional(v.number());

const ROOM_SIZE = 1000;

/** Inserts documents and returns the id of every `step`th. */
export const load = mutation({
  args: { first: v.number(), count: v.number(), step: v.number() },
  handler: async (ctx, { first, count, step }) => {
    const ids: string[] = [];
    for (let number = first; number < first + count; number += 1) {
      const id = await ctx.db.insert("documents", {
        room: Math.floor(number / ROOM_SIZE),
        number,
        author: `author ${number % 100}`,
        body: `message ${number} of a conversation that nobody reads`,
      });
      if (number % step === 0) {
        ids.push(id);
      }
    }
    return ids;
  },
});

export const get = query({
  args: { id: v.id("documents"), unique },
  handler: async (ctx, { id }) => await ctx.db.get(id),
});

/** All documents of a room, which are a thousand. */
export const collect = query({
  args: { room: v.number(), unique },
  handler: async (ctx, { room }) =>
    await ctx.db
      .query("documents")
      .withIndex("by_room", (q) => q.eq("room", room))
      .collect(),
});

/** The ten documents from a number on. */
export const range = query({
  args: { from: v.number(), unique },
  handler: async (ctx, { from }) =>
    await ctx.db
      .query("documents")
      .withIndex("by_number", (q) => q.gte("number", from))
      .take(10),
});

/** Changes one document and none of its index keys. */
export const touch = mutation({
  args: { id: v.id("documents"), unique: v.number() },
  handler: async (ctx, { id, unique: value }) => {
    await ctx.db.patch(id, { body: `touched ${value}` });
  },
});

/** Adds one document. */
export const add = mutation({
  args: { number: v.number() },
  handler: async (ctx, { number }) => {
    await ctx.db.insert("documents", { room: -1, number, author: "nobody", body: `message ${number} of a conversation` });
  },
});
