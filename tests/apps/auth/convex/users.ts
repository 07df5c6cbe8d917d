import { v } from "convex/values";

import { api, internal } from "./_generated/api";
import { action, internalMutation, mutation, query } from "./_generated/server";

export const me = query({ args: {}, handler: async (ctx) => await ctx.auth.getUserIdentity() });

/** Does not ask who is asking. */
export const all = query({ args: {}, handler: async (ctx) => (await ctx.db.query("notes").collect()).map((note) => note.text) });

export const mine = query({
  args: {},
  handler: async (ctx) => {
    const owner = (await ctx.auth.getUserIdentity())?.subject ?? null;
    const notes = await ctx.db
      .query("notes")
      .withIndex("by_owner", (q) => q.eq("owner", owner))
      .collect();
    return notes.map((note) => note.text);
  },
});

export const write = mutation({
  args: { text: v.string() },
  handler: async (ctx, { text }) => {
    const owner = (await ctx.auth.getUserIdentity())?.subject ?? null;
    await ctx.db.insert("notes", { owner, text });
    return owner;
  },
});

/** Who this is: in an action, and in what it calls. */
export const relay = action({
  args: { text: v.string() },
  handler: async (ctx, { text }): Promise<(string | null)[]> => {
    const own = await ctx.auth.getUserIdentity();
    const read = await ctx.runQuery(api.users.me, {});
    const written = await ctx.runMutation(api.users.write, { text });
    const nested = await ctx.runAction(api.users.who, {});
    return [own?.subject ?? null, read?.subject ?? null, written, nested];
  },
});

export const who = action({ args: {}, handler: async (ctx) => (await ctx.auth.getUserIdentity())?.subject ?? null });

/** A scheduled function has no user. */
export const later = mutation({
  args: { text: v.string() },
  handler: async (ctx, { text }) => {
    await ctx.scheduler.runAfter(0, internal.users.writeLater, { text });
  },
});

export const writeLater = internalMutation({
  args: { text: v.string() },
  handler: async (ctx, { text }) => {
    const identity = await ctx.auth.getUserIdentity();
    await ctx.db.insert("notes", { owner: null, text: `${text}: ${identity?.subject ?? "nobody"}` });
  },
});
